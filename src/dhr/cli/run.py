"""``dhr run``."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dhr import job
from dhr.cli.left_out import print_problems
from dhr.cli.opening import opened, refuse_among
from dhr.cli.progress import Bars
from dhr.data.open import AUTO
from dhr.job.run import run as run_job
from dhr.job.settings import RunConfig
from dhr.job.weights import require_first, run_weights
from dhr.report import write_report


def run(
    data: Path, out: Path, split: str | None, config: RunConfig, preset: str, layout: str = AUTO, lenient: bool = False
) -> int:
    """Make masks for the photographs of a folder; 1 if any had to be left out, else 0."""
    require_first(run_weights(config), data, out)
    console = Console()
    with Bars(console) as bars:
        photographs = opened(data, split, layout, bars, lenient)
        refuse_among(out, data, photographs)
        outcome = run_job(photographs, out, config, preset=preset, progress=bars)
    report = out / "report.html"
    # A run that was finished already keeps the report that it has, with the scores that were added to it.
    if not report.is_file() or report.stat().st_mtime_ns < (out / "run.json").stat().st_mtime_ns:
        write_report(out, photographs)
    summarise(console, outcome, report)
    return 1 if outcome.skipped else 0


def summarise(console: Console, outcome: job.Outcome, report: Path) -> None:
    """Print what a run ended with."""
    table = Table(title=f"{outcome.masks} masks in {escape(str(outcome.out / 'masks'))}", title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("peak memory, MB", justify="right")
    for row in outcome.stages:
        table.add_row(row.name, f"{row.seconds or 0:.1f}", f"{row.peak_memory_mb or 0:.0f}")
    console.print(table)
    if outcome.masks > outcome.new:
        console.print(f"{outcome.masks - outcome.new} of the masks were there already.")
    if outcome.vanished:
        which = "1 mask" if outcome.vanished == 1 else f"{outcome.vanished} masks"
        console.print(
            f"In {which} a tagged class has no pixel; the report marks {'it' if which == '1 mask' else 'them'}."
        )
    for note in outcome.notes:
        console.print(escape(note), highlight=False, soft_wrap=True)
    print_problems(console, outcome.skipped, f"all of them are in {outcome.out / 'run.json'}")
    console.print(f"Report: {escape(str(report))}", highlight=False, soft_wrap=True)
