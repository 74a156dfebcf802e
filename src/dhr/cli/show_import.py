"""Prints what became of imported masks."""

from rich.markup import escape

from dhr.api.import_masks import ImportResult
from dhr.cli.terminal import Terminal, table

_ROWS = 25  # photographs of the table


def show(terminal: Terminal, result: ImportResult) -> None:
    """Print the mended masks, those with most changes first, and the masks that were left out."""
    terminal.notes(result.notes)
    terminal.left_out(result.left_out)
    mended = [one for one in result.taken if one.state == "mended"]
    if mended:
        rows = table(["mended"], ["pixels that differ", "share"])
        for one in mended[:_ROWS]:
            rows.add_row(escape(one.name), str(one.pixels), f"{100 * one.share:.1f} %")
        terminal.print(rows)
    if len(mended) > _ROWS:
        terminal.say(f"and {len(mended) - _ROWS} more")
    terminal.say(result.summary)
