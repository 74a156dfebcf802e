"""Pictures of a student's training."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from lightning_fabric import Fabric
from PIL import Image

from dhr.data.palette import class_palette
from dhr.data.samples import Problem, Sample
from dhr.errors import PlaceError
from dhr.files import inside, write_bytes
from dhr.train.live import given_targets
from dhr.train.objectives import Objective
from dhr.train.student_crops import CropDataset, LoadedCrop

_SHOWN = 4  # photographs whose masks are drawn now and then


class Pictures:
    """Draws photograph, base mask, live mask and the student's own segmentation of a few photographs."""

    def __init__(self, crops: CropDataset, objective: Objective, folder: Path, fabric: Fabric) -> None:
        self.crops, self.objective, self.folder, self.fabric = crops, objective, folder, fabric
        self.problems: list[Problem] = []  # pictures that could not be written
        # Photographs with the most tags show most.
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
        crop = LoadedCrop(*(self.fabric.to_device(one[None]) for one in self.crops.middle(sample))).finished()
        given, live = given_targets(crop), self.objective.targets(student, crop)
        own = student.segment(crop.images).argmax(dim=1)
        colours = class_palette(self.crops.photographs.data.classes)
        photograph = (crop.images[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        masks = [colours[one[0].cpu().numpy()] for one in (given.labels, live.labels, own)]
        return np.hstack([photograph, *masks])
