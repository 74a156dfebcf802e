"""``dhr train``, ``dhr predict`` and ``dhr onnx``."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dhr.cli.left_out import print_problems
from dhr.cli.opening import opened
from dhr.cli.progress import Bars
from dhr.data.classes import enumeration
from dhr.data.open import AUTO
from dhr.files import check_output
from dhr.job.onnx import export_onnx
from dhr.job.predict import predict as predict_folder
from dhr.job.segment import PredictConfig
from dhr.job.settings import RunConfig
from dhr.job.train import train as train_student
from dhr.job.weights import require_first, train_weights
from dhr.report import write_report


def train(
    data: Path,
    masks: Path | None,
    out: Path,
    split: str | None,
    config: RunConfig,
    layout: str = AUTO,
    lenient: bool = False,
) -> int:
    """Train a student; 1 if photographs had to be left out, else 0."""
    require_first(train_weights(config), data, out)
    console = Console()
    with Bars(console) as bars:
        trained = train_student(opened(data, split, layout, bars, lenient), out, config, masks=masks, progress=bars)
    for note in trained.notes:
        console.print(f"[bold]Note:[/bold] {escape(note)}", highlight=False, soft_wrap=True)
    print_problems(console, trained.skipped, f"all of them are in {out / 'run.json'}")
    console.print(f"Student of {trained.photographs} photographs: {escape(str(trained.student))}", soft_wrap=True)
    console.print(f"Losses: {escape(str(out / 'training' / 'log.csv'))}", soft_wrap=True)
    return 1 if trained.skipped else 0


def predict(student: Path, images: Path, out: Path, tags: Path | None, config: PredictConfig) -> int:
    """Segment photographs; 1 if some had to be left out, else 0."""
    console = Console()
    with Bars(console) as bars:
        predicted = predict_folder(student, images, out, config, tags=tags, progress=bars)
        for note in predicted.notes:
            bars.note(note)
    print_problems(console, predicted.skipped, f"all of them are in {out / 'run.json'}")
    if predicted.strange:
        many = len(predicted.strange)
        count, them = ("1 mask belongs", "it") if many == 1 else (f"{many} masks belong", "them")
        console.print(
            f"{count} to no photograph here, or to an older version of one; remove {them}: "
            f"{escape(enumeration(predicted.strange))}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{predicted.masks} masks in {escape(str(out / 'masks'))}", soft_wrap=True)
    if predicted.masks:
        report = write_report(out, predicted.photographs)
        console.print(f"Report: {escape(str(report))}", soft_wrap=True)
    return 1 if predicted.skipped else 0


def onnx(student: Path, out: Path, height: int, width: int) -> int:
    """Write a student as ONNX, checked in onnxruntime."""
    check_output(out)
    worst = export_onnx(student, out, height, width)
    Console().print(f"{escape(str(out))}: probabilities differ from PyTorch's by at most {worst:.1g}", soft_wrap=True)
    return 0
