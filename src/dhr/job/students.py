"""A student's training on masks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightning_fabric import Fabric

from dhr.data.problems import summary
from dhr.data.samples import Problem, Sample
from dhr.data.transforms import grid_size, working_size
from dhr.errors import DataError
from dhr.job.data_job import DataJob
from dhr.job.kept_features import KeptFeatures, keep_features
from dhr.job.student_pictures import Pictures
from dhr.job.taught_masks import Masks
from dhr.train.config import StudentTrainingConfig
from dhr.train.crops import TrainingSet
from dhr.train.fitted import fitted_student
from dhr.train.held_out import held_out
from dhr.train.student_crops import CropDataset
from dhr.train.student_file import read_student, write_student
from dhr.train.student_plan import Place, StudentPlan
from dhr.train.student_training import train_student


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
    folder = job.folder
    if folder.student.is_file():
        return Learned(read_student(folder.student).student.to(fabric.device))
    if not samples:
        raise DataError("no photograph has a mask that a student could learn from")
    training = _fitted(job, samples, fabric)
    config = job.config
    plan = begin()
    lost: dict[str, Problem] = {}
    if fabric.is_global_zero and plan.uss is not None:
        lost = keep_features(job, samples, plan.uss)
    lost = fabric.broadcast(lost)
    samples = [sample for sample in samples if sample.name not in lost]
    if not samples:
        raise DataError(f"the features of no photograph could be kept: {summary([*lost.values()], 3)}")
    cells = grid_size(training.crop, training.crop, config.image.grid_stride)[0]
    features = None if plan.uss is None else KeptFeatures(folder)

    def crops(some: Sequence[Sample]) -> CropDataset:
        photographs = TrainingSet(job.data, some, config.image.long_side, config.seed)
        return CropDataset(photographs, training, masks, features, cells)

    taught, held = held_out(samples, training.held_out)
    learnt = crops(taught)
    pictures = Pictures(learnt, plan.objective, folder.training, fabric)
    place = Place(fabric, folder.training, job.progress, pictures, about)
    done = train_student(plan, learnt, crops(held) if held else None, training, place)
    job.notes += done.notes
    if fabric.is_global_zero:
        write_student(folder.student, done.student, job.data.classes, config.image.long_side)
    fabric.barrier()
    return Learned(done.student, tuple(lost.values()), tuple(pictures.problems))


def _fitted(job: DataJob, samples: Sequence[Sample], fabric: Fabric) -> StudentTrainingConfig:
    """Choose the settings of the training that depend on the photographs, and record them."""
    seen, side = job.usable.seen, job.config.image.long_side
    sizes = [working_size(seen[one.name].height, seen[one.name].width, side) for one in samples]
    wanted, device = job.config.student_training, fabric.device.type
    training = fitted_student(wanted, len(samples), sizes, device, fabric.world_size)
    job.config = replace(job.config, student_training=training)
    job.choose("student_training", steps=training.steps, batch=training.batch, crop=training.crop)
    return training
