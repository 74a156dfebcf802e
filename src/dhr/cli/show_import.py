"""Prints what became of imported masks."""

from rich.markup import escape

from dhr.api.import_masks import ImportResult
from dhr.cli.terminal import Terminal, table

_ROWS = 25  # photographs of the table


def show(terminal: Terminal, result: ImportResult) -> None:
    """Print the new corrections, those with most changes first, and the masks that were left out."""
    terminal.notes(result.notes)
    terminal.left_out(result.left_out)
    if result.taken:
        rows = table(["photograph"], ["state", "pixels", "share"])
        for one in result.taken[:_ROWS]:
            rows.add_row(escape(one.name), one.state, str(one.pixels), f"{100 * one.share:.1f} %")
        terminal.print(rows)
        if len(result.taken) > _ROWS:
            terminal.say(f"and {len(result.taken) - _ROWS} more")
    terminal.say(result.summary)
