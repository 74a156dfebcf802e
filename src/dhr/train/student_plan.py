"""What the training of a student is given, and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from dhr.features import Features
from dhr.models.student import StudentModel
from dhr.progress import Progress, silent
from dhr.train.objectives import Objective


@dataclass(frozen=True)
class StudentPlan:
    """An untrained student, and how it is to be trained."""

    student: StudentModel
    objective: Objective
    freeze_norm: bool
    """Whether the batch statistics of its encoder stay as they are."""
    uss: Features | None = None
    """Source of the features that the objective needs."""


@dataclass(frozen=True)
class Place:
    """Devices, folder and reports of a training."""

    fabric: Fabric
    """Devices and processes; launched."""
    folder: Path
    """Gets ``checkpoints/``, ``log.csv`` and TensorBoard's events."""
    progress: Progress = silent
    look: Callable[[int, StudentModel], None] | None = None
    """Called every ``look_every`` steps and at the end, by the first process."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Further facts that must be the same when a checkpoint is continued."""


@dataclass(frozen=True)
class TrainedStudent:
    """The result of a training."""

    student: StudentModel
    """In evaluation mode: itself, or its teacher."""
    notes: tuple[str, ...] = ()
    """Facts on the training, one sentence each."""
