"""Prints the content of a data set, exports, and lists."""

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from dhr.api.result import TableResult
from dhr.api.results import ExportResult, FeaturesResult, InspectResult
from dhr.cli.terminal import Terminal, table
from dhr.words import counted

_ROWS = 25  # classes of the table
_ROLES = {"uss": "USS: which regions look alike, without labels", "wss": "WSS: where the tagged classes are"}


def inspect(terminal: Terminal, result: InspectResult) -> None:
    """Print counts, the most frequent classes, notes, and broken files."""
    from dhr.inspection import notes

    found = result.inspection
    tags = sum(count * photographs for count, photographs in found.tags.items())
    sides = [max(size) for size in found.sizes]
    span = "" if not sides else f", {_span(min(sides), max(sides))} pixels long"
    many = max(found.photographs, 1)
    terminal.say(
        f"{counted(found.photographs, 'photograph')}, {tags / many:.1f} tags each{span}, "
        f"{found.listed_truth} with ground truth"
    )
    truth = ["in ground truth"] if found.read_ground_truth else []
    rows = table(["class"], ["photographs", "alone", *truth])
    rows.add_column("most often with", overflow="fold")
    ranked = sorted(found.classes, key=lambda one: (-one.photographs, one.id))
    shown = [one for one in ranked if one.photographs][:_ROWS]
    for one in shown:
        row = found.together[one.id].copy()
        row[one.id] = 0
        most = int(row.argmax())
        company = f"{escape(found.table.names[most])} ({row[most]})" if row[most] else ""
        cells = (str(one.in_truth),) if truth else ()
        rows.add_row(escape(one.name), str(one.photographs), str(one.alone), *cells, company)
    terminal.print(rows)
    if more := len(ranked) - len(shown):
        terminal.say(f"and {more} more {'class' if more == 1 else 'classes'}")
    for note in notes(found):
        mark = "[bold red]![/]" if note.warning else "-"
        terminal.print(f"{mark} {escape(' '.join(note.text.split()))}", highlight=False, soft_wrap=True)
    terminal.left_out(result.left_out, "--json FILE names all of them", "Broken")
    if result.page is not None:
        terminal.say(f"Page: {result.page}")


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def export(terminal: Terminal, result: ExportResult) -> None:
    """Print the files that were written, and the masks that were left out."""
    terminal.notes(result.notes)
    terminal.left_out(result.left_out)
    if result.kept:
        terminal.say(f"{result.kept} of the masks were there already.")
    terminal.say(result.summary)


def features(terminal: Terminal, result: FeaturesResult) -> None:
    """Print how many features were computed, and the size of the store."""
    terminal.notes(result.notes)
    terminal.left_out(result.left_out)
    if result.removed:
        terminal.say(
            f"{result.removed} least recently used entries were deleted; raise --limit, or keep less with --pca, --bits"
        )
    terminal.say(result.summary)


def written(terminal: Terminal, result: TableResult) -> None:
    """Print the photographs that were left out, and the file or folder."""
    terminal.notes(result.notes)
    terminal.left_out(result.left_out)
    terminal.say(result.summary)


def text(terminal: Terminal, result: TableResult) -> None:
    """Print the text."""
    terminal.print(result.text, markup=False, highlight=False, soft_wrap=True)


def models(terminal: Terminal, result: TableResult) -> None:
    """Print a list of models, or the files that were fetched."""
    rows = result.rows()
    if not rows or "role" not in rows[0]:
        for row in rows:
            terminal.say(f"{row['model']}: {row['file']}")
        terminal.say(result.text)
        return
    for role, title in _ROLES.items():
        terminal.print(f"[bold]{title}[/bold]")
        _models(terminal, [row for row in rows if row["role"] == role])
    terminal.say(
        "Other networks of timm work as well (docs/models.md). `million` is the number of parameters. Only the hub's "
        "cache on this machine was searched for weights. `on request`: accept the licence on the model's page of the "
        "hub, and log in with `hf auth login`."
    )
    for file in result.files:
        terminal.say(f"List: {file}")


def _models(terminal: Terminal, rows: Sequence[dict[str, Any]]) -> None:
    wide = max(len(row["name"]) for row in rows)
    terminal.say(f"{'model':<{wide}} channels stride million  weights; licence")
    for row in rows:
        channels, stride = (str(number) if number else "-" for number in (row["dim"], row["stride"]))
        size = "-" if row["parameters"] is None else f"{row['parameters']:.1f}"
        chosen = " ".join(f"--{row['role']}.{name} {value}" for name, value in row["settings"].items())
        terminal.say(f"{row['name']:<{wide}} {channels:>8} {stride:>6} {size:>7}  {row['weights']}; {row['licence']}")
        for below in filter(None, (chosen, row["note"])):
            terminal.print(f"    [dim]{escape(below)}[/dim]", highlight=False, soft_wrap=True)
    terminal.print()
