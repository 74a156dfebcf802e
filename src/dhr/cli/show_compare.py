"""Prints the table of ``dhr compare``."""

from collections.abc import Mapping

from rich.markup import escape
from rich.table import Table

from dhr.api.compare import CompareResult
from dhr.cli.show_scores import bracket, sure
from dhr.cli.terminal import Terminal, table
from dhr.evaluate.bootstrap import NO_INTERVAL
from dhr.evaluate.scores import WHOLE, Scores
from dhr.evaluate.table import SHOWN, Line, RowTable
from dhr.words import counted, duration, percent

_WIDE = 120  # characters from which all scores have intervals
_LOST = 12  # classes of the table of vanished classes


def compare(terminal: Terminal, result: CompareResult) -> None:
    """Print the table, differences from the first row, vanished classes, and failed rows."""
    found = result.table
    terminal.notes(result.notes)
    terminal.print(row_table(found, terminal.width))
    for name, source in found.sources.items():
        terminal.say(f"Published, not measured here: {name}: {source}")
    if found.differences:
        terminal.print(difference_table(found))
    if any(entry.vanished_pairs for one in found.scored.values() for entry in one.per_class):
        terminal.print(vanished_table(found.scored))
    terminal.left_out(result.left_out)
    first = next(iter(found.scored.values()))
    missing = f", {counted(len(first.missing), 'photograph')} left out" if first.missing else ""
    terminal.say(f"{counted(first.photographs, 'photograph')}{missing}; scores in %")
    for file in result.files:
        terminal.say(f"Table: {file}")


def row_table(found: RowTable, width: int) -> Table:
    """Make a table with one line per row; 95 % intervals in brackets, in narrow terminals only for mIoU."""
    made = table(["row"], [*(WHOLE[name] for name in SHOWN), "time", "published mIoU"])
    for line in found.lines:
        scores = [_score(line, name, width >= _WIDE or name == "miou") for name in SHOWN]
        time = "-" if line.seconds is None else duration(line.seconds)
        made.add_row(escape(line.name), *scores, time, "-" if line.published is None else f"{line.published.miou:.1f}")
    for name, one in found.elsewhere.items():
        made.add_row(escape(name), *["-"] * (len(SHOWN) + 1), f"{one.miou:.1f}")
    return made


def difference_table(found: RowTable) -> Table:
    """Make a table of differences from the first row; * marks those whose interval does not contain 0."""
    title = f"less {escape(found.differences[0].against)} (* sure at 95 %)"
    made = table(["row"], [WHOLE[name] for name in SHOWN], title)
    for one in found.differences:
        changes = [one.whole[name] for name in SHOWN]
        cells = (
            percent(change.value, signed=True)
            + ("*" if sure(change.interval) else "")
            + bracket(change.interval, signed=True)
            for change in changes
        )
        made.add_row(escape(one.name), *cells)
    return made


def vanished_table(scored: Mapping[str, Scores]) -> Table:
    """Make a table of the classes that vanished most: from how many of the photographs that are tagged with them."""
    made = table(["class"], [*map(escape, scored), "of"], "photographs from which a tagged class vanished")
    rows = list(zip(*(one.per_class for one in scored.values()), strict=True))
    rows.sort(key=lambda entries: -max(entry.vanished_pairs for entry in entries))
    for entries in rows[:_LOST]:
        if any(entry.vanished_pairs for entry in entries):
            counts = [str(entry.vanished_pairs) for entry in entries]
            made.add_row(escape(entries[0].name), *counts, str(entries[0].tagged_pairs))
    return made


def _score(line: Line, name: str, whole: bool) -> str:
    if line.scores is None:
        return "-"
    ends = line.scores.intervals.get(name, NO_INTERVAL)
    return percent(getattr(line.scores, name)) + (bracket(ends) if whole else "")
