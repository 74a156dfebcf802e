"""The order of the queue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Doubt:
    """Signs that a mask may be wrong, from its record."""

    name: str
    quality: float | None
    vanished: tuple[str, ...]
    tags: tuple[str, ...]
    ratios: Mapping[str, float]
    disagreement: float | None


def queue_order(rows: Sequence[Doubt]) -> list[int]:
    """Return the places of the rows, the most doubtful first: vanished classes, then the lowest quality."""

    def key(place: int) -> tuple[int, float, str]:
        row = rows[place]
        return -len(row.vanished), 2.0 if row.quality is None else row.quality, row.name

    return sorted(range(len(rows)), key=key)
