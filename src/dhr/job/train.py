"""A student trained on masks of any origin, by one process or several."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lightning_fabric import Fabric

import dhr
from dhr.corrections.beside import corrections_beside
from dhr.corrections.decisions import outdated_note
from dhr.data.samples import DataSet, Problem
from dhr.errors import ConfigError
from dhr.job.data_job import DataJob
from dhr.job.job import Stage, go
from dhr.job.settings import RunConfig
from dhr.job.student_kinds import KINDS
from dhr.job.students import trained_student
from dhr.job.taught_masks import Masks, MaskTeaching, masks_digest, usable_masks
from dhr.progress import Progress, silent
from dhr.records.run import Identity, RunRecord
from dhr.train.fabric import make_fabric


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    student: Path
    photographs: int
    skipped: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    """Facts on the masks, one sentence each."""


def train(
    data: DataSet, out: Path, config: RunConfig, *, masks: Path | None = None, progress: Progress = silent
) -> Trained:
    """Train a student of ``config.student.kind`` on ``masks``.

    For a joint one, the classifier is trained on the tags first. With recursion the student is trained on its own
    rebalanced maps as well.

    Args:
        data: photographs with tags.
        out: a new or empty folder, or one of the same training, which is continued.
        config: all settings.
        masks: folder of ``NAME.png``; without it, the student is trained on its own maps alone.
        progress: called as the work goes on.

    Raises:
        ConfigError: settings that cannot work together.
        DataError: no photograph is left, several masks cannot be read, or all masks lack the tagged classes.
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
    fabric = make_fabric(config.student_training, device)
    fabric.launch()
    leads = fabric.is_global_zero
    identity = Identity(dhr.__version__, settings=config.training_identity(device))
    now = RunRecord(
        identity, kind="train", dhr=dhr.__version__, seed=config.seed,
        classes=tuple(data.classes.names), background=data.classes.background,
    )  # fmt: skip
    shown = progress if leads else silent
    names = [sample.name for sample in data.samples]
    reviewed = None if masks is None else corrections_beside(masks)
    with DataJob.open(
        out, lambda before: now, fabric.device, names, data=data, config=config, leads=leads, progress=shown,
        reviewed=reviewed,
    ) as job:  # fmt: skip
        if leads:
            job.refuse_other(identity)
        go(job, [_weights(), _photographs(fabric), _learn(masks, fabric)])
        return Trained(job.folder.student, job.record.photographs or 0, tuple(job.problems), tuple(job.notes))


def _weights() -> Stage[DataJob]:
    """Make the stage that reports missing weights before the folder is bound to these settings."""
    return Stage(
        "models",
        lambda job: KINDS[job.config.student.kind].check(job),
        done=lambda job: not job.leads or job.before is not None,
    )


def _photographs(fabric: Fabric) -> Stage[DataJob]:
    """Make the stage in which the first process reads all photographs; the others use its record."""

    def run(job: DataJob) -> None:
        if job.leads:
            job.save()
            job.scan()
            job.usable.save(job.folder)
        fabric.barrier()
        if not job.leads:
            job.scan()

    return Stage("scan", run)


def _learn(folder: Path | None, fabric: Fabric) -> Stage[DataJob]:
    """Make the stage that trains the student on the usable masks."""

    def run(job: DataJob) -> None:
        found = job.usable
        masks = None if folder is None else Masks(folder, job.data.classes, found.samples)
        samples, job.problems, notes = usable_masks(job.data, found, masks)
        job.notes += [*notes, *outdated_note(found.decisions.outdated)]
        about = {"photographs": found.digest, "masks": None if masks is None else masks_digest(found, masks)}
        if job.leads:
            job.refuse_other(replace(job.record.identity, masks=about["masks"]))
            job.changes = job.changes or not job.folder.student.is_file()
            job.save()
        teaching = None if masks is None else MaskTeaching(masks, frozenset(sample.name for sample in samples))
        begin = partial(KINDS[job.config.student.kind].begin, job, fabric, teaching)
        learned = trained_student(job, samples, begin, masks, fabric, about)
        job.problems += learned.problems
        if job.leads:
            job.folder.remove_partial("survey")
        job.record = replace(job.record, photographs=len(samples) - len(learned.lost))

    return Stage("student", run)
