"""``dhr evaluate``."""

import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dhr import evaluate as scoring
from dhr.cli.progress import Bars
from dhr.data.open import open_data
from dhr.evaluate import Scores
from dhr.files import write_json
from dhr.report import write_report

STAGE_NAMES = {
    "cam": "CAM",
    "base": "base mask",
    "seed": "Step 1, seeds",
    "inter": "Step 2, inter-class",
    "intra": "Step 3, intra-class",
    "mask": "final mask",
}
"""What tables call the stages."""


def evaluate(
    data: Path, pred: Path, split: str | None, json: Path | None, allow_missing: bool, layout: str = "auto"
) -> int:
    """Score masks; 1 if photographs had to be left out because their masks are missing, else 0."""
    console = Console()
    out = pred.resolve().parent
    of_run = pred.resolve().name == "masks" and (out / "run.json").is_file()
    with Bars(console) as bars:
        photographs = open_data(data, split, layout, lambda done, total: bars("open", done, total))

        def progress(done: int, total: int) -> None:
            bars("evaluate", done, total)

        if of_run:
            stages = scoring.evaluate_stages(photographs, out, allow_missing=allow_missing, progress=progress)
        else:
            stages = {
                "mask": scoring.evaluate(photographs, pred, allow_missing=allow_missing, progress=progress),
            }
    scores = stages["mask"]
    console.print(class_table(scores))
    console.print(stage_table({STAGE_NAMES[stage]: one for stage, one in stages.items()}))
    for text, names in (("without a mask", scores.missing), ("masks of no photograph", scores.extra)):
        if names:
            console.print(f"{len(names)} {text}, not scored: {escape(', '.join(names[:5]))}", soft_wrap=True)
    if json is not None:
        write_json(json, scores.to_json())
    if of_run:
        report = write_report(out, photographs, stages)
        console.print(f"Report: {escape(str(report))}", highlight=False, soft_wrap=True)
    return 1 if scores.missing else 0


def stage_table(stages: Mapping[str, Scores]) -> Table:
    """One line for each set of masks, in percent.

    "vanished" is the share of tagged classes with 0.5 % or more of a photograph's labelled pixels that have none in
    its mask.
    """
    table = Table()
    table.add_column("masks", no_wrap=True)
    for title in ("mIoU", "minor IoU", "accuracy", "edges F", "vanished"):
        table.add_column(title, justify="right")
    for name, scores in stages.items():
        values = (scores.miou, scores.minor_iou, scores.pixel_accuracy, scores.boundary_f, scores.vanished)
        table.add_row(name, *(_percent(value) for value in values))
    return table


def class_table(scores: Scores) -> Table:
    """IoU of every class that the truth holds, worst first."""
    table = Table()
    table.add_column("class")
    table.add_column("IoU", justify="right")
    table.add_column("share of pixels", justify="right")
    total = sum(entry.truth_pixels for entry in scores.per_class)
    for entry in sorted((entry for entry in scores.per_class if entry.truth_pixels), key=lambda entry: entry.iou):
        table.add_row(escape(entry.name), _percent(entry.iou), _percent(entry.truth_pixels / total))
    return table


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
