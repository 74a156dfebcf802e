"""The table of ``dhr compare``: one line per row, measured here, with published figures beside it."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dhr.evaluate.bootstrap import NO_INTERVAL
from dhr.evaluate.compare import Difference
from dhr.evaluate.published import Published
from dhr.evaluate.scores import WHOLE, Scores, percent
from dhr.evaluate.sheet import spreadsheet_text
from dhr.files import write_output

SHOWN = ("miou", "minor_iou", "vanished", "boundary_f")
"""Scores of the table, in its order: names of :data:`~dhr.evaluate.scores.WHOLE`."""


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    name: str
    scores: Scores | None = None
    """None if the row failed."""
    masks: Path | None = None
    """The folder that was scored."""
    seconds: float | None = None
    """Time of the run with its trainings, without the scan of photographs. None if the masks were given, or are those
    of a step."""
    published: Published | None = None
    reason: str = ""
    """Why the row failed."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; scores in percent, with those of the classes."""
        values: dict[str, Any] = {"row": self.name, "masks": None if self.masks is None else str(self.masks)}
        values |= {"seconds": self.seconds, "reason": self.reason or None}
        values["published"] = None if self.published is None else self.published.to_json()
        return values | ({} if self.scores is None else self.scores.to_json())


@dataclass(frozen=True)
class RowTable:
    """All rows, in their order."""

    lines: tuple[Line, ...]
    differences: tuple[Difference, ...] = ()
    """Of each scored row from the first scored one, on the same photographs."""
    elsewhere: Mapping[str, Published] = field(default_factory=dict)
    """Published figures of systems without a row."""

    @property
    def scored(self) -> Mapping[str, Scores]:
        """The scores of the rows that have some."""
        return {line.name: line.scores for line in self.lines if line.scores is not None}

    @property
    def failed(self) -> Sequence[Line]:
        """The rows that failed."""
        return [line for line in self.lines if line.scores is None]

    @property
    def sources(self) -> Mapping[str, str]:
        """The publication of each published figure, by row or system."""
        found = {line.name: line.published for line in self.lines if line.published is not None}
        return {name: one.source for name, one in {**found, **self.elsewhere}.items()}

    def rows(self) -> list[dict[str, Any]]:
        """Return one dictionary per row: scores in percent with the ends of their intervals, seconds, published mIoU.

        Unknown values are None. Published figures are never in the columns of scores.
        """
        found = []
        for line in self.lines:
            row: dict[str, Any] = {"row": line.name, "photographs": line.scores.photographs if line.scores else 0}
            for name in WHOLE:
                ends = NO_INTERVAL if line.scores is None else line.scores.intervals.get(name, NO_INTERVAL)
                value = math.nan if line.scores is None else float(getattr(line.scores, name))
                row |= {name: percent(value), f"{name}_low": percent(ends.low), f"{name}_high": percent(ends.high)}
            row |= {"seconds": line.seconds, **_published(line.published), "reason": line.reason}
            found.append(row)
        for name, one in self.elsewhere.items():
            empty = dict.fromkeys(found[0] if found else ("row", "published_miou", "published_source"))
            found.append({**empty, "row": name, **_published(one)})
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rows": [line.to_json() for line in self.lines],
            "differences": [one.to_json() for one in self.differences],
            "published": {name: one.to_json() for name, one in self.elsewhere.items()},
        }


def write_rows(path: Path, table: RowTable) -> None:
    """Write the table as CSV: a line per row with the columns of :meth:`RowTable.rows`; unknown values are empty.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    rows, text = table.rows(), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: spreadsheet_text(one) if isinstance(one, str) else one for key, one in row.items()})
    write_output(path, lambda file: file.write(text.getvalue().encode("utf-8", "replace")))


def _published(one: Published | None) -> dict[str, Any]:
    return {
        "published_miou": None if one is None else one.miou,
        "published_source": None if one is None else one.source,
    }
