"""Threads for compiled kernels that release the interpreter's lock."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

_WORTH, _LONG = 4096, 65536  # pixels or vertices that are worth a thread, and that are many for one call

_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):  # systems without fork (Windows) lack it
    os.register_at_fork(after_in_child=_pools.clear)  # a forked child has none of its parent's threads


def run_parallel(function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Call ``function`` with each of the tuples of arguments, on as many threads as torch uses; results in order.

    The calling thread takes part, so two calls on two threads cost one wake-up.
    """
    first, *rest = list(calls)
    threads = torch.get_num_threads()
    if threads == 1 or not rest:
        return [function(*one) for one in (first, *rest)]
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads - 1, thread_name_prefix="dhr")
    futures = [_pools[threads].submit(function, *one) for one in rest]
    try:
        # Calls that no thread has begun are taken back, last first.
        results = [function(*first)]
        for index in reversed(range(len(futures))):
            if futures[index].cancel():
                results.append(function(*rest[index]))
            else:
                break
        taken = len(results) - 1
        return [results[0], *(one.result() for one in futures[: len(rest) - taken]), *reversed(results[1:])]
    finally:
        for future in futures:
            future.cancel()


def split(count: int, weight: int = 1) -> list[tuple[int, int]]:
    """Ranges that cover ``count`` items of ``weight`` pixels or vertices each.

    One for each thread if they are worth one; more if they are long, so that a thread that is held up by other programs
    does not hold up the rest.
    """
    threads = torch.get_num_threads()
    size = count * weight
    parts = max(1, min(count, threads, size // _WORTH), min(count, 4 * threads, size // _LONG))
    edges = [count * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))
