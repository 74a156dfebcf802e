"""Losses of IRN (Ahn et al., CVPR 2019) on pairs of positions where the CAMs are confident."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn.functional import interpolate, pad, softplus

from dhr.ops.pamr import pamr
from dhr.ops.random_walk import forward_offsets, path_maxima

UNSURE = -1
"""Label of positions without a confident CAM, which are ignored; 0 is the background, classes count from 1."""

_DILATIONS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Confidence:
    """When the class of a position counts as known."""

    foreground: float
    """Least share of its peak, 0..1, that the highest CAM reaches."""
    background: float | None
    """Share of their peaks, 0..1, below which all CAMs stay in the background; None without a background."""
    margin: float
    """Least difference of these shares, 0..1, between the highest CAM and the next one."""
    refine: int
    """Rounds of PAMR before."""


@torch.no_grad()
def confident_labels(
    cams: Float[Tensor, "b c _ _"],
    peaks: Float[Tensor, "b c"],
    images: Float[Tensor, "b 3 _ _"],
    size: tuple[int, int],
    confidence: Confidence,
) -> Integer[Tensor, "b p q"]:
    """Label each position with its class where the CAMs are confident.

    Each CAM is divided by its peak, and PAMR makes all follow the edges of the image (the paper uses a CRF). A position
    gets the class of the highest CAM if that reaches ``foreground`` and leads by ``margin``, the background if it stays
    below ``background``, else :data:`UNSURE`.

    Args:
        cams: before the ReLU.
        peaks: highest value of each CAM in the whole photograph; 0 or less for classes that are not tagged.
        images: RGB; they are resized to ``size``.
        size: height and width of the result.
        confidence: the limits.
    """
    # Only tagged classes are worth the time.
    most = max(1, int((peaks > 0).sum(dim=1).max()))
    known, classes = peaks.topk(most, dim=1)
    chosen = cams.gather(1, classes[:, :, None, None].expand(-1, -1, *cams.shape[-2:]))
    known = known[:, :, None, None]
    shares = torch.where(known > 0, chosen / known.clamp_min(1e-8), 0).clamp(0, 1)
    shares = interpolate(shares, size, mode="bilinear", align_corners=False)
    shares = pamr(interpolate(images, size, mode="area"), shares, confidence.refine, _DILATIONS)
    ordered, index = pad(shares, (0, 0, 0, 0, 0, 1)).topk(2, dim=1)  # a single class competes with 0
    best, second = ordered.unbind(dim=1)
    named = classes.gather(1, index[:, 0].flatten(1).clamp_max(most - 1)).view_as(index[:, 0]) + 1
    sure = (best >= confidence.foreground) & (best - second >= confidence.margin)
    labels = torch.where(sure, named, UNSURE)
    return labels if confidence.background is None else torch.where(best < confidence.background, 0, labels)


def boundary_loss(logits: Float[Tensor, "b 1 p q"], labels: Integer[Tensor, "b p q"], radius: int) -> Float[Tensor, ""]:
    r"""Measure how far boundaries are from separating exactly the positions of different classes.

    .. math:: - \tfrac12 \operatorname*{mean}_{P^+_{fg}} \log a_{ij}
              - \tfrac12 \operatorname*{mean}_{P^+_{bg}} \log a_{ij}
              - \operatorname*{mean}_{P^-} \log (1 - a_{ij})

    with :math:`a_{ij}` as in :func:`~dhr.ops.random_walk.boundary_affinity`. Pairs lie at most ``radius`` apart;
    :math:`P^+` are pairs of one class (a tagged one, or the background), :math:`P^-` pairs of two. If only one of
    :math:`P^+_{fg}` and :math:`P^+_{bg}` has pairs, its mean counts in full.

    Args:
        logits: of the boundaries.
        labels: see :func:`confident_labels`.
        radius: in positions.
    """
    pairs = _Pairs(labels, radius)
    highest = path_maxima(logits, radius, outside=0.0)  # of logits, as the sigmoid keeps the order
    join, part = softplus(highest), softplus(-highest)  # -log a and -log(1 - a)
    kinds = torch.stack([pairs.foreground.any(), pairs.background.any()]).sum().clamp_min(1)
    return (_mean(join, pairs.foreground) + _mean(join, pairs.background)) / kinds + _mean(part, pairs.apart)


def displacement_loss(
    displacement: Float[Tensor, "b 2 p q"], labels: Integer[Tensor, "b p q"], radius: int
) -> Float[Tensor, ""]:
    r"""Measure how far displacements of a class are from pointing to one place, and of the background from being equal.

    .. math:: \operatorname*{mean}_{P^+_{fg}} |\delta_{ij} - (D_i - D_j)| + \operatorname*{mean}_{P^+_{bg}} |D_i - D_j|

    with :math:`\delta_{ij}` the way from i to j; the mean is also over both directions; see :func:`boundary_loss`.
    """
    pairs = _Pairs(labels, radius)
    around = forward_offsets(radius)
    delta = displacement.new_tensor(around).T[None, :, :, None, None]  # (1, 2, m, 1, 1)
    differ = displacement.unsqueeze(2) - _shifted(displacement, radius, 0).movedim(1, 2)  # (b, 2, m, p, q)
    things = (delta - differ).abs().mean(dim=1)
    return _mean(things, pairs.foreground) + _mean(differ.abs().mean(dim=1), pairs.background)


class _Pairs:
    """Pairs of :func:`forward_offsets` within one class, within the background, and between two; (b, m, p, q) each."""

    def __init__(self, labels: Tensor, radius: int) -> None:
        here, there = labels.unsqueeze(1), _shifted(labels, radius, UNSURE)
        same = here == there
        self.foreground: Bool[Tensor, "b m p q"] = same & (here > 0)
        self.background: Bool[Tensor, "b m p q"] = same & (here == 0)
        self.apart: Bool[Tensor, "b m p q"] = ~same & (here != UNSURE) & (there != UNSURE)


def _shifted(maps: Tensor, radius: int, outside: int) -> Tensor:
    """Stack, in a new dimension 1, the values at :func:`forward_offsets` from each position."""
    p, q = maps.shape[-2:]
    padded = pad(maps, (radius,) * 4, value=outside)
    return torch.stack(
        [padded[..., radius + y : radius + y + p, radius + x : radius + x + q] for y, x in forward_offsets(radius)],
        dim=1,
    )


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Compute the mean of the chosen values; 0 if no value is chosen."""
    return torch.where(where, values, 0).sum() / where.sum().clamp_min(1)
