"""Masks of a batch during training: the method on the present maps of the student."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.data.samples import VOID
from dhr.method.config import BoundaryConfig, MethodConfig
from dhr.method.order import take_classes
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch
from dhr.method.survey import Survey, settled, survey_features
from dhr.method.swaps import exchange
from dhr.train.student_crops import CropBatch


@dataclass(frozen=True)
class Targets:
    """The masks that the decoder is trained on."""

    labels: Int[Tensor, "b s s"]
    """Class ids; 255 is void."""
    empty: Bool[Tensor, " b"]
    """Crops without a tag of their photograph, which have no loss."""


def given_targets(crops: CropBatch) -> Targets:
    """Return the base masks as they are."""
    return Targets(crops.base, (crops.base == VOID).flatten(1).all(dim=1))


@dataclass(frozen=True)
class LiveMethod:
    """Settings for masks from a student's maps during training."""

    masks: bool
    """Whether M_base is the mask of the crops; otherwise it is made of the maps."""
    background: bool
    """Whether class 0 is the background."""
    method: MethodConfig
    """Settings of Steps 1 to 3."""
    boundary: BoundaryConfig
    """R_c."""
    survey: Survey | None = None
    """The survey of the photographs."""
    exchange: bool = False
    """Whether the maps of classes that the survey exchanges are exchanged: those of a classifier are, those of a
    decoder, which learns from masks, are not."""


@torch.no_grad()
def live_targets(
    cams: Float[Tensor, "b t _ _"], features: Float[Tensor, "b d _ _"], crops: CropBatch, live: LiveMethod
) -> Targets:
    """M_dhr of a batch, from live maps (paper, Section 3.3), without waiting for the device.

    Args:
        cams: of all classes that can be tagged.
    """
    background, survey, method = live.background, live.survey, live.method
    own = cams.gather(1, crops.classes[..., None, None].expand(-1, -1, *cams.shape[-2:]))
    if survey is not None and live.exchange:
        own = take_classes(own, exchange(crops.classes + int(background), crops.valid, survey.swaps))
    negative = (crops.tags == 0).all(dim=1)  # their labels are known: background
    empty = ~crops.valid.any(dim=1)
    # The method needs a class per image; its result for these images is replaced by void below.
    first = torch.arange(crops.valid.shape[1], device=cams.device) == 0
    valid = crops.valid | (empty[:, None] & first)
    ids = crops.classes + int(background)
    if background:
        ids = torch.cat([torch.zeros_like(ids[:, :1]), ids], dim=1)
    known = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1) if background else valid
    start = said = None
    if live.masks:
        same = (crops.base.unsqueeze(1) == ids[..., None, None]) & known[..., None, None]
        start = torch.where(same.any(dim=1), same.int().argmax(dim=1), VOID)
    uss = crops.uss.float()
    if survey is not None:
        method = survey.weighed(method)
        raw = survey.shares(survey_features(uss), ids, known).view(len(uss), -1, *uss.shape[-2:])
        said = settled(raw, uss, crops.images.float())
    batch = Batch(
        own.float(), uss, features.float(), crops.images.float(), valid, start, background=background, survey=said
    )  # fmt: skip
    result = rebalance(batch, method, live.boundary)
    labels = ids.gather(1, result.mask.flatten(1)).view_as(result.mask)
    labels = torch.where(empty[:, None, None], VOID, labels)
    return Targets(torch.where(negative[:, None, None], 0, labels), empty & ~negative)
