"""CAMs made comparable, a background beside them, and labels from scores (paper, Section 3.1)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.ops.prototypes import area_average

NOTHING = -1
"""Label of pixels that no class claims."""


def normalise_cams(cams: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b k u v"]:
    """A: ReLU, then each map divided by its maximum; constant maps without activation, and padding, are zero.

    A map that nowhere rises above 0 is stretched from its least value to its highest instead: the tag says that the
    class is there, so where the classifier doubts it least is the best guess.
    """
    low, high = cams.amin(dim=(2, 3), keepdim=True), cams.amax(dim=(2, 3), keepdim=True)
    rising = torch.where(high > 0, cams.relu(), cams - low)
    return rising * valid[:, :, None, None] / rising.amax(dim=(2, 3), keepdim=True).clamp_min(1e-8)


def add_background(
    cams: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"], config: MethodConfig
) -> tuple[Float[Tensor, "b k+1 u v"], Bool[Tensor, "b k+1"]]:
    r"""Put the background, which has no CAM, before the classes, as class 0.

    Its score is a constant, or :math:`(1 - \max_k A_k)^\gamma` (``config.background``). Without one, whatever follows,
    a CRF say, would give all of a photograph to its tags.
    """
    if config.background == "threshold":
        level = torch.full_like(cams[:, :1], config.background_threshold)
    else:
        level = (1 - cams.amax(dim=1, keepdim=True)).pow(config.background_power)
    return torch.cat([level, cams], dim=1), torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)


def labels(scores: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b k"]) -> Int[Tensor, "b h w"]:
    """The class of the highest score, never padding."""
    return scores.masked_fill(~valid[:, :, None, None], -torch.inf).argmax(dim=1)


def scored_labels(scores: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b k"]) -> Int[Tensor, "b h w"]:
    """As :func:`labels`, but :data:`NOTHING` where no class scores above 0: there, only their order would decide."""
    return labels(scores, valid).masked_fill(scores.amax(dim=1) <= 0, NOTHING)


def soft_masks(
    mask: Int[Tensor, "b h w"], classes: int, grid: tuple[int, int], dtype: torch.dtype
) -> Float[Tensor, "b k u v"]:
    """Share of each grid cell that each class covers; void (any label beyond the classes) has no share."""
    ids = torch.arange(classes, device=mask.device, dtype=mask.dtype).view(1, -1, 1, 1)
    return area_average((mask.unsqueeze(1) == ids).to(dtype), grid)  # (b, k, u, v)
