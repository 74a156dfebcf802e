"""Normalised CAMs, the score of the background, and labels of scores (paper, Section 3.1)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_OTSU_MOST = 0.9

NOTHING = -1
"""Label of pixels without a class."""


def on_one_scale(cams: Float[Tensor, "b k u v"]) -> Float[Tensor, "b k u v"]:
    """Divide each map by its largest absolute value; resampling would lose digits of the smallest numbers.

    >>> on_one_scale(torch.tensor([[[[-1e-44, 5e-45]], [[0.0, 0.0]]]]))[0, :, 0].tolist()
    [[-1.0, 0.5714285969734192], [0.0, 0.0]]
    """
    return _over(cams.contiguous(), cams.abs().amax(dim=(2, 3), keepdim=True))


def normalise_cams(cams: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b k u v"]:
    """Compute A: the ReLU, then each map divided by its maximum.

    Padding, and constant maps without activation, are zero. Other maps without a value above 0 are stretched from their
    minimum to their maximum: the tag says that the class is present, so their maximum is the best guess.
    """
    low, high = cams.amin(dim=(2, 3), keepdim=True), cams.amax(dim=(2, 3), keepdim=True)
    rising = torch.where(high > 0, cams.relu(), cams - low) * valid[:, :, None, None]
    return _over(rising, rising.amax(dim=(2, 3), keepdim=True))


def _over(maps: Tensor, most: Tensor) -> Tensor:
    """Divide maps by their maximum; maps of zeros stay."""
    return maps / torch.where(most > 0, most, 1)


def add_background(
    cams: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"], level: float | None
) -> tuple[Float[Tensor, "b k+1 u v"], Bool[Tensor, "b k+1"]]:
    r"""Put the background, which has no CAM, before the classes, as class 0.

    Its score is constant in an image: ``level``, or without one the level that best splits the image's highest CAMs
    :math:`\max_k A_k` (:func:`otsu_level`). Without a score, later steps would give each photograph to its tags alone.
    """
    highest = cams.amax(dim=1, keepdim=True)
    if level is not None:
        score = torch.full_like(highest, level)
    else:
        # Even if the CAMs are the same everywhere, a tagged class scores above the background somewhere.
        score = otsu_level(highest.flatten(1)).clamp_max(_OTSU_MOST).view(-1, 1, 1, 1).expand_as(highest)
    return torch.cat([score, cams], dim=1), torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)


def otsu_level(values: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """Find the level that splits the values of each image with the most variance between the two parts (Otsu 1979).

    It is half-way between the two values next to it, or the value itself if all are equal.

    >>> otsu_level(torch.tensor([[0.1, 0.2, 0.1, 0.8, 0.9]]))
    tensor([0.5000])
    """
    ordered, count = values.sort(dim=1).values, values.shape[1]
    if count == 1:
        return ordered[:, 0]
    below = torch.arange(1, count, device=values.device, dtype=values.dtype)
    sums = ordered.cumsum(dim=1)
    low, high = sums[:, :-1] / below, (sums[:, -1:] - sums[:, :-1]) / (count - below)
    between = below * (count - below) * (high - low).square()
    best = between.argmax(dim=1, keepdim=True)
    return (ordered.gather(1, best) + ordered.gather(1, best + 1))[:, 0] / 2


def shares(scores: Float[Tensor, "b k *s"]) -> Float[Tensor, "b k *s"]:
    """Divide scores by their sum over the classes; 0 where all scores are 0."""
    return scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-12)


def labels(scores: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b k"]) -> Int[Tensor, "b h w"]:
    """Return the class of the highest score, the first of equals, never padding."""
    return _best(scores, valid)[1]


def scored_labels(scores: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b k"]) -> Int[Tensor, "b h w"]:
    """As :func:`labels`, but :data:`NOTHING` where all scores are 0, and only the order of the classes would decide."""
    highest, found = _best(scores, valid)
    return found.masked_fill(highest <= 0, NOTHING)


def _best(scores: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    # argmax and amax over a strided dimension take PyTorch ten times as long on the CPU
    best = scores.masked_fill(~valid[:, :, None, None], -torch.inf).max(dim=1)
    return best.values, best.indices
