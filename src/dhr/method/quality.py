"""The quality of a mask without ground truth: it orders masks for review."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate


def mask_quality(
    mask: Int[Tensor, "b h w"],
    confidence: Float[Tensor, "b h w"],
    alike: Bool[Tensor, "b u v"],
    valid: Bool[Tensor, "b k"],
) -> Float[Tensor, " b"]:
    """Return the mean over the image's classes of the mean confidence inside each, 0..1.

    A pixel counts 0 where USS and WSS heatmaps name different classes. A class without pixels counts 0. Every class has
    the same weight, as in mIoU: a large class that is easily found does not hide a small one that is not.

    Args:
        mask: labels 0..k-1.
        confidence: margin between the two best classes, 0..1.
        alike: where the best class by USS heatmaps is the best one by WSS heatmaps, on the grid.
        valid: False for padding.
    """
    agreed = interpolate(alike.unsqueeze(1).to(confidence.dtype), mask.shape[-2:], mode="nearest-exact")[:, 0]
    flat, trusted = mask.flatten(1), (confidence * agreed).flatten(1)
    nothing = torch.zeros(valid.shape, dtype=confidence.dtype, device=mask.device)
    area = nothing.scatter_add(1, flat, torch.ones_like(trusted))
    means = nothing.scatter_add(1, flat, trusted) / area.clamp_min(1)
    return (means * valid).sum(dim=1) / valid.sum(dim=1)
