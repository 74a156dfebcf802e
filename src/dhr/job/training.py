"""A student trained on masks of any origin, by one process or several."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

import dhr
from dhr.data.agreement import Agreement
from dhr.data.mask_origin import Origins
from dhr.data.problems import summary
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import ConfigError, DataError, ItemError
from dhr.files import digest_regular
from dhr.job.deterministic import make_deterministic
from dhr.job.folder import OutputFolder
from dhr.job.models import build_models, finish
from dhr.job.scan import Scan, scan
from dhr.job.settings import RunConfig, plain
from dhr.job.students import (
    Masks,
    MissingMaskError,
    joint_course,
    mask2former_course,
    trained_student,
)
from dhr.progress import Progress, silent
from dhr.train.fabric import make_fabric
from dhr.train.student_training import StudentPlan

_SEVERAL = 3  # masks that cannot be used, from which on a training does not begin


@dataclass(frozen=True)
class Trained:
    """What a training ended with."""

    student: Path
    photographs: int
    skipped: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    """What a person should know of the masks, a sentence each."""


def train_on_masks(
    data: DataSet,
    masks: Path | None,
    out: Path,
    config: RunConfig,
    progress: Progress = silent,
) -> Trained:
    """Train a student of ``config.student.kind`` on ``masks``.

    A joint one: the classifier on the tags, then the student also on what its own maps make of the masks.

    Args:
        masks: folder of ``NAME.png``; without it, the student's own maps are all that it learns from.
        out: a new or empty folder, or one of the same training, which is continued.

    Raises:
        ConfigError: settings that cannot work together.
        DataError: no photograph is left, several masks cannot be read, or none shows a class that its photograph is
            tagged with.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: a model's weights cannot be had.
    """
    if masks is None and config.student.kind != "joint":
        raise ConfigError(f"student.kind {config.student.kind} learns finished masks: name --masks DIR")
    if masks is None and not config.student_training.recursion:
        raise ConfigError(
            "without masks there is nothing to learn from: name --masks DIR, or --student-training.recursion"
        )
    device = config.find_device()
    make_deterministic()
    fabric = make_fabric(config.student_training, device)
    fabric.launch()
    if not fabric.is_global_zero:
        progress = silent
    folder = OutputFolder(out)
    settings = config.training_identity(device)
    with ExitStack() as stack:
        if fabric.is_global_zero:
            stack.enter_context(closing(folder.lock()))
            record = folder.read() or {}
            known = record.get("identity", {})
            identity: dict[str, Any] = {"dhr": dhr.__version__, "settings": plain(settings)}
            folder.refuse_other(known, identity)
            if not record:  # weights that cannot be had should be known before the folder is of these settings
                BUILDERS[config.student.kind](data, config, folder, fabric.device)
            folder.write_record({"status": "running", "command": "train", "identity": {**known, **identity}})
            scan(data, folder, progress)
        fabric.barrier()
        found = scan(data, folder, silent)
        teachers = None if masks is None else Masks(masks, data.classes, found.samples)
        usable, problems, notes = _usable(data, found, teachers)
        about = {"photographs": found.digest, "masks": None if teachers is None else _digest(found, teachers)}
        if fabric.is_global_zero:
            identity |= {"masks": about["masks"], "photographs and tags": found.digest}
            folder.refuse_other(known, identity)
            folder.write_record({"status": "running", "command": "train", "identity": identity})
        learned = trained_student(
            data, usable, lambda: COURSES[config.student.kind](data, found, config, folder, fabric, teachers, progress),
            teachers, config, folder, fabric, about, progress,
        )  # fmt: skip
        problems += learned.problems
        photographs = len(usable) - len(learned.lost)
        if fabric.is_global_zero:
            skipped = [asdict(problem) for problem in problems]
            folder.write_record(
                {"status": "finished", "command": "train", "identity": identity,
                 "photographs": photographs, "skipped": skipped}
            )  # fmt: skip
    return Trained(folder.student, photographs, tuple(problems), notes)


def _usable(data: DataSet, found: Scan, masks: Masks | None) -> tuple[list[Sample], list[Problem], tuple[str, ...]]:
    """Photographs that have a mask which fits, what is wrong with the others, and notes on the masks.

    Raises:
        DataError: masks that are there cannot be used, and they are several; or none shows a tagged class.
    """
    if masks is None:
        return list(found.samples), list(found.problems), ()
    agreement = Agreement(data.classes, f"masks in {masks.folder}", complete=False)
    origins, usable, missing, unread = Origins.beside(masks.folder), [], list[Problem](), list[Problem]()
    for sample in found.samples:
        try:
            if reason := origins.mismatch(data, sample):
                raise MissingMaskError(reason)
            pixels = masks.check(sample, data.read_image(sample).shape[:2])
            agreement.add(sample.name, sample.tags, pixels)
            usable.append(sample)
        except MissingMaskError as error:
            missing.append(Problem(sample.source, str(error)))
        except ItemError as error:
            unread.append(Problem(sample.source, str(error)))
    if len(unread) >= _SEVERAL:  # most likely those that a person has edited, so the most valuable ones
        raise DataError(
            f"{len(unread)} masks in {masks.folder} cannot be used: {summary(unread, 2)}; correct them, or "
            "remove them to leave these photographs out"
        )
    agreement.refuse_nothing()
    notes = (*masks.numbering.all_notes, *(check.text for check in agreement.checks()))
    return usable, [*found.problems, *missing, *unread], notes


def _digest(found: Scan, masks: Masks) -> str:
    """Of what the files of all masks hold, wherever they lie, and of how their classes are numbered."""
    whole = hashlib.sha256(masks.numbering.key.encode())
    for sample in found.samples:
        try:
            content = digest_regular(masks.path(sample))
        except OSError:  # then it is left out, and the reason is told
            content = "none"
        whole.update(f"{sample.name} {content}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _joint(
    data: DataSet,
    found: Scan,
    config: RunConfig,
    folder: OutputFolder,
    fabric: Fabric,
    masks: Masks | None,
    progress: Progress,
) -> StudentPlan:
    """First the classifier learns the tags, in one process."""
    if fabric.is_global_zero:
        models = build_models(data, config, folder, fabric.device)
        for fitting in models.source.fittings:
            if fitting.for_student:
                finish(fitting, data, found.samples, folder, progress)
    fabric.barrier()
    models = build_models(data, config, folder, fabric.device)
    return joint_course(models, config, data.classes, fabric, masks is not None)


def _mask2former(
    data: DataSet,
    found: Scan,
    config: RunConfig,
    folder: OutputFolder,
    fabric: Fabric,
    masks: Masks | None,
    progress: Progress,
) -> StudentPlan:
    return mask2former_course(config, data.classes, fabric)


def _build_mask2former(data: DataSet, config: RunConfig, folder: OutputFolder, device: torch.device) -> Any:
    from dhr.models.student.mask2former_build import build_mask2former

    return build_mask2former(config.mask2former, len(data.classes.names), data.classes.background)


BUILDERS: Mapping[str, Callable[[DataSet, RunConfig, OutputFolder, torch.device], Any]] = {
    "joint": build_models,
    "mask2former": _build_mask2former,
}
"""By kind of student: whatever has weights from outside, to see that they can be had."""
COURSES: Mapping[
    str, Callable[[DataSet, Scan, RunConfig, OutputFolder, Fabric, Masks | None, Progress], StudentPlan]
] = {
    "joint": _joint,
    "mask2former": _mask2former,
}
"""By kind: the student as it begins, and its objective."""
