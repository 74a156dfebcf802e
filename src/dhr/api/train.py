"""A network that segments photographs without tags: ``dhr.train``."""

from pathlib import Path

from dhr.api.data import Data, opened, refuse_missing
from dhr.api.results import TrainResult
from dhr.api.settings import Config, run_settings
from dhr.data.samples import DataSet
from dhr.errors import ConfigError
from dhr.job.settings import RunConfig
from dhr.progress import Progress, silent
from dhr.results.places import masks_meant


def train(
    data: Data,
    out: Path | str,
    *,
    masks: Path | str | None = None,
    config: Config = "default",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a student: a network that segments photographs without tags.

    It learns from photographs, their tags, and masks of any method. In every step its own maps are rebalanced, and its
    decoder learns from them, too (recursion, Section 3.3 of the paper). With --no-student-training.recursion it learns
    from the masks alone. `--student.kind mask2former` trains a Mask2Former on finished masks instead
    (configs/paper/*_swin_mask2former.yaml).

    The output folder gets student.safetensors (for `dhr predict` and `dhr onnx`), training/ (losses, pictures,
    checkpoints) and classifier.safetensors. The same command continues an interrupted training, and ends with the same
    weights. Several processes: --student-training.devices N, torchrun or SLURM. A student of a run's masks: `--masks
    OUT/masks --classifier.file OUT/classifier.safetensors --no-student-training.recursion`.

    Args:
        data: the data folder.
        out: the output folder: new, empty, or of the same training.
        masks: folder of masks to begin with, NAME.png, or OUT/rows; without it the student learns from its own maps.
        config: settings; a recipe or preset, a YAML file, or single ones.
        dry_run: tell what would be done, and do nothing.
        progress: called as the work goes on.

    Returns:
        Where the student is.

    Raises:
        ConfigError: settings that cannot work together.
        DataError: no photograph is left, or the masks cannot be used.
        WeightsError: the weights of a network cannot be had.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    settings, _ = run_settings(config)
    out, show = Path(out), progress or silent
    if masks is None and settings.student.kind != "joint":
        raise ConfigError(f"student.kind {settings.student.kind} learns finished masks; name them with --masks DIR")
    refuse_missing(data)
    if dry_run:
        return _dry(opened(data, show), out, settings, None if masks is None else Path(masks))
    from dhr.api.weights import require_first
    from dhr.job.train import train as train_student
    from dhr.job.weights import train_weights

    require_first(train_weights(settings), data, out)
    photographs = opened(data, show)
    done = train_student(
        photographs, out, settings, masks=None if masks is None else masks_meant(Path(masks)), progress=show
    )
    return TrainResult(out, done.student, done.photographs, done.skipped, (*photographs.notes, *done.notes))


def _dry(photographs: DataSet, out: Path, settings: RunConfig, masks: Path | None) -> TrainResult:
    """Return the result of a dry run: the stages that are not made yet."""
    from dhr.corrections.beside import corrections_beside
    from dhr.corrections.decisions import rejected_among
    from dhr.job.dry_run import DryRun
    from dhr.job.folder import OutputFolder
    from dhr.job.left import LeftStage

    folder, store = OutputFolder(out), None if masks is None else corrections_beside(masks)
    rejected = tuple(sample.name for sample in rejected_among(photographs, store))
    many = len(photographs.samples) - len(rejected)
    files = {"student": folder.student}
    if settings.student.kind == "joint":
        if settings.student_training.recursion and settings.method.survey > 0:
            files = {"survey": folder.survey, **files}
        if settings.classifier.file is None:
            files = {"classifier": out / "classifier.safetensors", **files}
    stages = [LeftStage(name, many, "not made yet") for name, file in files.items() if not file.is_file()]
    left = tuple(stages) if not folder.student.is_file() else ()
    work = DryRun(left, None, (), (), (), tuple(photographs.problems), rejected)
    return TrainResult(out, folder.student, many, work.skipped, tuple(photographs.notes), work)
