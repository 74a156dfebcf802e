"""Keeps tagged classes in the mask: their tags are certain, even where all other evidence is against them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.method.base import labels, shares
from dhr.ops.upsample import resize

FLOOR = 1e-4
"""Shares below this count as this: no evidence rules out a class for certain."""
KEPT = 0.25
"""Part of a guarded area with which a class still counts as there."""
_TURNS = 4  # how often the scores of starved classes are raised
_LEAD = 2.0  # of a class over the best other one, in positions that it is given: it survives the resizing to pixels
_TIE = 1e-3  # weight of the CAMs in the order of positions


def areas(scores: Float[Tensor, "b k n"], valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Count the positions where each class scores highest; positions without any score are ignored."""
    scored = (scores.sum(dim=1) > 0).to(scores.dtype)
    nothing = torch.zeros(valid.shape, dtype=scores.dtype, device=scores.device)
    return nothing.scatter_add(1, labels(scores.unsqueeze(3), valid)[..., 0], scored)


def raised(
    scores: Float[Tensor, "b k n"], valid: Bool[Tensor, "b k"], goal: Float[Tensor, "b k"]
) -> Float[Tensor, "b k n"]:
    """Raise the scores of classes that lead in too few positions, by the smallest sufficient factor.

    So a class gets the positions where it is least denied. Raised classes may take positions from each other; after
    :data:`_TURNS` this is accepted. Images without such a class stay as they are.

    Args:
        scores: shares, in each position the sum over the classes is 1, or 0.
        valid: False for padding.
        goal: number of positions of each class; 0 for padding.

    >>> scores, valid = torch.tensor([[[0.9, 0.8, 0.6], [0.1, 0.2, 0.4]]]), torch.tensor([[True, True]])
    >>> raised(scores, valid, torch.tensor([[0.0, 1.0]]))
    tensor([[[0.8571, 0.7273, 0.5000],
             [0.1429, 0.2727, 0.5000]]])
    """
    for _ in range(_TURNS):
        starved = areas(scores, valid) < goal
        factor = torch.where(starved, _least_factor(scores, goal), 1).unsqueeze(2)
        scores = torch.where(starved.any(dim=1)[:, None, None], shares(scores * factor), scores)
    return scores


def guarded(
    scores: Float[Tensor, "b k n"],
    valid: Bool[Tensor, "b k"],
    least: float,
    cams: Float[Tensor, "b k n"] | None = None,
    drawn: Float[Tensor, "b k"] | None = None,
) -> Float[Tensor, "b k n"]:
    r"""Give classes that lead nearly nowhere the lead in a share ``least`` of the positions.

    Let :math:`g = \lceil n \min(\text{least}, 1 / 2K) \rceil`, K the number of the image's classes. A class with less
    than :data:`KEPT` g positions gets g: where it is least denied, that is, where the ratio of the highest other score
    to its own is the lowest, of equal ones where the highest CAM is the lowest. Classes with less than 2 g give nothing
    away, and positions without any score stay so. All other scores stay as they are.

    Args:
        scores: shares, or 0 for all classes of an image about which nothing is known; it stays as it is.
        valid: False for padding.
        least: 0 changes nothing.
        cams: A.
        drawn: share of the image that a person has drawn for each class; who drew a class has shown its place.

    >>> scores, valid = torch.tensor([[[0.9, 0.8, 0.6], [0.1, 0.2, 0.4]]]), torch.tensor([[True, True]])
    >>> guarded(scores, valid, 0.1)
    tensor([[[0.9000, 0.8000, 0.3333],
             [0.1000, 0.2000, 0.6667]]])
    """
    if not least > 0:
        return scores
    some = (scores.sum(dim=(1, 2)) > 0)[:, None]
    limit = (0.5 / valid.sum(dim=1, keepdim=True).to(scores.dtype)).clamp_max(least)
    goal = (limit * scores.shape[2]).ceil() * (valid & some)
    wanted = goal if drawn is None else goal * (drawn == 0)
    tie = 1 if cams is None else 1 + _TIE * cams.amax(dim=1)
    for index in range(scores.shape[1]):
        area, leader = areas(scores, valid), labels(scores.unsqueeze(3), valid)[..., 0]
        starved = area[:, index] < (KEPT * wanted[:, index]).ceil()
        own, others = scores[:, index], scores.clone()
        others[:, index] = 0
        rival = others.amax(dim=1)
        denied = tie * rival / own.clamp_min(FLOOR)
        denied = denied.masked_fill(~(area >= 2 * goal).gather(1, leader), torch.inf)
        denied = denied.masked_fill(scores.sum(dim=1) == 0, torch.inf)
        denied = denied.masked_fill(leader == index, -torch.inf)
        place = denied.argsort(dim=1, stable=True).argsort(dim=1)
        chosen = (place < goal[:, index : index + 1]) & starved[:, None] & (leader != index) & (denied < torch.inf)
        others[:, index] = torch.where(chosen, _LEAD * rival.clamp_min(FLOOR), own)
        scores = torch.where(chosen[:, None], shares(others), scores)
    return scores


def covered(scores: Float[Tensor, "b k h w"]) -> Bool[Tensor, "b k h w"]:
    """Return the pixels of each class: where its score is the highest, and above 0."""
    best = scores.max(dim=1)
    classes = torch.arange(scores.shape[1], device=scores.device).view(1, -1, 1, 1)
    return (best.indices.unsqueeze(1) == classes) & (best.values > 0).unsqueeze(1)


def restored(
    after: Float[Tensor, "b k h w"], had: Bool[Tensor, "b k h w"], least: float = 0.0
) -> Float[Tensor, "b k h w"]:
    """Give classes that a correction has erased the pixels that they had.

    A class is erased if it has less than :data:`KEPT` of its pixels, or of a share ``least`` of the image if they were
    more; with ``least`` 0, if it has lost all pixels.

    Args:
        after: shares of the classes after the correction.
        had: pixels of each class before it.
        least: guarded share of the image.
    """
    pixels, left = (one.sum(dim=(2, 3)) for one in (had, covered(after)))  # (b, k)
    goal = (KEPT * pixels.clamp_max(least * had.shape[2] * had.shape[3])).clamp_min(1) * (pixels > 0)
    regained = had & (left < goal)[:, :, None, None]
    return torch.where(regained.any(dim=1, keepdim=True), regained.to(after.dtype), after)


def in_pixels(scores: Float[Tensor, "b k u v"], size: tuple[int, int]) -> Bool[Tensor, "b k h w"]:
    """Return the pixels of each class by scores of a grid.

    They are where its resized score is the highest. A class with few single cells may lead nowhere between the cells:
    if less than :data:`KEPT` of its area is left, it has all pixels of its cells.
    """
    cells, pixels = covered(scores), covered(resize(scores, size))
    lost = pixels.to(scores.dtype).mean(dim=(2, 3)) < KEPT * cells.to(scores.dtype).mean(dim=(2, 3))
    whole = interpolate(cells.to(scores.dtype), size, mode="nearest-exact") > 0
    return torch.where(lost[:, :, None, None], whole, pixels)


def _least_factor(scores: Float[Tensor, "b k n"], cells: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Return the factor on the scores of each class with which it leads in that many cells, if the others stay."""
    best = scores.topk(min(2, scores.shape[1]), dim=1)
    first, second = best.values[:, :1], best.values[:, -1:]
    ids = torch.arange(scores.shape[1], device=scores.device).view(1, -1, 1)
    rival = torch.where(best.indices[:, :1] == ids, second, first)  # (b, k, n): the best of the others
    needed = (rival / scores.clamp_min(1e-12)).sort(dim=2).values
    at = (cells - 1).clamp_min(0).long().unsqueeze(2)
    return 1.0001 * needed.gather(2, at).squeeze(2)  # above, not level
