"""Sorts the classes of an image, so that masks do not depend on the order in which the classes are given.

Sums of floats depend on the order of their terms, and of equal scores the first one is the highest. So the classes are
put into an order that follows from their content, and the result is put back.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int, Int64, Shaped
from torch import Tensor

from dhr.method.base import NOTHING
from dhr.types import Rebalanced

OVER_CLASSES = ("activation", "seed", "initial", "inter", "intra", "joined", "scores", "kept", "ratios", "valid")
"""Members of :class:`~dhr.types.Rebalanced` with one value or map per class."""
_UNIT = 1 << 20  # parts of 1 in which maps are summed: as integers, whose sums are exact
_MIX = -0x61C8864680B583EB, -0x40A7B892E31B1A47  # odd: multiplying by them loses nothing


def class_order(
    maps: Float[Tensor, "b k u v"],
    valid: Bool[Tensor, "b k"],
    background: bool,
    base: Int[Tensor, "b h w"] | None = None,
    prior: Float[Tensor, "b k"] | None = None,
    survey: Float[Tensor, "b k u v"] | None = None,
    held: Float[Tensor, "b k _ _"] | None = None,
) -> Int64[Tensor, "b k"]:
    """Sort the classes of each image: the background, then by the sum of their CAM, largest first, padding last.

    All other inputs of the classes decide between equal sums. Classes with identical inputs keep their order. Nothing
    waits for the device.

    >>> maps = torch.tensor([[[[0.1, 0.2]], [[0.9, 0.3]], [[0.9, 0.9]]]])
    >>> class_order(maps, torch.tensor([[True, True, False]]), background=False).tolist()
    [[1, 0, 2]]
    """
    sums = (maps * _UNIT).long().sum(dim=(2, 3)).masked_fill(~valid, -1)
    if background:
        sums[:, 0] = torch.iinfo(sums.dtype).max
    given = [maps.flatten(2)]
    given += [] if prior is None else [prior.unsqueeze(2).to(maps.dtype)]
    given += [one.flatten(2).to(maps.dtype) for one in (survey, held) if one is not None]
    digest = _digest(torch.cat(given, dim=2))
    if base is not None:
        digest = digest + _mask_digest(base, valid.shape[1])
    by_digest = digest.masked_fill(~valid, 0).argsort(dim=1, stable=True)
    return by_digest.gather(1, sums.gather(1, by_digest).argsort(dim=1, descending=True, stable=True))


def take_classes(values: Shaped[Tensor, "b k *s"], order: Int64[Tensor, "b k"]) -> Shaped[Tensor, "b k *s"]:
    """Return the values of the classes in another order, one order per image."""
    return values[torch.arange(len(order), device=order.device).unsqueeze(1), order]


def take_labels(mask: Int[Tensor, "b h w"], names: Int64[Tensor, "b k"]) -> Int[Tensor, "b h w"]:
    """Replace labels by their ``names``; other labels become :data:`~dhr.method.base.NOTHING`."""
    known = (mask >= 0) & (mask < names.shape[1])
    return torch.where(known, names.gather(1, (mask * known).flatten(1)).view_as(mask), NOTHING)


def put_back(result: Rebalanced, order: Int64[Tensor, "b k"]) -> Rebalanced:
    """Return a result with its classes in the original order instead of ``order``."""
    place = order.argsort(dim=1)
    over = {name: take_classes(getattr(result, name), place) for name in OVER_CLASSES}
    groups = take_classes(take_classes(result.groups, place).mT, place).mT
    base, mask = (take_labels(one, order) for one in (result.base, result.mask))
    return replace(result, **over, groups=groups, base=base, mask=mask, order=order)


def _digest(values: Float[Tensor, "b k n"]) -> Int64[Tensor, "b k"]:
    """Return a number for each class's values: a sum of integers, which is the same in any order of summation."""
    values = values + 0.0  # -0 is 0
    bits = values.view(torch.int64) if values.dtype == torch.float64 else values.float().view(torch.int32).long()
    return (bits * _factors(0, bits.shape[2], bits.device)).sum(dim=2)


def _mask_digest(mask: Int[Tensor, "b h w"], classes: int) -> Int64[Tensor, "b k"]:
    """Return the same for the positions of each class in a mask."""
    flat = mask.flatten(1)
    inside = torch.where((flat >= 0) & (flat < classes), flat, classes)
    factors = _factors(1 << 32, flat.shape[1], mask.device).expand_as(flat)
    return factors.new_zeros(len(flat), classes + 1).scatter_add(1, inside, factors)[:, :classes]


def _factors(start: int, count: int, device: torch.device) -> Int64[Tensor, " n"]:
    """Return pseudo-random odd numbers (the mixing of SplitMix64, Steele et al. 2014)."""
    at = torch.arange(start + 1, start + 1 + count, device=device) * _MIX[0]
    at = (at ^ (at >> 31)) * _MIX[1]
    return (at ^ (at >> 29)) | 1
