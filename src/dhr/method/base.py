"""CAMs made comparable, a background beside them, and labels from scores (paper, Section 3.1)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.ops.upsample import area_average

_OTSU_MOST = 0.9

NOTHING = -1
"""Label of pixels that no class claims."""


def on_one_scale(cams: Float[Tensor, "b k u v"]) -> Float[Tensor, "b k u v"]:
    """Each map divided by its largest absolute value: resampling would lose digits of the smallest numbers.

    >>> on_one_scale(torch.tensor([[[[-1e-44, 5e-45]], [[0.0, 0.0]]]]))[0, :, 0].tolist()
    [[-1.0, 0.5714285969734192], [0.0, 0.0]]
    """
    return _over(cams.contiguous(), cams.abs().amax(dim=(2, 3), keepdim=True))


def normalise_cams(cams: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b k u v"]:
    """A: ReLU, then each map divided by its maximum, of whatever scale that is.

    Constant maps without activation, and padding, are zero. A map that nowhere rises above 0 is stretched from its
    least value to its highest instead: the tag says that the class is there, so where the classifier doubts it least is
    the best guess.
    """
    low, high = cams.amin(dim=(2, 3), keepdim=True), cams.amax(dim=(2, 3), keepdim=True)
    rising = torch.where(high > 0, cams.relu(), cams - low) * valid[:, :, None, None]
    return _over(rising, rising.amax(dim=(2, 3), keepdim=True))


def _over(maps: Tensor, most: Tensor) -> Tensor:
    """Maps over their maximum; those of zeros stay."""
    return maps / torch.where(most > 0, most, 1)


def add_background(
    cams: Float[Tensor, "b k u v"], valid: Bool[Tensor, "b k"], config: MethodConfig
) -> tuple[Float[Tensor, "b k+1 u v"], Bool[Tensor, "b k+1"]]:
    r"""Put the background, which has no CAM, before the classes, as class 0.

    Its score is a constant, one for each image that parts its highest CAMs :math:`\max_k A_k` best
    (:func:`otsu_level`), or :math:`(1 - \max_k A_k)^\gamma` (``config.background``). Without one, whatever follows, a
    CRF say, would give all of a photograph to its tags.
    """
    highest = cams.amax(dim=1, keepdim=True)
    if config.background == "threshold":
        level = torch.full_like(highest, config.background_threshold)
    elif config.background == "otsu":
        # Even where the CAMs are the same everywhere, a tagged class outdoes the background somewhere.
        level = otsu_level(highest.flatten(1)).clamp_max(_OTSU_MOST).view(-1, 1, 1, 1).expand_as(highest)
    else:
        level = (1 - highest).pow(config.background_power)
    return torch.cat([level, cams], dim=1), torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)


def otsu_level(values: Float[Tensor, "b n"]) -> Float[Tensor, " b"]:
    """The level that parts the values of each image in two with the most variance between them (Otsu 1979).

    Half-way between the two values next to it; the value itself where all are equal.

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
    """Scores over their sum over the classes; 0 where no class scores."""
    return scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-12)


def labels(scores: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b k"]) -> Int[Tensor, "b h w"]:
    """The class of the highest score, the first of equals, never padding."""
    return _best(scores, valid)[1]


def scored_labels(scores: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b k"]) -> Int[Tensor, "b h w"]:
    """As :func:`labels`, but :data:`NOTHING` where no class scores above 0: there, only their order would decide."""
    highest, found = _best(scores, valid)
    return found.masked_fill(highest <= 0, NOTHING)


def _best(scores: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    # argmax and amax over a strided dimension take PyTorch ten times as long on the CPU
    best = scores.masked_fill(~valid[:, :, None, None], -torch.inf).max(dim=1)
    return best.values, best.indices


def soft_masks(
    mask: Int[Tensor, "b h w"], classes: int, grid: tuple[int, int], dtype: torch.dtype
) -> Float[Tensor, "b k u v"]:
    """Share of each grid cell that each class covers; void (any label beyond the classes) has no share."""
    ids = torch.arange(classes, device=mask.device, dtype=mask.dtype).view(1, -1, 1, 1)
    return area_average((mask.unsqueeze(1) == ids).to(dtype), grid)  # (b, k, u, v)


def majority(masks: Float[Tensor, "b k u v"]) -> Float[Tensor, "b k u v"]:
    """The whole of each cell for the class that covers most of it, in equal parts where several do."""
    most = ((masks == masks.amax(dim=1, keepdim=True)) & (masks > 0)).to(masks.dtype)
    return most / most.sum(dim=1, keepdim=True).clamp_min(1)
