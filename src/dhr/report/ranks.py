"""The place of a mask's quality among all masks: the value orders masks, and is no share of right pixels."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dhr.results.summary import Summary

_DOUBTFUL = 0.1


@dataclass(frozen=True)
class Ranks:
    """Ranks of qualities, from 1 for the lowest."""

    lowest: Sequence[float]
    """The lowest qualities, sorted; of any number of masks."""
    total: int
    """Masks with a quality."""
    histogram: Sequence[int] = ()
    """All masks by quality, in equal bars from 0 to 1; empty if ``lowest`` has all."""

    @staticmethod
    def of(found: "Summary") -> "Ranks":
        """Return the ranks in a job on a cluster."""
        return Ranks([quality for quality, _ in found.worst if quality < inf], found.judged, found.histogram)

    def rank(self, quality: float) -> int:
        """Return the rank of a quality; equal ones have the same.

        >>> Ranks([0.2, 0.5, 0.5, 0.9], 4).rank(0.5)
        2
        """
        place = bisect_left(self.lowest, quality)
        if place == len(self.lowest) < self.total and self.histogram:
            bars = np.cumsum([0, *self.histogram])
            place = max(place, int(np.interp(quality * len(self.histogram), np.arange(len(bars)), bars)))
        return min(place + 1, max(self.total, 1))

    def text(self, quality: float) -> str:
        """Return the rank for the page; one that is read off the histogram is marked as such."""
        rank = self.rank(quality)
        return f"{'about ' if rank > len(self.lowest) else ''}{rank:,}"

    def doubtful(self, quality: float) -> bool:
        """Return whether a quality is in the lowest tenth; NaN is not."""
        return self.rank(quality) <= _DOUBTFUL * self.total if quality == quality else False
