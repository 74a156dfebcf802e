"""Segments a photograph with a student."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dhr.data.samples import ClassTable
from dhr.data.transforms import working_image
from dhr.errors import ItemError
from dhr.job.predict_config import PredictConfig
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BoundaryConfig
from dhr.models.precision import autocast, resolved
from dhr.models.views import average_views
from dhr.ops.upsample import upsampled_labels


@dataclass(frozen=True)
class Segmenter:
    """A student, and the settings of `dhr predict`."""

    student: Any
    classes: ClassTable
    long_side: int
    config: PredictConfig
    device: torch.device

    def __call__(
        self, rgb: UInt8[np.ndarray, "h w 3"], allowed: Sequence[int] | None
    ) -> tuple[UInt8[np.ndarray, "h w"], float]:
        """Return the mask of a photograph, and its confidence, 0..1."""
        image = working_image(rgb, self.long_side).to(self.device).unsqueeze(0)
        scores = probabilities(self.student, image, self.config, allowed)
        ids = torch.arange(len(self.classes.names), dtype=torch.uint8, device=self.device)
        labels: UInt8[np.ndarray, "h w"] = upsampled_labels(scores[0], ids, (rgb.shape[0], rgb.shape[1])).cpu().numpy()
        return labels, confidence(scores[0].cpu())


@torch.no_grad()
def probabilities(
    student: Any, image: Float[Tensor, "1 3 h w"], config: PredictConfig, allowed: Sequence[int] | None = None
) -> Float[Tensor, "1 c h w"]:
    """Return probabilities of the classes, averaged over scales and flips; of ``allowed`` ids and the background only.

    Raises:
        ItemError: they hold NaN or infinity, which would not be visible in a mask.
    """
    size = (image.shape[-2], image.shape[-1])
    precision = resolved(config.precision, image.device)

    def segment(views: Tensor) -> tuple[Tensor, ...]:
        with autocast(precision, views.device):
            return (student.segment(views),)

    (scores,) = average_views(segment, image, [size], config.scales, config.flip)
    if not bool(scores.isfinite().all()):
        raise ItemError("the student's probabilities hold NaN or infinity")
    if allowed is not None:
        kept = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
        kept[[*range(student.background), *allowed]] = True
        if int(kept.sum()) == 1:  # a correction needs two classes
            return kept[:, None, None].expand_as(scores).to(scores.dtype)
        scores = scores * kept[:, None, None]
        if config.boundary != "none":  # a CRF would count excluded classes
            scores = scores[:, kept]
    if config.boundary == "none":
        return scores
    refine = BOUNDARIES[config.boundary](replace(BoundaryConfig(), kind=config.boundary), Guide(image, None))
    fine = refine(image, scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-12))
    if allowed is None:
        return fine
    whole = fine.new_zeros(1, len(kept), *size)
    whole[:, kept] = fine
    return whole


def confidence(scores: Float[Tensor, "c h w"]) -> float:
    """Return the confidence of a mask, 0..1: the mean over its classes of their mean probability where they win.

    Every class has the same weight, as in mIoU.

    >>> confidence(torch.tensor([[[0.75, 0.2, 0.05]], [[0.25, 0.8, 0.95]]]))
    0.8125
    """
    best, winners = (scores / scores.sum(0).clamp_min(1e-12)).max(0)  # (h, w) each
    sums = torch.bincount(winners.flatten(), best.flatten().double(), len(scores))  # (c,)
    pixels = torch.bincount(winners.flatten(), minlength=len(scores))
    return round(float((sums[pixels > 0] / pixels[pixels > 0]).mean()), 6)
