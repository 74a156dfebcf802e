"""Prints scores, in percent."""

import math
from collections.abc import Iterator, Mapping

from rich.markup import escape
from rich.table import Table

from dhr.api.result import TableResult
from dhr.api.results import EvaluateResult
from dhr.cli.terminal import Terminal, table
from dhr.evaluate import Comparison, Scores
from dhr.evaluate.bootstrap import Interval
from dhr.evaluate.scores import WHOLE
from dhr.words import STAGE_NAMES, counted, percent

_WIDE = 80  # characters from which tables have all columns
_NONE = Interval(math.nan, math.nan)


def evaluate(terminal: Terminal, result: EvaluateResult) -> None:
    """Print notes, scores by class and of all classes, differences, and masks that were not scored."""
    found, last = result.comparison, result.scores
    # Of a run, the stages before the last are there to be compared with it: they may lack classes.
    terminal.notes(check.text for check in (last.checks if result.stages else found.checks))
    if result.stages or len(found.scores) == 1:
        terminal.print(class_table(last, terminal.width))
    if result.stages:
        stages = {STAGE_NAMES[stage]: one for stage, one in found.scores.items()}
        terminal.print(stage_table(stages, terminal.width))
    terminal.print(whole_table({"final mask": last} if result.stages else found.scores))
    if not result.stages and len(found.scores) > 1:
        for rows in comparison_tables(found):
            terminal.print(rows)
    terminal.left_out(result.left_out)
    for text in _not_scored(found, result.stages):
        terminal.say(text)
    terminal.say(f"{counted(last.photographs, 'photograph')}, {counted(result.threads, 'thread')}; scores in %")
    for file in result.files:
        terminal.say(f"{'Report' if file.suffix == '.html' else 'Plot'}: {file}")


def demo(terminal: Terminal, result: TableResult) -> None:
    """Print the scores of each stage and preset, and where the reports are."""
    rows = result.rows()
    made = table(["masks"], [name for name in rows[0] if name != "masks"])
    for row in rows:
        made.add_row(*row.values())
    terminal.print(made)
    for file in result.files:
        terminal.say(f"Report: {file}")
    terminal.say(f"Look at the masks, and mend them: dhr review --run {result.files[0].parent}")


def stage_table(stages: Mapping[str, Scores], width: int = _WIDE) -> Table:
    """Make a table with one line per set of masks; in a narrow terminal it has fewer columns.

    "vanished" is the share of tagged classes with 0.5 % or more of a photograph's labelled pixels that have none in
    its mask.
    """
    names = ("miou", "minor_iou", "pixel_accuracy", "boundary_f", "vanished")
    chosen = names if width >= _WIDE else ("miou", "minor_iou", "vanished")
    rows = table(["masks"], [WHOLE[name] for name in chosen])
    for name, scores in stages.items():
        rows.add_row(escape(name), *(percent(getattr(scores, key)) for key in chosen))
    return rows


def whole_table(sets: Mapping[str, Scores]) -> Table:
    """Make a table of every score over all classes, one column per set of masks; 95 % intervals in brackets."""
    rows = table(["all classes"], [escape(name) for name in sets])
    for key, title in WHOLE.items():
        cells = (percent(getattr(one, key)) + bracket(one.intervals.get(key, _NONE)) for one in sets.values())
        rows.add_row(title, *cells)
    return rows


def class_table(scores: Scores, width: int = _WIDE) -> Table:
    """Make a table of the classes in the ground truth, worst IoU first, with the number of photographs that show them.

    "minor" is the IoU within photographs where the class is minor; "lost": from how many, of how many, it vanished.
    """
    more = ("FPR", "FNR", WHOLE["boundary_f"]) if width >= _WIDE else ()
    rows = table(["class"], ["IoU", "95 %", *more, "minor", "lost", "in"])
    for entry in sorted((entry for entry in scores.per_class if entry.truth_pixels), key=lambda entry: entry.iou):
        wide = (entry.false_positive_rate, entry.false_negative_rate, entry.boundary_f) if more else ()
        rows.add_row(
            escape(entry.name),
            percent(entry.iou),
            _ends(entry.intervals.get("iou", _NONE)),
            *map(percent, wide),
            percent(entry.minor_iou),
            f"{entry.vanished_pairs}/{entry.tagged_pairs}" if entry.tagged_pairs else "-",
            str(entry.photographs),
        )
    return rows


def comparison_tables(found: Comparison) -> Iterator[Table]:
    """Make tables: IoU by class of every folder; differences from the first; photographs that differ most.

    Differences have 95 % intervals. One that contains zero is not marked: with other photographs the difference may
    have the other sign.
    """
    first, *_ = found.scores
    rows = table(["class"], [escape(name) for name in found.scores], "IoU")
    for entries in zip(*(scores.per_class for scores in found.scores.values()), strict=True):
        if entries[0].truth_pixels:
            rows.add_row(escape(entries[0].name), *(percent(entry.iou) for entry in entries))
    yield rows

    names = [escape(one.name) for one in found.differences]
    rows = table(["all classes"], names, f"less {escape(first)} (* sure at 95 %)")
    for key, title in WHOLE.items():
        changes = [one.whole[key] for one in found.differences]
        cells = (
            percent(one.value, signed=True) + ("*" if sure(one.interval) else "") + bracket(one.interval, signed=True)
            for one in changes
        )
        rows.add_row(title, *cells)
    yield rows

    for one in found.differences:
        title = f"photographs where {escape(one.name)} differs most from {escape(first)}, mIoU"
        rows = table(["photograph"], [escape(first), escape(one.name)], title)
        for image in one.most:
            rows.add_row(escape(image.name), percent(image.before), percent(image.after))
        if one.most:
            yield rows


def _not_scored(found: Comparison, of_run: bool) -> list[str]:
    """Name the masks that were not scored, one line per reason."""
    lines = dict[str, None]()  # the stages of a run mostly lack the same
    for name, one in found.scores.items():
        where = "" if of_run or len(found.scores) == 1 else f"{name}: "
        reasons = {
            "without a mask": "missing",
            "with a mask of another size": "wrong_size",
            "masks of no photograph": "extra",
        }
        for reason, member in reasons.items():
            if number := one.number(member):
                lines[f"{where}{number} {reason}, not scored: {', '.join(getattr(one, member)[:5])}"] = None
        if one.elsewhere and not of_run:
            lines[f"{where}{one.elsewhere} not scored because another folder lacks them"] = None
    return list(lines)


def sure(interval: Interval) -> bool:
    """Tell whether an interval of a difference does not contain 0."""
    return interval.low > 0 or interval.high < 0


def _ends(interval: Interval, signed: bool = False) -> str:
    if math.isnan(interval.low):
        return "-"
    return f"{percent(interval.low, signed)}…{percent(interval.high, signed)}"


def bracket(interval: Interval, signed: bool = False) -> str:
    """Return the ends of an interval in brackets, after a value; empty if unknown."""
    return "" if math.isnan(interval.low) else f" ({_ends(interval, signed)})"
