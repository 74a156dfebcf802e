"""The quality of a mask without ground truth: it orders masks for review."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.method.base import labels

_LEAST = 0.1
"""An agreement counts as this plus itself, so that masks keep an order where nothing agrees."""


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


def supported(
    quality: Float[Tensor, " b"],
    own: Float[Tensor, "b k u v"],
    said: Float[Tensor, "b k u v"],
    agreement: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    whole: Float[Tensor, ""],
) -> Float[Tensor, " b"]:
    r"""Return the quality of masks by the support that they have from other photographs.

    .. math::

        q' = q \, \ell(\bar a) \, K^{-(1 - \bar a) / 2} \frac{1}{K} \sum_k \ell(a_k) \, IoU_k, \quad
        \ell(a) = (0.1 + a) / 1.1

    with :math:`IoU_k` that of the class in the labels of Steps 1 to 3 and in those of the survey. These steps make any
    start consistent with itself, also random CAMs; other photographs do not agree with it. The less they agree, the
    more the number K of classes tells: each may be taken for another. An image with one class has the mask that its tag
    demands, so only :math:`\ell(\bar a)` counts. Where the survey says nothing, IoU is 1.

    Args:
        quality: q, of :func:`mask_quality`.
        own: S_dhr.
        said: what the survey says.
        agreement: a of the image's classes (:attr:`dhr.method.survey.Survey.agreement`).
        valid: False for padding.
        whole: the mean of a over all classes of the data set.
    """
    spoken = said.sum(dim=1).flatten(1) > 0
    places = torch.arange(valid.shape[1], device=valid.device).view(-1, 1)
    mine, theirs = (labels(scores, valid).flatten(1).unsqueeze(1) == places for scores in (own, said))
    there = spoken.unsqueeze(1)
    both, either = ((mine & theirs & there).sum(dim=2), ((mine | theirs) & there).sum(dim=2))
    alike = torch.where(either > 0, both / either.clamp_min(1), 1).to(quality.dtype)
    count, whole = valid.sum(dim=1), whole.to(quality.dtype)
    each = (alike * _lifted(agreement.to(quality.dtype)) * valid).sum(dim=1) / count
    return quality * _lifted(whole) * count ** ((whole - 1) / 2) * torch.where(count > 1, each, 1)


def _lifted(agreement: Tensor) -> Tensor:
    return (_LEAST + agreement) / (_LEAST + 1)
