"""Sections for a data set of any size: sums by class, and masks by quality."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import ClassTable
from dhr.report.charts import bar, swatch
from dhr.report.text import named, percent

if TYPE_CHECKING:
    from dhr.results.summary import Summary

_OPEN = 32  # classes in sight; the rest is folded away
_BARS = 10  # of the histogram


def by_quality(found: "Summary") -> str:
    """Return the section with a histogram of the masks; empty if no quality is known."""
    if not found.judged:
        return ""
    bars = np.array(found.histogram).reshape(_BARS, -1).sum(1).tolist()
    rows = "".join(
        f'<tr><th scope="row">{place / _BARS:.1f}</th><td>{bar(number / max(bars), "main")}</td>'
        f"<td class=num>{number:,}</td></tr>"
        for place, number in enumerate(bars)
    )
    start = '<table class="chart"><colgroup><col class="name"><col><col class="value"></colgroup>'
    return (
        f'<section><h2>Masks by quality</h2><div class="panel">{start}<tbody>{rows}</tbody></table>'
        '<p class="note">Each line counts the masks from its quality (0 to 1) up to the next one. The quality puts '
        "masks in order; it is no share of right pixels.</p></div></section>"
    )


def by_class(found: "Summary", classes: ClassTable, colours: UInt8[np.ndarray, "256 3"]) -> str:
    """Return the section with one line per class."""
    rows = []
    for index, name in enumerate(classes.names):
        shown = found.present.get(name, 0)
        share = found.shares.get(name, 0.0) / shown if shown else math.nan
        cells = [f"{found.tagged.get(name, 0):,}", f"{shown:,}", f"{found.vanished.get(name, 0):,}", percent(share)]
        if not found.tagged:  # masks of photographs without tags
            cells = [cells[1], cells[3]]
        rows.append(
            f'<tr><th scope="row">{swatch(colours[index])}{named(name, 24)}</th>'
            + "".join(f"<td class=num>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    titles = ["Tagged", "In masks", "Vanished", "Mean share"] if found.tagged else ["In masks", "Mean share"]
    table = _table(rows[:_OPEN], titles)
    if len(rows) > _OPEN:
        table += (
            f"<details><summary>The other {len(rows) - _OPEN} classes</summary>{_table(rows[_OPEN:], titles)}</details>"
        )
    return (
        f'<section><h2>By class</h2><div class="panel">{table}'
        '<p class="note">The mean share is that of the masks which show the class.</p></div></section>'
    )


def _table(rows: Sequence[str], titles: Sequence[str]) -> str:
    head = "".join(f'<th scope="col" class=num>{title}</th>' for title in titles)
    columns = '<col class="name">' + '<col class="value">' * len(titles)
    return (
        f'<table class="counts"><colgroup>{columns}</colgroup><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
