"""The student of a run: USS features kept, the network trained on masks, pictures on the way."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
from dhr.errors import DataError, ItemError, PlaceError
from dhr.features import Features
from dhr.features.entry import read_entry
from dhr.files import inside, write_bytes
from dhr.job.folder import OutputFolder
from dhr.job.models import Models
from dhr.job.settings import RunConfig
from dhr.method.survey import Survey
from dhr.models.student.network import Student
from dhr.models.weights import NONE
from dhr.progress import Progress, Step
from dhr.sources import MapSource
from dhr.train.crops import Geometry, TrainingSet
from dhr.train.live import given_targets
from dhr.train.objectives import JointObjective, Objective, SetObjective
from dhr.train.student_crops import CropBatch, CropDataset
from dhr.train.student_file import read_student, write_student
from dhr.train.student_training import Place, StudentPlan, train_student

_SHOWN = 4  # photographs whose masks are drawn now and then


@dataclass(frozen=True)
class Masks:
    """Reads the masks that teach a student, and refuses those that cannot.

    Their classes are matched by name with the data set's where the folder has a class table.
    """

    folder: Path
    classes: ClassTable
    samples: tuple[Sample, ...] = ()
    """Photographs whose tags tell whether numbers or colours of their masks count."""

    @cached_property
    def numbering(self) -> Numbering:
        """How the masks number the classes.

        Raises:
            DataError: the folder's class table does not fit.
        """
        there = [(path, sample.tags) for sample in self.samples if (path := self.path(sample)).is_file()]
        return numbering(self.classes, self.folder, there)

    def __call__(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """The mask of a photograph.

        Raises:
            ItemError: there is none, it cannot be read, or it names a class beyond the table.
        """
        if not self.path(sample).is_file():
            raise MissingMaskError(f"it has no mask, {self.path(sample)}")
        return self.numbering.read(self.path(sample))

    def path(self, sample: Sample) -> Path:
        """Where the mask of a photograph is, if it has one."""
        return self.folder / f"{sample.name}.png"

    def check(self, sample: Sample, size: tuple[int, int]) -> Int64[np.ndarray, "256"]:
        """The pixels of a mask by label; refuse one of another size than its photograph.

        Raises:
            ItemError: also what :meth:`__call__` raises.
        """
        mask = self(sample)
        if mask.shape != size:
            shapes = " and ".join(f"{width}x{height}" for height, width in (mask.shape, size))
            raise ItemError(f"its mask and itself differ in size: {shapes}")
        return np.bincount(mask.ravel(), minlength=VOID + 1)


class MissingMaskError(ItemError):
    """A photograph without a mask, which others may be left without on purpose."""


@dataclass(frozen=True)
class KeptFeatures:
    """Reads USS features that :func:`keep_features` wrote."""

    folder: OutputFolder

    def __call__(self, sample: Sample) -> Float[Tensor, "d u v"]:
        """F_us of a photograph on the grid of its working image."""
        path = self.folder.features(sample.name)
        try:
            packed = read_entry(path)
        except ItemError as error:
            raise ItemError(f"{error}; delete them, and they are made again") from error
        if packed is None:
            raise ItemError(f"its kept features {path} are gone; start the training again, and they are made again")
        return packed.unpacked(torch.device("cpu"))[0]


def keep_features(
    data: DataSet,
    samples: Sequence[Sample],
    uss: Features,
    config: RunConfig,
    folder: OutputFolder,
    progress: Progress,
) -> dict[str, Problem]:
    """Have the USS features of all photographs in the folder, from the store or computed; those that are there stay.

    Returns:
        By name, the photographs whose features could not be had or kept, and why.
    """
    problems = {}
    for done, sample in enumerate(samples):
        progress(Step("USS features", done, len(samples)))
        path = folder.features(sample.name)
        try:
            image = working_image(data.read_image(sample), config.image.long_side).unsqueeze(0)
            if not _kept(path, uss.shape(image)):
                folder.remove_features(sample.name)
                uss.keep(image, path)
        except ItemError as error:
            problems[sample.name] = Problem(sample.source, str(error))
    progress(Step("USS features", len(samples), len(samples)))
    return problems


def _kept(path: Path, shape: tuple[int, int, int]) -> bool:
    """Whether a file holds features of this shape; False if there is none, or it is damaged."""
    try:
        return read_entry(path, shape=shape) is not None
    except ItemError:
        return False


def new_student(source: MapSource, config: RunConfig, classes: ClassTable) -> Student:
    """A student that begins as the trained classifier; its decoder is random, from the seed.

    Raises:
        ConfigError: the source has no such classifier.
    """
    torch.manual_seed(config.seed)
    return Student(source.begin_student(), config.student, len(classes.names))


def joint_course(
    models: Models, config: RunConfig, classes: ClassTable, fabric: Fabric, masks: bool, survey: Survey | None = None
) -> StudentPlan:
    """Recursion: the student begins as the trained classifier.

    Raises:
        ConfigError: there is none.
    """
    student = new_student(models.source, config, classes)
    objective = JointObjective(student, config.student_training, config.method, config.boundary, fabric, masks, survey)
    freeze = config.wss.weights != NONE
    return StudentPlan(student, objective, freeze, models.uss if config.student_training.recursion else None)


def mask2former_course(config: RunConfig, classes: ClassTable, fabric: Fabric) -> StudentPlan:
    """A second stage on finished masks.

    Raises:
        ConfigError: transformers is not installed, or cannot build it.
        WeightsError: its weights cannot be had.
    """
    from dhr.models.student.mask2former_build import build_mask2former

    torch.manual_seed(config.seed)
    student = build_mask2former(config.mask2former, len(classes.names), classes.background)
    return StudentPlan(
        student, SetObjective(student, fabric), config.mask2former.weights != NONE
    )  # fmt: skip


@dataclass(frozen=True)
class Learned:
    """A trained student, and what was left out on the way to it."""

    student: Any
    lost: tuple[Problem, ...] = ()
    """Photographs whose features could not be had or kept."""
    pictures: tuple[Problem, ...] = ()
    """Pictures of the training that could not be written."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All of them."""
        return (*self.lost, *self.pictures)


def trained_student(
    data: DataSet,
    samples: Sequence[Sample],
    course: Callable[[], StudentPlan],
    masks: Masks | None,
    config: RunConfig,
    folder: OutputFolder,
    fabric: Fabric,
    about: dict[str, Any],
    progress: Progress,
) -> Learned:
    """The student of ``folder``, trained unless it is there already; in evaluation mode, on the device.

    The first process makes what all need; the others wait for it.

    Raises:
        DataError: no photograph is left to train on.
    """
    if folder.student.is_file():
        return Learned(read_student(folder.student).student.to(fabric.device))
    if not samples:
        raise DataError("no photograph has a mask that a student could learn from")
    plan = course()
    lost: dict[str, Problem] = {}
    if fabric.is_global_zero and plan.uss is not None:
        lost = keep_features(data, samples, plan.uss, config, folder, progress)
    lost = fabric.broadcast(lost)
    samples = [sample for sample in samples if sample.name not in lost]
    if not samples:
        raise DataError(f"the features of no photograph could be kept: {summary([*lost.values()], 3)}")
    cells = grid_size(config.student_training.crop, config.student_training.crop, config.image.grid_stride)[0]
    photographs = TrainingSet(data, samples, config.image.long_side, config.seed)
    features = None if plan.uss is None else KeptFeatures(folder)
    crops = CropDataset(photographs, config.student_training, masks, features, cells)
    pictures = _Pictures(crops, plan.objective, folder.training, fabric)
    place = Place(fabric, folder.training, progress, pictures, about)
    student = train_student(plan, crops, config.student_training, place)
    if fabric.is_global_zero:
        write_student(folder.student, student, data.classes, config.image.long_side)
    fabric.barrier()
    return Learned(student, tuple(lost.values()), tuple(pictures.problems))


class _Pictures:
    """Draws photograph, base mask, live mask and the student's own segmentation of a few photographs."""

    def __init__(self, crops: CropDataset, objective: Objective, folder: Path, fabric: Fabric) -> None:
        self.crops, self.objective, self.folder, self.fabric = crops, objective, folder, fabric
        self.problems: list[Problem] = []  # pictures whose place is taken
        # Those with the most tags have most to show.
        samples = crops.photographs.samples
        self.shown = sorted(samples, key=lambda sample: -len(sample.tags))[:_SHOWN]

    @torch.no_grad()
    def __call__(self, step: int, student: Any) -> None:
        """Write ``pictures/step-N.png``."""
        rows = [self._row(sample, student) for sample in self.shown]
        buffer = io.BytesIO()
        Image.fromarray(np.vstack(rows)).save(buffer, "PNG")
        path = inside(self.folder, f"pictures/step-{step:08d}.png")
        try:
            write_bytes(path, buffer.getvalue())
        except PlaceError as error:
            self.problems.append(Problem(str(path), str(error)))

    def _row(self, sample: Sample, student: Any) -> UInt8[np.ndarray, "h w 3"]:
        side, image = self.crops.config.crop, self.crops.photographs.image(sample)
        height, width = (max(side, round(side * one / min(image.shape[-2:]))) for one in image.shape[-2:])
        middle = Geometry(height, width, (height - side) // 2, (width - side) // 2, side, flip=False)
        crop = CropBatch(*(self.fabric.to_device(one[None]) for one in self.crops.cut(sample, image, middle, None)))
        given, live = given_targets(crop), self.objective.targets(student, crop)
        own = student.segment(crop.images).argmax(dim=1)
        colours = class_palette(self.crops.photographs.data.classes)
        photograph = (crop.images[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        masks = [colours[one[0].cpu().numpy()] for one in (given.labels, live.labels, own)]
        return np.hstack([photograph, *masks])
