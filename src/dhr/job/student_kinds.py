"""Kinds of students: each makes a student at the beginning of its training."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric

from dhr.data.samples import ClassTable
from dhr.job import stages
from dhr.job.data_job import DataJob
from dhr.job.job import go
from dhr.job.models import Models, build_models
from dhr.job.settings import RunConfig
from dhr.job.taught_masks import MaskTeaching
from dhr.models.student.network import Student
from dhr.models.weights import NONE
from dhr.sources import MapSource
from dhr.train.objectives import JointObjective, SetObjective
from dhr.train.student_plan import StudentPlan


@runtime_checkable
class StudentKind(Protocol):
    """A kind of student that :func:`~dhr.job.train.train` can train."""

    def check(self, job: DataJob) -> None:
        """Build all networks with weights from outside, to check that the weights are there."""
        ...

    def begin(self, job: DataJob, fabric: Fabric, masks: MaskTeaching | None) -> StudentPlan:
        """Make the student at the beginning of its training on masks, if any are given; all processes call it."""
        ...


class JointKind:
    """Trains the classifier on the tags, in one process; then a decoder on its encoder, on masks."""

    def check(self, job: DataJob) -> None:
        """See :class:`StudentKind`."""
        build_models(job.data, job.config, job.folder, job.device).source.begin_student()

    def begin(self, job: DataJob, fabric: Fabric, masks: MaskTeaching | None) -> StudentPlan:
        """See :class:`StudentKind`. With recursion a survey is fitted before."""
        surveyed = job.config.student_training.recursion and job.config.method.survey > 0
        if fabric.is_global_zero:
            models = build_models(job.data, job.config, job.folder, fabric.device)
            # Without masks the survey learns from the maps of the source, so all of the source is trained.
            whole = surveyed and masks is None
            fittings = [fitting for fitting in models.source.fittings if fitting.for_student or whole]
            go(job, [stages.training(fitting) for fitting in fittings])
        fabric.barrier()
        models = build_models(job.data, job.config, job.folder, fabric.device)
        if surveyed:
            survey = stages.student_survey(models, masks)
            if fabric.is_global_zero:
                go(job, [survey])
            fabric.barrier()
            if not fabric.is_global_zero and job.folder.survey.is_file():
                survey.run(job)  # it reads what the first process has fitted
        return begin_joint(models, job, fabric, masks is not None)


class Mask2FormerKind:
    """A second network that is trained on finished masks."""

    def check(self, job: DataJob) -> None:
        """See :class:`StudentKind`."""
        self._build(job)

    def begin(self, job: DataJob, fabric: Fabric, masks: MaskTeaching | None) -> StudentPlan:
        """See :class:`StudentKind`."""
        student = self._build(job)
        return StudentPlan(student, SetObjective(student, fabric), job.config.mask2former.weights != NONE)

    def _build(self, job: DataJob) -> Any:
        from dhr.models.student.mask2former_build import build_mask2former

        torch.manual_seed(job.config.seed)
        classes = job.data.classes
        return build_mask2former(job.config.mask2former, len(classes.names), classes.background)


KINDS: Mapping[str, StudentKind] = {"joint": JointKind(), "mask2former": Mask2FormerKind()}
"""By `student.kind`."""


def new_student(source: MapSource, config: RunConfig, classes: ClassTable) -> Student:
    """Make a student from the trained classifier; its decoder is random, from the seed.

    Raises:
        ConfigError: the source has no such classifier.
    """
    torch.manual_seed(config.seed)
    return Student(source.begin_student(), config.student, len(classes.names))


def begin_joint(models: Models, job: DataJob, fabric: Fabric, masks: bool) -> StudentPlan:
    """Make a student from the trained classifier, and its training on masks, on its own maps, or on both.

    Raises:
        ConfigError: the source has no such classifier.
    """
    config = job.config
    student = new_student(models.source, config, job.data.classes)
    objective = JointObjective(
        student, config.student_training, config.method, config.boundary, fabric, masks, job.survey
    )
    uss = models.uss if config.student_training.recursion else None
    return StudentPlan(student, objective, config.wss.weights != NONE, uss)
