"""Pictures of a student's training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
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
from dhr.job.models import Models
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

_SHOWN = 4  # photographs whose masks are drawn now and then


class Pictures:
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
