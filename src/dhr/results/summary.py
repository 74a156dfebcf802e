"""Sums over the rows of one file, or of all files of a run: what a page shows of a data set of any size."""

import heapq
import json
import math
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from dhr.results.part import Part

BINS = 100
"""Bars of the histogram of the quality, from 0 to 1."""
WORST = 300
"""The least certain masks that are kept by name."""
_COLUMNS = ("id", "settings", "tags", "shares", "quality", "vanished", "changed", "seconds", "reason")


@dataclass
class Summary:
    """Sums over rows; several can be added."""

    masks: int = 0
    failed: int = 0
    """Rows without a mask."""
    lost: int = 0
    """Masks in which a tagged class has no pixel."""
    changed: int = 0
    """Masks that differ from the ones that they replaced."""
    seconds: float = 0.0
    """Work on the masks, as far as it is recorded."""
    judged: int = 0
    """Masks with a quality."""
    quality_sum: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    """Masks by quality."""
    tagged: Counter[str] = field(default_factory=Counter)
    """Photographs by class name."""
    present: Counter[str] = field(default_factory=Counter)
    """Masks that show it, by class name."""
    vanished: Counter[str] = field(default_factory=Counter)
    """Photographs by class name."""
    shares: dict[str, float] = field(default_factory=dict)
    """Sum of the shares of the masks, by class name."""
    worst: list[tuple[float, str]] = field(default_factory=list)
    """Quality and name of the least certain masks."""

    @property
    def quality(self) -> float:
        """The mean quality, 0..1; NaN if it is unknown."""
        return self.quality_sum / self.judged if self.judged else math.nan

    def text(self) -> str:
        """Return the sums as JSON."""
        return json.dumps(vars(self))

    @staticmethod
    def parse(text: str) -> "Summary":
        """Read the text of :meth:`text`."""
        values = json.loads(text)
        counts = {name: Counter[str](values[name]) for name in ("tagged", "present", "vanished")}
        return Summary(**{**values, **counts, "worst": [(quality, name) for quality, name in values["worst"]]})

    def add(self, other: "Summary") -> None:
        """Add the sums of other rows."""
        for name in ("masks", "failed", "lost", "changed", "seconds", "judged", "quality_sum"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.histogram = [one + more for one, more in zip(self.histogram, other.histogram, strict=True)]
        for mine, others in (
            (self.tagged, other.tagged),
            (self.present, other.present),
            (self.vanished, other.vanished),
        ):
            mine.update(others)
        for name, share in other.shares.items():
            self.shares[name] = self.shares.get(name, 0.0) + share
        self.worst = heapq.nsmallest(WORST, [*self.worst, *other.worst])


def summed(path: Path, settings: str) -> Summary:
    """Return the sums over the rows of a file that belong to a run; masks are not read.

    Args:
        path: a file of rows.
        settings: digest of the run's identity.

    Raises:
        PartError: it is damaged.
    """
    found = Summary()
    with closing(Part(path)) as part:
        for group in range(part.groups):
            _add(found, part.read(group, _COLUMNS), settings)
    return found


def _add(found: Summary, table: Any, settings: str) -> None:
    table = table.filter(pc.fill_null(pc.equal(table["settings"], settings), False))
    found.failed += len(table) - table["reason"].null_count
    table = table.filter(pc.is_null(table["reason"]))
    found.masks += len(table)
    found.seconds += pc.sum(table["seconds"]).as_py() or 0.0
    found.changed += pc.sum(pc.greater(pc.fill_null(table["changed"], 0), 0)).as_py() or 0
    quality = table["quality"].fill_null(math.nan).to_numpy()
    known = quality[np.isfinite(quality)]
    found.judged += len(known)
    found.quality_sum += float(known.sum())
    bars = np.histogram(known, np.arange(BINS + 1) / BINS)[0]
    found.histogram = [one + int(more) for one, more in zip(found.histogram, bars, strict=True)]
    found.lost += int((pc.fill_null(pc.list_value_length(table["vanished"]), 0).to_numpy() > 0).sum())
    for column, counts in (("tags", found.tagged), ("vanished", found.vanished)):
        counts.update(_texts(pc.list_flatten(table[column])))
    for row in table["shares"].to_pylist():
        for name, share in row or ():
            found.shares[name] = found.shares.get(name, 0.0) + share
            found.present[name] += share > 0
    last = np.where(np.isfinite(quality), quality, math.inf)
    ranked = heapq.nsmallest(WORST, zip(last.tolist(), table["id"].to_pylist(), strict=True))
    found.worst = heapq.nsmallest(WORST, [*found.worst, *ranked])


def _texts(column: Any) -> dict[str, int]:
    return {str(one["values"]): one["counts"] for one in column.value_counts().to_pylist()}
