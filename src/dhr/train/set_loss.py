"""The loss of a Mask2Former on class masks with void: a set of masks, each matched with one query (Cheng et al. 2022).

All losses are computed on random points of each image, as in that paper. In transformers' own loss, a void pixel is
outside of every mask. Here points are drawn only where the label is known, so void has no influence on matches, losses
and gradients. Without void both losses are the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy, grid_sample, softplus

from dhr.data.samples import VOID
from dhr.models.student.mask2former import Queries


@dataclass(frozen=True)
class SetLossConfig:
    """Weights and points; transformers' defaults are those of the paper."""

    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    no_object_weight: float = 0.1
    points: int = 12544
    oversample: float = 3.0
    """Points drawn to choose from, as a multiple of ``points``."""
    important: float = 0.75
    """Share of the points, 0..1, that are chosen as the least certain of those."""


class SetLosses(NamedTuple):
    """Weighted losses, summed over the layers; their sum is minimised."""

    classes: Float[Tensor, ""]
    masks: Float[Tensor, ""]
    dice: Float[Tensor, ""]


def set_loss(
    seen: Queries,
    labels: Int[Tensor, "b h w"],
    config: SetLossConfig,
    mean: Callable[[Tensor], Tensor] = lambda value: value,
) -> SetLosses:
    """Compute the losses of ``seen`` against class ids; 255 is void.

    An image that is entirely void has no loss. In other images, queries without a matched class learn the class
    "no object".

    Args:
        mean: averages a number over all processes.
    """
    known = labels != VOID
    found = [torch.unique(one[there]) for one, there in zip(labels, known, strict=True)]
    masks = mean(labels.new_tensor(sum(len(one) for one in found), dtype=torch.float32)).clamp_min(1)
    given = _Given(labels, known, found, masks)
    totals = [
        _layer(classes.float(), logits.float(), given, config, mean)
        for classes, logits in zip(seen.classes, seen.masks, strict=True)
    ]
    classes, mask, dice = (torch.stack(one).sum() for one in zip(*totals, strict=True))
    return SetLosses(config.class_weight * classes, config.mask_weight * mask, config.dice_weight * dice)


class _Given(NamedTuple):
    """The masks of a batch."""

    labels: Int[Tensor, "b h w"]
    known: Bool[Tensor, "b h w"]
    """Pixels that are not void."""
    found: list[Tensor]
    """Class ids in each image."""
    masks: Float[Tensor, ""]
    """Number of classes in all images, the mean over the processes."""


def _layer(
    classes: Float[Tensor, "b q c1"],
    logits: Float[Tensor, "b q u v"],
    given: _Given,
    config: SetLossConfig,
    mean: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Class, mask and dice loss of one layer, without their weights."""
    labels, known = given.labels, given.known
    queries, images, ids = match(classes, logits, labels, known, given.found, config)
    taught = torch.stack([one.any() for one in known]).float()
    none = classes.shape[-1] - 1
    wanted = torch.full(classes.shape[:2], none, device=classes.device)
    wanted[images, queries] = ids
    weights = torch.where(wanted == none, config.no_object_weight, 1.0) * taught[:, None]
    each = cross_entropy(classes.flatten(0, 1), wanted.flatten(), reduction="none").view_as(weights)
    classified = (each * weights).sum() / mean(weights.sum()).clamp_min(1e-12)

    own = logits[images, queries].unsqueeze(1)  # (n, 1, u, v)
    with torch.no_grad():
        many = draw(known, round(config.points * config.oversample))[images] if len(images) else images[:, None]
        certain = _at(own, many, (labels.shape[1], labels.shape[2])).abs()[:, 0]
        least = certain.topk(min(round(config.points * config.important), many.shape[1]), largest=False).indices
        others = draw(known, config.points - round(config.points * config.important))[images]
        points = torch.cat([many.gather(1, least), others], dim=1)
        target = (labels.flatten(1)[images].gather(1, points) == ids[:, None]).float()
    predicted = _at(own, points, (labels.shape[1], labels.shape[2]))[:, 0]
    share = predicted.sigmoid()
    dice = 1 - (2 * (share * target).sum(dim=1) + 1) / (share.sum(dim=1) + target.sum(dim=1) + 1)
    cost = bce(predicted, target, reduction="none").sum() / points.shape[1]
    return classified, cost / given.masks, dice.sum() / given.masks


@torch.no_grad()
def match(
    classes: Float[Tensor, "b q c1"],
    logits: Float[Tensor, "b q u v"],
    labels: Int[Tensor, "b h w"],
    known: Bool[Tensor, "b h w"],
    found: list[Tensor],
    config: SetLossConfig,
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Match each class of an image with one query at the least total cost; return query, image and class id of each."""
    points = draw(known, config.points)
    predicted = _at(logits, points, (labels.shape[1], labels.shape[2]))
    at = labels.flatten(1).gather(1, points)
    queries, images, ids = [], [], []
    for index, present in enumerate(found):
        target = (at[index] == present[:, None]).float()  # (k, p)
        one = predicted[index]  # (q, p)
        # softplus(-x) is the cross entropy where the mask is, softplus(x) where it is not
        mask = (softplus(-one) @ target.T + softplus(one) @ (1 - target).T) / one.shape[1]
        share = one.sigmoid()
        dice = 1 - (2 * share @ target.T + 1) / (share.sum(dim=1)[:, None] + target.sum(dim=1) + 1)
        label = -classes[index].softmax(dim=-1)[:, present]
        cost = config.class_weight * label + config.mask_weight * mask + config.dice_weight * dice
        rows, columns = linear_sum_assignment(torch.nan_to_num(cost, nan=1e9, posinf=1e9, neginf=-1e9).cpu().numpy())
        queries.append(torch.as_tensor(rows, device=at.device))
        images.append(torch.full((len(rows),), index, device=at.device))
        ids.append(present[torch.as_tensor(columns, device=at.device)])
    return torch.cat(queries), torch.cat(images), torch.cat(ids)


def draw(known: Bool[Tensor, "b h w"], count: int) -> Int[Tensor, "b n"]:
    """Draw flat indices of ``count`` random ``known`` pixels of each image; the last pixel if it has none."""
    upto = known.flatten(1).cumsum(dim=1)
    total = upto[:, -1:]
    which = (torch.rand(len(known), count, device=known.device) * total).long().clamp(max=total - 1)
    return torch.searchsorted(upto, which + 1).clamp(max=upto.shape[1] - 1)


def _at(maps: Float[Tensor, "n c u v"], points: Int[Tensor, "n p"], size: tuple[int, int]) -> Float[Tensor, "n c p"]:
    """Return values of ``maps`` at the centres of pixels of an image of ``size``."""
    height, width = size
    x = (points % width + 0.5) / width * 2 - 1
    y = (points.div(width, rounding_mode="floor") + 0.5) / height * 2 - 1
    return grid_sample(maps, torch.stack([x, y], dim=-1)[:, None], align_corners=False)[:, :, 0]
