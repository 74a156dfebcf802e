"""Repeats a step in parts if it is too large for the memory."""

from collections.abc import Callable

import torch


class TooLargeError(Exception):
    """Memory ran out, and the step cannot be divided further."""


def in_parts(work: Callable[[int], object], parts: int, most: int) -> int:
    """Call ``work`` with a number of parts, and again with twice as many while memory runs out.

    Args:
        work: can be repeated after it failed.
        parts: the first number.
        most: the last number; only its divisors among the powers of two times ``parts`` make parts of equal size.

    Returns:
        The number that worked.

    Raises:
        TooLargeError: ``most`` parts are still too large.
    """
    while True:
        try:
            work(parts)
        except (MemoryError, torch.OutOfMemoryError) as error:
            failure = error.with_traceback(None)  # whose frames hold the memory
        else:
            return parts
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if 2 * parts > most:
            raise TooLargeError from failure
        parts *= 2
