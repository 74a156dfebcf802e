"""Masks of a network that segments anything, judged by the scores of the classes and joined with them.

Such a network draws edges well, but it does not know the classes. For a prompt it may return a part of the thing, the
thing and its neighbour, or something else. So each proposal counts as far as it agrees with the scores, and the
classes share what several of them claim by transport.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.method.base import shares
from dhr.method.guard import covered
from dhr.ops.regions import bounding_boxes, largest_regions
from dhr.ops.transport import transport
from dhr.ops.upsample import area_average, resize
from dhr.prompts import Prompts, Proposals

_SIDE = 128  # cells of the longer side of the grid on which regions are found and compared
_COVERED = 1 / 3  # share of a cell from which it belongs to the region of a class
_SURE = 0.98  # probability inside a coarse mask; outside it is 1 - _SURE
_NOWHERE = -20.0  # logit
_UNBACKED = 0.25  # weight of a class's own pixels where a proposal of another class claims them
_CONTESTED = 0.25  # claim from which a pixel of another class is contested
_EPS = 0.05  # of the transport that shares out contested pixels


@dataclass(frozen=True)
class Asked:
    """The prompts for a batch, and the regions that they point to."""

    prompts: tuple[Prompts, ...]
    """Of each image: one per class and region, the regions of the first class first."""
    regions: Bool[Tensor, "b k r u v"]
    """The largest connected regions of each class on a grid; some may be empty."""
    cells: Float[Tensor, "b k u v"]
    """Share of each cell that each class covers."""


def ask(base: Float[Tensor, "b k h w"], scores: Float[Tensor, "b k h w"], regions: int) -> Asked:
    """Make the prompts: for each large region of each class the peak of its score, its box, and its coarse mask.

    Args:
        base: shares of the classes; a class has the pixels where its share is the highest.
        scores: where to look for the peaks.
        regions: prompts per class.
    """
    height, width = base.shape[-2:]
    factor = max(1, math.ceil(max(height, width) / _SIDE))
    grid = (math.ceil(height / factor), math.ceil(width / factor))
    cells = area_average(covered(base).to(base.dtype), grid)
    level = cells.amax(dim=(2, 3), keepdim=True).clamp_max(_COVERED)
    found, _ = largest_regions((cells >= level) & (cells > 0), cells, regions)  # (b, k, r, u, v)
    across, down = width / grid[1], height / grid[0]  # pixels per cell

    height_of = (area_average(scores, grid) * cells).unsqueeze(2).masked_fill(~found, -1)
    peaks = height_of.flatten(3).argmax(dim=3)  # (b, k, r)
    column, row = (peaks % grid[1] + 0.5) * across - 0.5, (peaks // grid[1] + 0.5) * down - 0.5
    points = torch.stack([column, row], dim=-1).flatten(1, 2).unsqueeze(2)  # (b, p, 1, 2)
    left, top, right, bottom = bounding_boxes(found).unbind(dim=-1)
    sides = [left * across, top * down, right * across - 1, bottom * down - 1]
    boxes = torch.stack(sides, dim=-1).clamp_min(0).flatten(1, 2)  # (b, p, 4)
    inside = torch.where(found, cells.unsqueeze(2), 0).clamp(1 - _SURE, _SURE)
    low = torch.logit(inside).flatten(1, 2)  # (b, p, u, v)
    labels = torch.ones_like(points[..., 0], dtype=torch.int64)
    prompts = zip(points.to(base.dtype), labels, boxes.to(base.dtype), low, strict=True)
    return Asked(tuple(Prompts(*one) for one in prompts), found, cells)


def agreement(
    masks: Float[Tensor, "b k r m u v"], regions: Bool[Tensor, "b k r u v"], cells: Float[Tensor, "b k u v"]
) -> Float[Tensor, "b k r m"]:
    r"""Compare proposals with the classes that they were asked for: soft IoU, corrected for chance as Cohen's kappa is.

    With M the proposal, C the class, and R the part of it in the region of the prompt, all as shares of cells,

    .. math:: IoU = \frac{\sum M C}{\sum M + \sum R (1 - M)}, \quad
              IoU_0 = \frac{\bar M \bar C}{\bar M + \bar R (1 - \bar M)}, \quad
              \frac{IoU - IoU_0}{1 - IoU_0}

    A proposal may cover other regions of its class, too. IoU_0 is what a mask of the same area reaches on the average
    anywhere in the image: without the correction, any large mask would agree with any large class. So random masks have
    0 on the average, the region itself has 1, and a class that covers the whole image has 0 with any mask.
    """
    part = regions * cells.unsqueeze(2)  # R, (b, k, r, u, v)
    shared = torch.einsum("bkrmuv,bkuv->bkrm", masks, cells)
    inside = torch.einsum("bkrmuv,bkruv->bkrm", masks, part)
    count = cells.shape[-2] * cells.shape[-1]
    area, whole = masks.sum(dim=(4, 5)), part.sum(dim=(3, 4)).unsqueeze(3)
    found = shared / (area + whole - inside).clamp_min(1e-6)
    mean = cells.mean(dim=(2, 3))[:, :, None, None]
    chance = area * mean / (area + whole * (1 - area / count)).clamp_min(1e-6)
    return (found - chance) / (1 - chance).clamp_min(1e-3)


def claims(
    asked: Asked, proposals: Sequence[Proposals], least: float, size: tuple[int, int]
) -> Float[Tensor, "b k h w"]:
    """Return the strength, 0..1, with which proposals claim each pixel for their class.

    Of the proposals for one prompt the best one counts, by agreement times the IoU that the network expects. It counts
    from ``least`` on, and fully from half-way between that and 1.
    """
    b, k, r = asked.regions.shape[:3]
    grid = (asked.cells.shape[-2], asked.cells.shape[-1])
    logits = torch.stack([one.logits for one in proposals]).to(asked.cells.dtype).nan_to_num(_NOWHERE)
    coarse = resize(logits.flatten(1, 2), grid).sigmoid().view(b, k, r, -1, *grid)
    expected = torch.stack([one.scores for one in proposals]).to(coarse.dtype).nan_to_num(0).clamp(0, 1)
    value = agreement(coarse, asked.regions, asked.cells) * expected.view(b, k, r, -1)
    best = value.max(dim=3)
    weight = ((best.values - least) / (1 - least) * 2).clamp(0, 1) * asked.regions.any(dim=(3, 4))  # (b, k, r)
    fine = logits.view(b, k, r, *logits.shape[2:])  # (b, k, r, m, u, v)
    index = best.indices[..., None, None, None].expand(-1, -1, -1, 1, *fine.shape[-2:])
    chosen = fine.gather(3, index).squeeze(3)  # (b, k, r, u, v)
    chosen = torch.where(weight[..., None, None] > 0, chosen.clamp_min(_NOWHERE), _NOWHERE)
    highest = chosen.max(dim=2)  # of the regions of a class
    strength = weight.gather(2, highest.indices.flatten(2)).view_as(highest.values)
    return resize(highest.values, size).sigmoid() * resize(strength, size)


def joined(
    claimed: Float[Tensor, "b k h w"], base: Float[Tensor, "b k h w"], scores: Float[Tensor, "b k h w"]
) -> Float[Tensor, "b k h w"]:
    r"""Join claims with the shares of a correction: each pixel goes to one class, and every class keeps its share.

    With A the claims, a the strongest of each pixel, P the correction's shares and S the rebalanced scores,

    .. math:: Z_c = (1 - a) P_c + a \frac{D_c S_c}{\sum_d D_d S_d}, \quad D_c = \max(A_c, P_c / 4)

    Pixels that a proposal claims from another class are contested. They are shared out by transport: class c receives
    the sum of its Z, where its Z is the highest. So a proposal that swallows a small class beside its own gets the
    pixels that the rebalanced scores leave it. All other pixels stay as the correction has them.

    Args:
        claimed: strength of the claims, 0..1.
        base: shares after the correction; every class that covers something has pixels.
        scores: the rebalanced scores as shares.
    """
    own = covered(base)
    strongest = claimed.amax(dim=1, keepdim=True)
    claimants = torch.maximum(claimed, _UNBACKED * base) * scores.clamp_min(1e-3)
    mixed = (1 - strongest) * base + strongest * shares(claimants)
    contested = (claimed.masked_fill(own, 0).amax(dim=1) > _CONTESTED).flatten(1)  # (b, n)
    where = contested.to(mixed.dtype) + 1e-6
    values = mixed.flatten(2)  # (b, k, n)
    wanted = (values * where.unsqueeze(1)).sum(dim=2)
    solved = transport(values, wanted, wanted > 0, where, eps=_EPS, reach=1.0)
    result = torch.where(contested.unsqueeze(1), solved.assignment, base.flatten(2))
    return result.view_as(base)


def with_peaks(result: Float[Tensor, "b k h w"], scores: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
    """Give each class that covers something the pixel where it scores most, so that it cannot vanish."""
    own = covered(scores)
    where = scores.masked_fill(~own, -1).flatten(2).argmax(dim=2, keepdim=True)  # (b, k, 1)
    peak = torch.zeros_like(own).flatten(2).scatter(2, where, own.flatten(2).any(dim=2, keepdim=True)).view_as(own)
    return torch.where(peak.any(dim=1, keepdim=True), peak.to(result.dtype), result)
