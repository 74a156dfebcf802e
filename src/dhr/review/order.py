"""The order of the queue: the most doubtful masks first, and photographs that are alike not in a row."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from dhr.records.item import ItemRecord

RECENT = 10
"""Number of places of the queue that should not be of one kind."""
ALIKE = 0.2
"""Doubt that a photograph loses if all recent places are of its kind. So only masks of similar doubt change places."""
_PARTS = 2  # parts of 1 to which shares are rounded before they are compared


@dataclass(frozen=True, slots=True)
class Doubt:
    """Signs that a mask may be wrong, from its record."""

    name: str
    quality: float | None
    """Quality of the mask, 0..1. Vanished classes count 0 in it, and places where the evidence disagrees. None, as in
    old records, is the most doubtful."""
    vanished: tuple[str, ...]
    """Tagged classes without a pixel in the mask."""
    tags: tuple[str, ...]
    ratios: Mapping[str, float]
    """Share of the mask, by class."""

    @staticmethod
    def of(name: str, item: ItemRecord) -> "Doubt":
        """Return the signs in the record of a photograph."""
        return Doubt(name, item.quality, item.vanished, item.tags, item.ratios)

    @property
    def value(self) -> float:
        """Doubt, 0..1."""
        return 1.0 if self.quality is None else 1.0 - self.quality

    @property
    def kind(self) -> tuple[tuple[str, int], ...]:
        """Tags with their rounded shares: photographs of one kind are alike."""
        return tuple(sorted((tag, round(self.ratios.get(tag, 0.0) * _PARTS)) for tag in self.tags))


def queue_order(rows: Sequence[Doubt]) -> list[int]:
    """Return the places of the rows in the order of review. It does not depend on the order of the rows.

    Each place goes to the photograph with the most doubt, of which a kind loses :data:`ALIKE` times its part of the
    :data:`RECENT` places before. Names decide between equals.

    >>> signs = [("a", 0.1, "cat"), ("b", 0.11, "cat"), ("c", 0.12, "dog"), ("d", 0.9, "dog")]
    >>> queue_order([Doubt(name, quality, (), (tag,), {tag: 1.0}) for name, quality, tag in signs])
    [0, 2, 1, 3]
    """
    values = [row.value for row in rows]
    ranked = sorted(range(len(rows)), key=lambda place: (-values[place], rows[place].name))
    kinds: dict[tuple[tuple[str, int], ...], int] = {}
    of = [kinds.setdefault(rows[place].kind, len(kinds)) for place in ranked]  # the kind of each rank
    waiting: list[deque[int]] = [deque() for _ in kinds]
    for rank, kind in enumerate(of):
        waiting[kind].append(rank)
    heads = [ranks.popleft() for ranks in waiting]  # of each kind, its first
    heapify(heads)
    doubts = [values[place] for place in ranked]
    counts, recent, found = [0] * len(kinds), deque[int](), list[int]()
    while heads:
        rank = _next(heads, lambda one: (doubts[one], counts[of[one]]))
        kind = of[rank]
        found.append(ranked[rank])
        recent.append(kind)
        counts[kind] += 1
        if len(recent) > RECENT:
            counts[recent.popleft()] -= 1
        if waiting[kind]:
            heappush(heads, waiting[kind].popleft())
    return found


def _next(heads: list[int], look: Callable[[int], tuple[float, int]]) -> int:
    """Take the best from a heap of ranks; ``look`` returns the doubt of each, and how often its kind was there of late.

    They are looked at from the top, until one is of no recent kind: all below it have less doubt, and lose no less.
    """
    best, most, rest = -1, -math.inf, []
    while heads:
        rank = heappop(heads)
        doubt, count = look(rank)
        rest.append(rank)
        if doubt - ALIKE * count / RECENT > most:  # of equals the first
            best, most = rank, doubt - ALIKE * count / RECENT
        if count == 0:
            break
    for rank in rest:
        if rank != best:
            heappush(heads, rank)
    return best
