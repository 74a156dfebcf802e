"""The losses of a student for a batch of crops."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate, multilabel_soft_margin_loss

from dhr.data.samples import VOID
from dhr.errors import ConfigError
from dhr.method.config import BoundaryConfig, MethodConfig
from dhr.method.survey import Survey
from dhr.models.modes import evaluating
from dhr.models.student.network import Student
from dhr.train.config import StudentTrainingConfig
from dhr.train.live import LiveMethod, Targets, given_targets, live_targets
from dhr.train.student_crops import CropBatch


class Losses(NamedTuple):
    """The losses of a batch, or of a part of it."""

    parts: tuple[Float[Tensor, ""], ...]
    """In the order of the objective's names; their sum is minimised."""
    empty: Float[Tensor, ""]
    """Number of crops without a segmentation loss."""


@runtime_checkable
class Objective(Protocol):
    """Computes the losses of a batch that is on the device."""

    names: tuple[str, ...]
    """Names of the losses, for log and progress."""
    settings: dict[str, Any]
    """Settings that must be the same when a checkpoint is continued; JSON."""
    first: int
    """The first step with the masks of most of the training."""

    def __call__(self, network: Any, teacher: Any, crops: CropBatch, step: int) -> Losses:
        """Compute the losses of the student as Fabric wraps it; ``teacher`` is its moving mean, or None."""
        ...

    def targets(self, student: Any, crops: CropBatch) -> Targets:
        """Return the masks that ``student`` would learn now, for pictures."""
        ...


class JointObjective:
    """L_cls + L_seg of a :class:`~dhr.models.student.network.Student` (Eq. 6), on given or live masks."""

    names: tuple[str, ...] = ("L_cls", "L_seg")

    def __init__(
        self,
        student: Student,
        config: StudentTrainingConfig,
        method: MethodConfig,
        boundary: BoundaryConfig,
        fabric: Fabric,
        masks: bool,
        survey: Survey | None = None,
    ) -> None:
        """Take the settings of ``student``; ``masks``: whether masks are given.

        Raises:
            ConfigError: crops are to be rebalanced with class shares of whole photographs.
        """
        if config.recursion and method.marginal == "prior":
            raise ConfigError(
                "student_training.recursion rebalances crops, whose class shares are unknown: set method.marginal to "
                "estimated, or student_training.recursion to false"
            )
        self.config, self.fabric = config, fabric
        self.live = LiveMethod(
            masks=masks,
            background=bool(student.background),
            method=method,
            boundary=replace(boundary, kind=config.boundary),
            survey=None if survey is None else survey.to(fabric.device),
            exchange=student.config.maps == "cam",
        )
        self.activation = student.activation
        self.first = round(config.start * config.steps) if masks and config.recursion else 0
        self.settings = {"method": asdict(method)}

    def __call__(self, network: Any, teacher: Any, crops: CropBatch, step: int) -> Losses:
        """See :class:`Objective`."""
        seen = network(crops.images)
        targets = given_targets(crops)
        if self.config.recursion and step >= self.first:
            targets = self._live(seen if teacher is None else _see(teacher, crops.images, self.fabric), crops)
        tagged = multilabel_soft_margin_loss(seen.cams.mean(dim=(2, 3)), crops.tags)
        segmented = segmentation_loss(seen.logits, targets, self.fabric)
        return Losses((tagged, segmented), targets.empty.float().sum())

    def targets(self, student: Any, crops: CropBatch) -> Targets:
        """See :class:`Objective`."""
        return self._live(student(crops.images), crops) if self.config.recursion else given_targets(crops)

    def _live(self, seen: Any, crops: CropBatch) -> Targets:
        return live_targets(self.activation(seen).detach(), seen.features.detach(), crops, self.live)


class SetObjective:
    """The losses of a Mask2Former on given masks."""

    names: tuple[str, ...] = ("L_class", "L_mask", "L_dice")
    first = 0

    def __init__(self, student: Any, fabric: Fabric) -> None:
        """Take weights and points from transformers' settings of ``student``."""
        from dhr.train.set_loss import SetLossConfig, set_loss

        made = student.network.config
        self.fabric, self._loss = fabric, set_loss
        self.config = SetLossConfig(
            made.class_weight, made.mask_weight, made.dice_weight, made.no_object_weight, made.train_num_points,
            made.oversample_ratio, made.importance_sample_ratio,
        )  # fmt: skip
        self.settings = {"set_loss": asdict(self.config)}

    def __call__(self, network: Any, teacher: Any, crops: CropBatch, step: int) -> Losses:
        """See :class:`Objective`."""
        targets = given_targets(crops)
        parts = self._loss(network(crops.images), targets.labels, self.config, _mean(self.fabric))
        return Losses(tuple(parts), targets.empty.float().sum())

    def targets(self, student: Any, crops: CropBatch) -> Targets:
        """See :class:`Objective`."""
        return given_targets(crops)


def segmentation_loss(logits: Float[Tensor, "b c p q"], targets: Targets, fabric: Fabric) -> Float[Tensor, ""]:
    """L_seg: cross entropy, the mean over the pixels (of all processes) that are not void."""
    sharp = interpolate(logits.float(), targets.labels.shape[-2:], mode="bilinear", align_corners=False)
    losses = cross_entropy(sharp, targets.labels, ignore_index=VOID, reduction="none")
    known = (targets.labels != VOID).float()
    return (losses * known).sum() / _mean(fabric)(known.sum()).clamp_min(1)


def _mean(fabric: Fabric) -> Callable[[Tensor], Tensor]:
    """Return the function that averages a number over the processes."""
    if fabric.world_size == 1:
        return lambda value: value
    return lambda value: fabric.all_reduce(value, reduce_op="mean")  # type: ignore[return-value]


@torch.no_grad()
def _see(teacher: Any, images: Tensor, fabric: Fabric) -> Any:
    with evaluating(teacher), fabric.autocast():
        return teacher(images)
