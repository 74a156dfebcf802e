"""A student's training on masks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric

from dhr.data.problems import summary
from dhr.data.samples import Problem, Sample
from dhr.data.transforms import grid_size
from dhr.errors import DataError
from dhr.job.data_job import DataJob
from dhr.job.kept_features import KeptFeatures, keep_features
from dhr.job.student_pictures import Pictures
from dhr.job.taught_masks import Masks
from dhr.train.crops import TrainingSet
from dhr.train.student_crops import CropDataset
from dhr.train.student_file import read_student, write_student
from dhr.train.student_training import Place, StudentPlan, train_student


@dataclass(frozen=True)
class Learned:
    """A trained student, and the problems of its training."""

    student: Any
    lost: tuple[Problem, ...] = ()
    """Photographs without features."""
    pictures: tuple[Problem, ...] = ()
    """Pictures of the training that could not be written."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them."""
        return (*self.lost, *self.pictures)


def trained_student(
    job: DataJob,
    samples: Sequence[Sample],
    begin: Callable[[], StudentPlan],
    masks: Masks | None,
    fabric: Fabric,
    about: dict[str, Any],
) -> Learned:
    """Return the student of the job's folder in evaluation mode, on the device; train it if it is missing.

    The first process makes the shared files; the others wait for it.

    Args:
        samples: photographs to train on.
        begin: makes the student at the beginning of its training.
        masks: the masks that it is trained on.
        about: settings and data of the training; a checkpoint with others is refused.

    Raises:
        DataError: no photograph is left to train on.
    """
    folder, config = job.folder, job.config
    if folder.student.is_file():
        return Learned(read_student(folder.student).student.to(fabric.device))
    if not samples:
        raise DataError("no photograph has a mask that a student could learn from")
    plan = begin()
    lost: dict[str, Problem] = {}
    if fabric.is_global_zero and plan.uss is not None:
        lost = keep_features(job, samples, plan.uss)
    lost = fabric.broadcast(lost)
    samples = [sample for sample in samples if sample.name not in lost]
    if not samples:
        raise DataError(f"the features of no photograph could be kept: {summary([*lost.values()], 3)}")
    cells = grid_size(config.student_training.crop, config.student_training.crop, config.image.grid_stride)[0]
    photographs = TrainingSet(job.data, samples, config.image.long_side, config.seed)
    features = None if plan.uss is None else KeptFeatures(folder)
    crops = CropDataset(photographs, config.student_training, masks, features, cells)
    pictures = Pictures(crops, plan.objective, folder.training, fabric)
    place = Place(fabric, folder.training, job.progress, pictures, about)
    student = train_student(plan, crops, config.student_training, place)
    if fabric.is_global_zero:
        write_student(folder.student, student, job.data.classes, config.image.long_side)
    fabric.barrier()
    return Learned(student, tuple(lost.values()), tuple(pictures.problems))
