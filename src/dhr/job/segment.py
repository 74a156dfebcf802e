"""Segments photographs with a student."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from dhr.data.samples import ClassTable
from dhr.errors import ItemError
from dhr.job.predict_config import PredictConfig
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BoundaryConfig
from dhr.models.precision import autocast, resolved
from dhr.models.views import average_views
from dhr.ops.upsample import resize, upsampled_labels


@dataclass(frozen=True)
class Wanted:
    """The mask that is wanted of a photograph."""

    size: tuple[int, int]
    """Height and width of the photograph as it is stored, and of the mask."""
    allowed: Sequence[int] | None = None
    """The only classes of the mask, besides the background; None allows all."""


Segmented = tuple[UInt8[np.ndarray, "h w"], float]
"""A mask, and its confidence, 0..1."""


@dataclass(frozen=True)
class Segmenter:
    """A student, and the settings of `dhr predict`."""

    student: Any
    classes: ClassTable
    long_side: int
    config: PredictConfig
    device: torch.device

    def begin(
        self, images: Float[Tensor, "b 3 h w"], wanted: Sequence[Wanted | None]
    ) -> list[Callable[[], Segmented] | None]:
        """Run the network on working images of one size; return what is left to do for each photograph.

        That is the boundary correction and the resampling on a CPU, and the copy from any other device. It may be done
        in another thread, while the network works on the next batch. Photographs of which nothing is wanted are part of
        the batch only.

        Finishing raises:
            ItemError: the probabilities hold NaN or infinity, which would not be visible in a mask.
        """
        images = images.to(self.device, non_blocking=True)
        scores = probabilities(self.student, images, self.config)
        parts = [
            None if one is None else _Part(self, images[index], scores[index], one) for index, one in enumerate(wanted)
        ]
        if self.device.type == "cpu":
            return [None if part is None else part.finished for part in parts]
        made = [None if part is None else part.computed() for part in parts]
        return [None if one is None else _fetching(*one) for one in made]


@dataclass(frozen=True, eq=False)
class _Part:
    """The scores of a photograph on the network's own grid."""

    segmenter: Segmenter
    image: Float[Tensor, "3 h w"]
    scores: Float[Tensor, "c u v"]
    wanted: Wanted

    @torch.no_grad()
    def computed(self) -> tuple[UInt8[Tensor, "h w"], Float[Tensor, "u v"], Int[Tensor, "u v"]]:
        """Return the mask, and for each cell the share of the best class, and which that is."""
        known = torch.arange(len(self.segmenter.classes.names), dtype=torch.uint8)
        kept = torch.arange(len(known))
        if self.wanted.allowed is not None:
            kept = torch.tensor(sorted({*range(self.segmenter.student.background), *self.wanted.allowed}))
        device = self.scores.device
        scores, ids = self.scores[kept.to(device)], known[kept].to(device)
        boundary = self.segmenter.config.boundary
        if boundary != "none" and len(kept) > 1:  # a correction needs two classes, and would count excluded ones
            scores = corrected(self.image, scores, boundary)
        best, winners = (scores / scores.sum(0).clamp_min(1e-12)).max(0)  # (u, v) each
        return upsampled_labels(scores, ids, self.wanted.size), best, winners

    def finished(self) -> Segmented:
        """Return the mask and its confidence."""
        _check_finite(self.scores)
        return _checked(*self.computed())


def _fetching(labels: Tensor, best: Tensor, winners: Tensor) -> Callable[[], Segmented]:
    """Begin to copy results from a device; return a function that waits for them."""
    copies = [one.to("cpu", non_blocking=True) for one in (labels, best, winners)]
    ready = None
    if labels.device.type == "cuda":
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record(torch.cuda.current_stream(labels.device))

    def fetched() -> Segmented:
        if ready is not None:
            ready.synchronize()
        return _checked(*copies)

    return fetched


def _checked(labels: Tensor, best: Tensor, winners: Tensor) -> Segmented:
    _check_finite(best)
    return labels.numpy(), confidence(best, winners)


def _check_finite(scores: Tensor) -> None:
    if not bool(scores.isfinite().all()):
        raise ItemError("the student's probabilities hold NaN or infinity")


@torch.no_grad()
def probabilities(student: Any, images: Float[Tensor, "b 3 h w"], config: PredictConfig) -> Float[Tensor, "b c u v"]:
    """Return probabilities of the classes, averaged over scales and flips, on the network's grid of the largest scale.

    Resampling them for each pixel comes last: on the grid there is far less to average and to compare.
    """
    precision = resolved(config.precision, images.device)

    def run(views: Tensor) -> tuple[Tensor, ...]:
        with autocast(precision, views.device):
            return (student.coarse(views.contiguous(memory_format=torch.channels_last)),)

    (scores,) = average_views(run, images, [], sorted(config.scales, reverse=True), config.flip)
    return scores


def corrected(image: Float[Tensor, "3 h w"], scores: Float[Tensor, "k u v"], boundary: str) -> Float[Tensor, "k h w"]:
    """Return scores of two classes or more that follow the edges of the working image."""
    images = image.unsqueeze(0)
    fine = resize(scores.unsqueeze(0), (image.shape[-2], image.shape[-1]))
    refine = BOUNDARIES[boundary](replace(BoundaryConfig(), kind=boundary), Guide(images, None))  # type: ignore[arg-type]
    return refine(images, fine / fine.sum(dim=1, keepdim=True).clamp_min(1e-12))[0]


def confidence(best: Float[Tensor, "h w"], winners: Int[Tensor, "h w"]) -> float:
    """Return the confidence of a mask, 0..1: the mean over its classes of their mean probability where they win.

    Every class has the same weight, as in mIoU.

    Args:
        best: the probability of the best class.
        winners: which class that is.

    >>> confidence(torch.tensor([[0.75, 0.8, 0.95]]), torch.tensor([[0, 1, 1]]))
    0.8125
    """
    sums = torch.bincount(winners.flatten(), best.flatten().double())  # (c,)
    pixels = torch.bincount(winners.flatten())
    return round(float((sums[pixels > 0] / pixels[pixels > 0]).mean()), 6)
