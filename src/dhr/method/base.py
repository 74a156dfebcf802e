"""CAMs made comparable, and the mask M_base that the method starts from (paper, Section 3.1)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.method.boundary import refine_boundary
from dhr.method.config import BoundaryConfig
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
    cams: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"], score: float
) -> tuple[Float[Tensor, "b k+1 u v"], Bool[Tensor, "b k+1"]]:
    """Put a background of constant score before the classes, as class 0."""
    level = torch.full_like(cams[:, :1], score)
    return torch.cat([level, cams], dim=1), torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)


def base_mask(
    images: Float[Tensor, "b 3 h w"] | None,
    cams: Float[Tensor, "b k u v"],
    valid: Bool[Tensor, "b k"],
    config: BoundaryConfig,
) -> Int[Tensor, "b h w"]:
    """M_base = R_c(A), the class of the highest score (Eq. 1 with the CAMs themselves as the propagated seeds)."""
    if images is not None:
        cams = resize(cams, (images.shape[-2], images.shape[-1]))
    return scored_labels(refine_boundary(images, cams, config), valid)


def resize(maps: Float[Tensor, "b k u v"], size: tuple[int, int]) -> Float[Tensor, "b k h w"]:
    """Resample scores bilinearly."""
    if maps.shape[-2:] == size:
        return maps
    return interpolate(maps, size, mode="bilinear", align_corners=False)


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
