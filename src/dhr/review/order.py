"""The order of the queue: the most doubtful masks first, and photographs that are alike not in a row."""

import math
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
from jaxtyping import Float64, Int64

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


@dataclass
class Doubts:
    """Signs of many photographs in columns: 16 bytes of memory for each, beside its name, which others hold as well."""

    names: list[str] = field(default_factory=list)
    kinds: dict[tuple[tuple[str, int], ...], int] = field(default_factory=dict)
    """The number of each kind."""
    gone: dict[tuple[str, ...], int] = field(default_factory=dict)
    """The number of each list of vanished classes."""
    quality: "array[float]" = field(default_factory=lambda: array("d"))
    """NaN where it is unknown."""
    kind: "array[int]" = field(default_factory=lambda: array("i"))
    """The number of the kind of each photograph."""
    vanished: "array[int]" = field(default_factory=lambda: array("i"))
    """The number of the vanished classes of each photograph."""

    @staticmethod
    def of(rows: Iterable[Doubt]) -> "Doubts":
        """Put signs into columns."""
        found = Doubts()
        for row in rows:
            found.add(row)
        return found

    def add(self, row: Doubt) -> None:
        """Add a photograph."""
        self.names.append(row.name)
        self.quality.append(math.nan if row.quality is None else row.quality)
        self.kind.append(self.kinds.setdefault(row.kind, len(self.kinds)))
        self.vanished.append(self.gone.setdefault(row.vanished, len(self.gone)))

    def ranked(self) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Return the places of the photographs by doubt, the most doubtful first, and their doubts in this order."""
        count = len(self.names)
        by_name = np.empty(count, np.int64)
        by_name[sorted(range(count), key=self.names.__getitem__)] = np.arange(count)
        values = 1.0 - np.nan_to_num(np.asarray(self.quality), nan=0.0)
        places: Int64[np.ndarray, " n"] = np.lexsort((by_name, -values))
        return places, values[places]


def queue_order(rows: Doubts) -> Int64[np.ndarray, " n"]:
    """Return the places of the rows in the order of review. It does not depend on the order of the rows.

    Each place goes to the photograph with the most doubt, of which a kind loses :data:`ALIKE` times its part of the
    :data:`RECENT` places before. Names decide between equals.

    >>> signs = [("a", 0.1, "cat"), ("b", 0.11, "cat"), ("c", 0.12, "dog"), ("d", 0.9, "dog")]
    >>> rows = [Doubt(name, quality, (), (tag,), {tag: 1.0}) for name, quality, tag in signs]
    >>> queue_order(Doubts.of(rows)).tolist()
    [0, 2, 1, 3]
    """
    places, values = rows.ranked()
    kinds = np.asarray(rows.kind)[places]
    waiting = np.argsort(kinds, kind="stable")  # ranks, kind by kind
    ends = np.searchsorted(kinds[waiting], np.arange(len(rows.kinds)), "right").tolist()
    following = [0, *ends[:-1]]  # of each kind, its first that waits
    doubts, of = values.data, kinds.data  # single numbers of them come fast
    heads, counts, recent = list[int](), [0] * len(ends), deque[int]()

    def bring(kind: int) -> None:
        """Put the next photograph of a kind among those that are looked at."""
        if following[kind] < ends[kind]:
            heappush(heads, int(waiting[following[kind]]))
            following[kind] += 1

    for kind in range(len(ends)):
        bring(kind)
    found: Int64[np.ndarray, " n"] = np.empty(len(places), np.int64)
    for place in range(len(places)):
        rank = _next(heads, lambda one: (doubts[one], counts[of[one]]))
        kind = of[rank]
        found[place] = places[rank]
        recent.append(kind)
        counts[kind] += 1
        if len(recent) > RECENT:
            counts[recent.popleft()] -= 1
        bring(kind)
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
