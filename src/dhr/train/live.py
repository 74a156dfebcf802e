"""Masks of a batch in the midst of training: the method, on what the student sees right now."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.data.samples import VOID
from dhr.method.config import BoundaryConfig, MethodConfig
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch
from dhr.method.survey import Survey, survey_features
from dhr.train.crop_data import CropBatch


@dataclass(frozen=True)
class Targets:
    """What the decoder is taught."""

    labels: Int[Tensor, "b s s"]
    """Class ids; 255 is void."""
    confidence: Float[Tensor, "b s s"]
    """0..1; 1 for masks that were given."""
    empty: Bool[Tensor, " b"]
    """Crops that hold none of their photograph's tags: they teach nothing, and are counted."""


def given_targets(crops: CropBatch) -> Targets:
    """The base masks as they are."""
    void = crops.base == VOID
    return Targets(crops.base, torch.ones(void.shape, device=void.device), void.all(dim=2).all(dim=1))


@torch.no_grad()
def live_targets(
    cams: Float[Tensor, "b t _ _"],
    features: Float[Tensor, "b d _ _"],
    crops: CropBatch,
    base: Literal["masks", "maps"],
    background: bool,
    method: MethodConfig,
    boundary: BoundaryConfig,
    survey: Survey | None = None,
) -> Targets:
    """M_dhr of a batch, from live maps (paper, Section 3.3); nothing waits for the device.

    Args:
        cams: of all classes that can be tagged.
        base: whether M_base is that of ``crops``, or made of ``cams``.
        background: whether class 0 is the background.
        method: settings of Steps 1 to 3.
        boundary: R_c.
        survey: of the photographs that the crops are of.
    """
    own = cams.gather(1, crops.classes[..., None, None].expand(-1, -1, *cams.shape[-2:]))
    negative = (crops.tags == 0).all(dim=1)  # their labels are known: the background alone
    empty = ~crops.valid.any(dim=1)
    # An image without any class is none to the method; what it makes of it is thrown away.
    first = torch.arange(crops.valid.shape[1], device=cams.device) == 0
    valid = crops.valid | (empty[:, None] & first)
    ids = crops.classes + int(background)
    if background:
        ids = torch.cat([torch.zeros_like(ids[:, :1]), ids], dim=1)
    known = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1) if background else valid
    start = said = None
    if base == "masks":
        same = (crops.base.unsqueeze(1) == ids[..., None, None]) & known[..., None, None]
        start = torch.where(same.any(dim=1), same.int().argmax(dim=1), VOID)
    uss = crops.uss.float()
    if survey is not None:
        method = survey.weighed(method)
        said = survey.shares(survey_features(uss), ids, known).view(len(uss), -1, *uss.shape[-2:])
    batch = Batch(
        own.float(), uss, features.float(), crops.images.float(), valid, start, background=background, survey=said
    )  # fmt: skip
    result = rebalance(batch, method, boundary)
    labels = ids.gather(1, result.mask.flatten(1)).view_as(result.mask)
    labels = torch.where(empty[:, None, None], VOID, labels)
    labels = torch.where(negative[:, None, None], 0, labels)
    confidence = torch.where(negative[:, None, None], 1, result.confidence)
    return Targets(labels, confidence, empty & ~negative)
