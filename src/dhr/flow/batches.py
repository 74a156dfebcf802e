"""Puts items of equal shape together."""

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], shape: Callable[[T], Hashable], most: int) -> list[tuple[T, ...]]:
    """Put items of equal shape into batches of at most ``most`` items.

    A batch is filled in the order of the items, and batches are in the order of their first items. So membership
    depends on the items, ``shape`` and ``most`` alone: give all items, finished or not, and a call that goes on makes
    the same batches.

    >>> batches(["a", "bb", "c", "d", "ee"], len, 2)
    [('a', 'c'), ('bb', 'ee'), ('d',)]
    """
    if most < 1:
        raise ValueError(f"expected batches of at least 1 item, got {most}")
    found: list[list[T]] = []
    open_ones: dict[Hashable, list[T]] = {}
    for item in items:
        key = shape(item)
        batch = open_ones.get(key)
        if batch is None or len(batch) == most:
            batch = open_ones[key] = []
            found.append(batch)
        batch.append(item)
    return [tuple(batch) for batch in found]
