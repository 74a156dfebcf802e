"""A student trained on masks of any origin, by one process or several."""

from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dhr
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import ConfigError, ItemError
from dhr.models.wss.classifier import TagClassifier
from dhr.pipeline.folder import OutputFolder
from dhr.pipeline.models import build_models, train
from dhr.pipeline.scan import Scan, scan
from dhr.pipeline.settings import RunConfig, plain
from dhr.pipeline.students import Masks, Progress, trained_student
from dhr.train.joint import make_fabric


@dataclass(frozen=True)
class Trained:
    """What a training ended with."""

    student: Path
    photographs: int
    skipped: tuple[Problem, ...]


def train_on_masks(
    data: DataSet,
    masks: Path | None,
    out: Path,
    config: RunConfig,
    progress: Progress = lambda stage, done, total, note: None,
) -> Trained:
    """Train the classifier on the tags, then the student on ``masks`` and on what its own maps make of them.

    Args:
        masks: folder of ``NAME.png``; without it, the student's own maps are all that it learns from.
        out: a new or empty folder, or one of the same training, which is continued.

    Raises:
        ConfigError: settings that cannot work together.
        DataError: no photograph is left.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: a model's weights cannot be had.
    """
    if masks is None and not config.joint.recursion:
        raise ConfigError("without masks there is nothing to learn from: name --masks DIR, or --joint.recursion true")
    device = config.find_device()
    fabric = make_fabric(config.joint, device)
    fabric.launch()
    if not fabric.is_global_zero:
        progress = lambda stage, done, total, note: None  # noqa: E731
    folder = OutputFolder(out)
    settings = {**config.identity(device), "student": asdict(config.student), "joint": asdict(config.joint)}
    settings["joint"].pop("workers")
    with ExitStack() as stack:
        if fabric.is_global_zero:
            stack.enter_context(closing(folder.lock()))
            record = folder.read() or {}
            identity: dict[str, Any] = {"dhr": dhr.__version__, "settings": plain(settings)}
            folder.refuse_other(record.get("identity", {}), identity)
            folder.write_record({"status": "running", "command": "train", "identity": identity})
            found = _scan(data, folder, progress)
            models = build_models(data, config, folder, fabric.device)
            train(
                models.wss, data, found.samples, config, folder,
                lambda done, total: progress("classifier", done, total, ""),
            )  # fmt: skip
        fabric.barrier()
        found = _scan(data, folder, lambda stage, done, total, note: None)
        models = build_models(data, config, folder, fabric.device)
        if not isinstance(models.wss, TagClassifier):
            raise ConfigError("a student needs a classifier that is trained on the tags (wss.kind classifier or irn)")
        usable, problems = _usable(data, found, None if masks is None else Masks(masks, data.classes))
        trained_student(
            data, usable, models.wss, models.uss, None if masks is None else Masks(masks, data.classes), config, folder,
            fabric, {"photographs": found.digest}, progress,
        )  # fmt: skip
        if fabric.is_global_zero:
            skipped = [asdict(problem) for problem in problems]
            folder.write_record(
                {"status": "finished", "command": "train", "identity": identity, "photographs": len(usable),
                 "skipped": skipped}
            )  # fmt: skip
    return Trained(folder.student, len(usable), tuple(problems))


def _scan(data: DataSet, folder: OutputFolder, progress: Progress) -> Scan:
    return scan(data, folder, lambda done, total: progress("scan", done, total, ""))


def _usable(data: DataSet, found: Scan, masks: Masks | None) -> tuple[list[Sample], list[Problem]]:
    """Photographs that have a mask which fits, and what is wrong with the others."""
    usable, problems = [], list(found.problems)
    for sample in found.samples:
        try:
            if masks is not None:
                masks.check(sample, data.read_image(sample).shape[:2])
            usable.append(sample)
        except ItemError as error:
            problems.append(Problem(sample.source, str(error)))
    return usable, problems
