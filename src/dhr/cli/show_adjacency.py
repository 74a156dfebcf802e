"""Prints which classes touch, and which vanish beside which others."""

from rich.markup import escape
from rich.table import Table

from dhr.api.results import AdjacencyResult
from dhr.cli.terminal import Terminal, table
from dhr.evaluate.adjacency import Adjacency
from dhr.evaluate.scores import share
from dhr.evaluate.vanishing import LOW_RECALL, Rate, Vanishing
from dhr.words import counted, percent

_ROWS = 15  # pairs of classes that a table shows
_LOST = ("seen in", "vanished, %", f"under {100 * LOW_RECALL:.0f} % found, %")


def adjacency(terminal: Terminal, result: AdjacencyResult) -> None:
    """Print the shares, the pairs of classes with the largest areas, and masks that were left out."""
    found = result.adjacency
    terminal.notes(check.text for check in found.checks)
    regions = "each class of a mask" if found.whole_classes else "connected parts"
    terminal.say(f"{counted(found.masks, 'mask')}. Regions: {regions}; they touch within {found.contact:g} pixels.")
    rows = table([""], ["%"])
    rows.add_row("foreground in regions that touch another class", percent(found.adjacent), style="bold")
    if found.classes.supers is not None:
        rows.add_row("of it, touching other super-classes only (inter)", percent(found.inter), style="bold")
        rows.add_row("of it, each by the share of other super-classes it touches", percent(found.inter_shared))
        rows.add_row("of it, touching at least one other super-class", percent(found.inter_any))
    terminal.print(rows)
    if found.classes.supers is None:
        terminal.say("The super-classes are unknown; name them with --supers FILE, or --groups uss.")
    pairs = found.ranked()
    if pairs:
        terminal.print(_pairs(found, pairs))
    if found.vanishing is not None:
        _vanishing(terminal, found.vanishing)
    terminal.left_out(result.left_out, "--json FILE names all of them")


def _pairs(found: Adjacency, pairs: list[tuple[int, int]]) -> Table:
    most = f", the {_ROWS} of {len(pairs)} pairs with the largest area" if len(pairs) > _ROWS else ""
    title = f"Classes that touch{most}; % of the area of each"
    rows = table(["class", "other class"], ["masks", "class, %", "other, %"], title)
    rows.add_column("super-class", overflow="fold")
    names, upper = found.classes.names, found.classes.supers
    for i, j in pairs[:_ROWS]:
        rows.add_row(
            escape(names[i]),
            escape(names[j]),
            str(found.together[i, j]),
            percent(found.pairs[i, j] / found.pairs[i, i]),
            percent(found.pairs[j, i] / found.pairs[j, j]),
            "" if upper is None else "same" if upper[i] == upper[j] else "other",
        )
    return rows


def _vanishing(terminal: Terminal, found: Vanishing) -> None:
    rows = table([""], _LOST, f"Classes in {counted(found.compared, 'predicted mask')}")
    named = (("alone", found.alone), ("with others, touching none", found.apart), ("touching another", found.touching))
    for name, rate in named:
        rows.add_row(name, *_rate(rate))
    terminal.print(rows)
    pairs = [pair for pair in found.pairs() if pair[2].low]
    if not pairs:
        return
    rows = table(["class", "companion"], _LOST, "Which classes vanish beside which others")
    for first, second, rate, _ in pairs[:_ROWS]:
        rows.add_row(escape(first), escape(second), *_rate(rate))
    terminal.print(rows)


def _rate(rate: Rate) -> tuple[str, str, str]:
    whole = rate.appearances
    return str(whole), percent(share(rate.vanished, whole)), percent(share(rate.low, whole))
