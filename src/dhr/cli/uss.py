"""``dhr uss train``."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dhr.cli.left_out import print_problems
from dhr.cli.progress import Bars
from dhr.job.head import HeadTraining, train_head
from dhr.job.weights import require_first
from dhr.models.remote import uss_remote


def train(data: Path, split: str | None, out: Path, config: HeadTraining) -> int:
    """Train a head; 1 if photographs had to be left out, else 0."""
    require_first([uss_remote(config.uss)], data, out)
    console = Console()
    with Bars(console) as bars:
        trained = train_head(data, split, out, config, progress=bars)
    print_problems(console, trained.skipped, f"all of them are in {out / 'run.json'}")
    console.print(f"Head of {trained.photographs} photographs: {escape(str(trained.head))}", soft_wrap=True)
    console.print(
        f"Use it: dhr run --uss.kind {config.kind} --uss.head {escape(str(trained.head))} and the same uss.model, "
        "uss.weights and uss.block",
        soft_wrap=True, highlight=False,
    )  # fmt: skip
    return 1 if trained.skipped else 0
