"""Kinds of students: each says what a student is as it begins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
import io
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor

from dhr.data.numbering import Numbering, numbering
from dhr.data.palette import class_palette
from dhr.data.problems import summary
from dhr.data.samples import VOID, ClassTable, DataSet, Problem, Sample
from dhr.data.transforms import grid_size, working_image
from dhr.errors import ConfigError, DataError, ItemError, PlaceError
from dhr.features import Features
from dhr.features.entry import read_entry
from dhr.files import inside, write_bytes
from dhr.job.folder import OutputFolder
from dhr.job.job import go
from dhr.job.models import Models
from dhr.job.stages.fit import FitSource
from dhr.job.settings import RunConfig
from dhr.method.survey import Survey
from dhr.models.student.network import Student
from dhr.models.weights import NONE
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress, Step
from dhr.train.crops import Geometry, TrainingSet
from dhr.train.live import given_targets
from dhr.train.objectives import JointObjective, Objective, SetObjective
from dhr.train.student_crops import CropBatch, CropDataset
from dhr.train.student_file import read_student, write_student
from dhr.train.student_training import Place, StudentPlan, train_student

from dhr.job.data_job import DataJob
from dhr.job.kept_features import KeptFeatures, keep_features
from dhr.job.student_pictures import Pictures
from dhr.job.taught_masks import Masks


from dhr.job.models import build_models
from dhr.sources import MapSource


class StudentKind(Protocol):
    """A kind of student that :func:`~dhr.job.train.train` can train."""

    def check(self, job: DataJob) -> None:
        """Build all that has weights from outside, to see that they can be had."""
        ...

    def begin(self, job: DataJob, fabric: Fabric, masks: bool) -> StudentPlan:
        """The student as it begins; all processes call it."""
        ...


class JointKind:
    """The classifier learns the tags, in one process; then a decoder on its encoder learns masks."""

    def check(self, job: DataJob) -> None:
        """See :class:`StudentKind`."""
        build_models(job.data, job.config, job.folder, job.device)

    def begin(self, job: DataJob, fabric: Fabric, masks: bool) -> StudentPlan:
        """See :class:`StudentKind`."""
        if fabric.is_global_zero:
            models = build_models(job.data, job.config, job.folder, fabric.device)
            go(job, [FitSource(fitting) for fitting in models.source.fittings if fitting.for_student])
        fabric.barrier()
        models = build_models(job.data, job.config, job.folder, fabric.device)
        return begin_joint(models, job, fabric, masks)


class Mask2FormerKind:
    """A second stage that learns finished masks."""

    def check(self, job: DataJob) -> None:
        """See :class:`StudentKind`."""
        self._build(job)

    def begin(self, job: DataJob, fabric: Fabric, masks: bool) -> StudentPlan:
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
    """A student that begins as the trained classifier; its decoder is random, from the seed.

    Raises:
        ConfigError: the source has no such classifier.
    """
    torch.manual_seed(config.seed)
    return Student(source.begin_student(), config.student, len(classes.names))


def begin_joint(models: Models, job: DataJob, fabric: Fabric, masks: bool) -> StudentPlan:
    """A student that begins as the trained classifier, and learns masks, those of its own maps, or both.

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
