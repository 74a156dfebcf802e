"""Scores as tables of the terminal, in percent."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dhr.data.agreement import Check
from dhr.evaluate import Comparison, Scores
from dhr.evaluate.bootstrap import Interval
from dhr.evaluate.scores import WHOLE

STAGE_NAMES = {
    "cam": "CAM",
    "base": "base mask",
    "seed": "Step 1, seeds",
    "inter": "Step 2, inter-class",
    "intra": "Step 3, intra-class",
    "mask": "final mask",
}
"""What tables call the stages."""


def stage_table(stages: Mapping[str, Scores]) -> Table:
    """One line for each set of masks.

    "vanished" is the share of tagged classes with 0.5 % or more of a photograph's labelled pixels that have none in
    its mask.
    """
    table = Table()
    table.add_column("masks", no_wrap=True)
    for title in ("mIoU", "minor IoU", "accuracy", "edges F", "vanished"):
        table.add_column(title, justify="right")
    for name, scores in stages.items():
        values = (scores.miou, scores.minor_iou, scores.pixel_accuracy, scores.boundary_f, scores.vanished)
        table.add_row(escape(name), *(_percent(value) for value in values))
    return table


def whole_table(sets: Mapping[str, Scores]) -> Table:
    """Every score of all classes together, a column for each set of masks; in brackets the 95 % intervals."""
    table = Table()
    table.add_column("all classes", no_wrap=True)
    for name in sets:
        table.add_column(escape(name), justify="right", overflow="fold")
    for key, title in WHOLE.items():
        cells = (_percent(getattr(one, key)) + _bracket(one.intervals.get(key, _NONE)) for one in sets.values())
        table.add_row(title, *cells)
    return table


def class_table(scores: Scores) -> Table:
    """The classes that the truth holds, worst IoU first, with the number of photographs that hold them.

    "minor" is the IoU within photographs where the class is minor; "lost": from how many, of how many, it vanished.
    """
    table = Table()
    table.add_column("class", overflow="fold")
    for title in ("IoU", "95 %", "FPR", "FNR", "edges F", "minor", "lost", "in"):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in sorted((entry for entry in scores.per_class if entry.truth_pixels), key=lambda entry: entry.iou):
        table.add_row(
            escape(entry.name),
            _percent(entry.iou),
            _ends(entry.intervals.get("iou", _NONE)),
            _percent(entry.false_positive_rate),
            _percent(entry.false_negative_rate),
            _percent(entry.boundary_f),
            _percent(entry.minor_iou),
            f"{entry.vanished_pairs}/{entry.tagged_pairs}" if entry.tagged_pairs else "-",
            str(entry.photographs),
        )
    return table


def print_checks(console: Console, checks: Iterable[Check], told: Collection[str] = ()) -> None:
    """What to know before a score is believed, a line each, but for those that were told before."""
    for check in checks:
        if check.text not in told:
            console.print(f"[bold]Note:[/bold] {escape(check.text)}", highlight=False, soft_wrap=True)


def comparison_tables(found: Comparison) -> Iterator[Table]:
    """IoU by class of every folder; differences from the first with their 95 % intervals; photographs that differ most.

    A difference whose interval holds zero is not marked: other photographs may turn it round.
    """
    first, *_ = found.scores
    table = Table(title="IoU", title_justify="left")
    table.add_column("class", overflow="fold")
    for name in found.scores:
        table.add_column(escape(name), justify="right", overflow="fold")
    for rows in zip(*(scores.per_class for scores in found.scores.values()), strict=True):
        if rows[0].truth_pixels:
            table.add_row(escape(rows[0].name), *(_percent(row.iou) for row in rows))
    yield table

    table = Table(title=f"less {escape(first)} (* sure at 95 %)", title_justify="left")
    table.add_column("all classes", no_wrap=True)
    for one in found.differences:
        table.add_column(escape(one.name), justify="right", overflow="fold")
    for key, title in WHOLE.items():
        changes = [one.whole[key] for one in found.differences]
        table.add_row(
            title,
            *(
                _signed(change.value) + ("*" if _sure(change.interval) else "") + _bracket(change.interval, signed=True)
                for change in changes
            ),
        )
    yield table

    for one in found.differences:
        title = f"photographs where {escape(one.name)} differs most from {escape(first)}, mIoU"
        table = Table(title=title, title_justify="left")
        table.add_column("photograph", overflow="fold")
        for name in (first, one.name):
            table.add_column(escape(name), justify="right", overflow="fold")
        for image in one.most:
            table.add_row(escape(image.name), _percent(image.before), _percent(image.after))
        if one.most:
            yield table


_NONE = Interval(math.nan, math.nan)


def _sure(interval: Interval) -> bool:
    return interval.low > 0 or interval.high < 0


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:+.1f}"


def _ends(interval: Interval, signed: bool = False) -> str:
    if math.isnan(interval.low):
        return "-"
    show = _signed if signed else _percent
    return f"{show(interval.low)}…{show(interval.high)}"


def _bracket(interval: Interval, signed: bool = False) -> str:
    return "" if math.isnan(interval.low) else f" ({_ends(interval, signed)})"
