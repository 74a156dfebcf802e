"""``dhr export``."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dhr.cli.left_out import print_problems
from dhr.cli.opening import opened
from dhr.cli.progress import Bars
from dhr.data.open import AUTO
from dhr.errors import OutputError
from dhr.export import ExportConfig
from dhr.export import export as export_masks


def export(
    data: Path,
    pred: Path,
    to: str,
    out: Path,
    split: str | None,
    config: ExportConfig,
    layout: str = AUTO,
    lenient: bool = False,
) -> int:
    """Write masks for another tool; 1 if some had to be left out, else 0."""
    console = Console()
    for folder in (data / "images", pred):
        if out.resolve().is_relative_to(folder.resolve()):
            raise OutputError(f"--out {out} lies in {folder}, which is read; choose a place outside of it")
    with Bars(console) as bars:
        photographs = opened(data, split, layout, bars, lenient)
        done = export_masks(photographs, pred, to, out, config, split=split, progress=bars)
    for note in done.notes:
        console.print(f"[bold]Note:[/bold] {escape(note)}", highlight=False, soft_wrap=True)
    print_problems(console, done.problems)
    if done.kept:
        console.print(f"{done.kept} of the masks were there already.")
    console.print(f"{done.masks} masks as {to}: {escape(str(done.path))}", highlight=False, soft_wrap=True)
    return 1 if done.problems else 0
