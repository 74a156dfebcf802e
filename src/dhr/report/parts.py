"""The Parquet files of a run in the report, one line each."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from dhr.report.text import duration, named
from dhr.words import counted

if TYPE_CHECKING:
    from dhr.results.rows import RowMasks

_SHOWN = 20  # parts


@dataclass(frozen=True)
class Part:
    """The masks of one file."""

    name: str
    masks: int
    quality: float
    """The mean, 0..1; NaN if it is unknown."""
    vanished: int
    """Masks in which a tagged class vanished."""
    seconds: float = math.nan
    """Work on its masks; NaN if it is unknown."""
    failed: int = 0
    """Rows without a mask."""

    def rank(self) -> tuple[float, str]:
        """Return its place on the page: the least certain first."""
        return (math.inf if math.isnan(self.quality) else self.quality), self.name


def by_part(rows: "RowMasks") -> list[Part]:
    """Return the files of a run, the least certain first; two columns of them are read."""
    import pyarrow.compute as pc

    sums = dict[str, Float64[np.ndarray, "4"]]()  # masks, masks of known quality, sum of their quality, vanished
    for path, table in rows.tables(("quality", "vanished")):
        known = table["quality"].drop_null().to_numpy()
        known = known[np.isfinite(known)]
        lost = pc.fill_null(pc.list_value_length(table["vanished"]), 0).to_numpy()
        added = np.array([len(table), len(known), known.sum(), (lost > 0).sum()], np.float64)
        sums[path.name] = sums.get(path.name, np.zeros(4)) + added
    found = [
        Part(name, int(many), quality / judged if judged else math.nan, int(gone))
        for name, (many, judged, quality, gone) in sums.items()
    ]
    return sorted(found, key=Part.rank)


def parts(found: Sequence[Part]) -> str:
    """Return the section of the page; empty for a run with one file."""
    if len(found) < 2:
        return ""
    cells: dict[str, Callable[[Part], str]] = {
        "Masks": lambda part: f"{part.masks:,}",
        "Mean quality": lambda part: "" if math.isnan(part.quality) else f"{part.quality:.3f}",
        "A class vanished": lambda part: f"{part.vanished:,}",
    }
    if any(part.failed for part in found):
        cells["Rows with a reason"] = lambda part: f"{part.failed:,}"
    if not all(math.isnan(part.seconds) for part in found):
        cells["Time"] = lambda part: duration(part.seconds)
    rows = "".join(
        f'<tr><th scope="row">{named(part.name, 60)}</th>'
        + "".join(f"<td class=num>{cell(part)}</td>" for cell in cells.values())
        + "</tr>"
        for part in found[:_SHOWN]
    )
    rest = f'<p class="note">and {counted(len(found) - _SHOWN, "more file")}</p>' if len(found) > _SHOWN else ""
    head = "".join(f'<th scope="col" class=num>{name}</th>' for name in cells)
    columns = '<col class="name">' + '<col class="value">' * len(cells)
    return (
        f'<section><h2>Files of rows <small>least certain first</small></h2><div class="panel">'
        f'<table class="counts"><colgroup>{columns}</colgroup><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{rest}"
        "</div></section>"
    )
