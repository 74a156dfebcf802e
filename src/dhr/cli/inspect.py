"""``dhr inspect``."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dhr.cli.left_out import print_problems
from dhr.cli.opening import opened, refuse_among
from dhr.cli.progress import Bars
from dhr.data.open import AUTO, format_of
from dhr.files import check_output, is_stream, write_json_output
from dhr.inspection import Inspection, inspect_data, notes, write_page

_ROWS = 25  # classes of the table


def inspect(
    data: Path,
    split: str | None,
    out: Path | None,
    json: Path | None,
    workers: int | None,
    layout: str = AUTO,
    lenient: bool = False,
) -> int:
    """Say what a data set holds; 1 if something of it is broken, else 0."""
    console = Console()
    page = None if out is None else out if out.suffix.lower() in (".html", ".htm") else out / "inspect.html"
    page = out if out is not None and is_stream(out) else page
    for path in (page, json):
        if path is not None:
            check_output(path)
    with Bars(console) as bars:
        photographs = opened(data, split, layout, bars, lenient)
        for path in (page, json):
            if path is not None:
                refuse_among(path.parent, data, photographs)
        found = inspect_data(photographs, bars, workers)
    kind = format_of(data) if layout == AUTO else layout
    _print(console, found)
    if page is not None:
        facts = {"format": kind, **({} if split is None else {"split": split})}
        write_page(page, found, data.resolve().name, facts)
        console.print(f"Page: {escape(str(page))}", highlight=False, soft_wrap=True)
    if json is not None:
        values = {"format": kind, "split": split, **found.to_json()}
        values["notes"] = [{"warning": one.warning, "text": one.text} for one in notes(found)]
        write_json_output(json, values)
        console.print(f"Figures: {escape(str(json))}", highlight=False, soft_wrap=True)
    return 1 if found.problems else 0


def _print(console: Console, found: Inspection) -> None:
    tags = sum(count * photographs for count, photographs in found.tags.items())
    sides = [max(size) for size in found.sizes]
    console.print(
        f"{found.photographs} photographs, {tags / found.photographs:.1f} tags each"
        + (f", {_span(min(sides), max(sides))} pixels long" if sides else "")
        + f", {found.listed_truth} with truth",
        highlight=False,
    )
    table = Table()
    table.add_column("class", overflow="fold")
    truth = ("in truth",) if found.read_ground_truth else ()
    for title in ("photographs", "alone", *truth, "most often with"):
        table.add_column(title, justify="left" if "with" in title else "right", overflow="fold")
    ranked = sorted(found.classes, key=lambda one: (-one.photographs, one.id))
    shown = [one for one in ranked if one.photographs][:_ROWS]
    for one in shown:
        row = found.together[one.id].copy()
        row[one.id] = 0
        most = int(row.argmax())
        company = f"{escape(found.table.names[most])} ({row[most]})" if row[most] else ""
        cells = (str(one.in_truth),) if truth else ()
        table.add_row(escape(one.name), str(one.photographs), str(one.alone), *cells, company)
    console.print(table)
    if more := len(ranked) - len(shown):
        console.print(f"and {more} more {'class' if more == 1 else 'classes'}", highlight=False)
    for note in notes(found):
        mark = "[bold red]![/]" if note.warning else "-"
        console.print(f"{mark} {escape(' '.join(note.text.split()))}", highlight=False, soft_wrap=True)
    print_problems(console, found.problems, "--json FILE names all of them", "Broken")


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"
