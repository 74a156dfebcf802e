"""Connected regions of masks, without waiting for the device."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import max_pool2d


def connected_regions(mask: Bool[Tensor, "b k u v"]) -> Int64[Tensor, "b k u v"]:
    """Number the 8-connected regions of each map: a region has the highest index of its cells, plus 1; 0 is outside.

    Each cell points to a cell of its region with a higher index. In each round a cell and the cell that it points to
    take the highest pointer among their neighbours, and then pointers are followed (FastSV, Zhang, Azad and Hu 2020).
    Cells that are far apart so meet after a number of rounds that grows with the logarithm of the cells.

    >>> mask = torch.tensor([[[[1, 1, 0, 1], [0, 0, 0, 1]]]]).bool()
    >>> connected_regions(mask)[0, 0]
    tensor([[2, 2, 0, 8],
            [0, 0, 0, 8]])
    """
    height, width = mask.shape[-2:]
    count, inside = height * width, mask.flatten(2)
    own = torch.arange(count, device=mask.device).expand(inside.shape)
    to = own.clone()  # (b, k, n)
    for _ in range(2 * count.bit_length()):
        numbers = torch.where(inside, to, -1).view(mask.shape).flatten(0, 1).double()  # max_pool2d has no integers
        near = max_pool2d(numbers, 3, stride=1, padding=1).long().view(inside.shape)
        near = torch.where(inside, torch.maximum(near, to), own)
        to = torch.maximum(to.scatter_reduce(2, to, near, "amax"), near)
        to = to.gather(2, to)
    return torch.where(inside, to + 1, 0).view(mask.shape)


def largest_regions(
    mask: Bool[Tensor, "b k u v"], weights: Float[Tensor, "b k u v"], count: int
) -> tuple[Bool[Tensor, "b k r u v"], Float[Tensor, "b k r"]]:
    """Return the connected regions of each map with the largest sums of ``weights``, and these sums.

    There are ``count`` of each map. If a map has fewer regions, the others are empty and their sum is 0. Of equal sums
    the region that ends first comes first.
    """
    regions = connected_regions(mask)
    cells = mask.shape[-2] * mask.shape[-1]
    sums = weights.new_zeros(*mask.shape[:2], cells + 1)
    sums = sums.scatter_add(2, regions.flatten(2), (weights * mask).flatten(2))[..., 1:]
    count = min(count, cells)
    best, places = sums.sort(dim=2, descending=True, stable=True)
    best, numbers = best[..., :count], places[..., :count] + 1  # (b, k, r)
    found = regions.unsqueeze(2) == numbers[..., None, None]  # (b, k, r, u, v)
    return found & (best > 0)[..., None, None], best


def bounding_boxes(masks: Bool[Tensor, "*s u v"]) -> Float[Tensor, "*s 4"]:
    """Return left, top, right and bottom of each mask in cells, the last ones exclusive; zeros for an empty mask.

    >>> bounding_boxes(torch.eye(3, 5).bool())
    tensor([0., 0., 3., 3.])
    """
    sides = []
    for line in (masks.any(dim=-2), masks.any(dim=-1)):  # columns, rows
        places = torch.arange(line.shape[-1], device=masks.device, dtype=torch.float32)
        first = torch.where(line, places, torch.inf).amin(dim=-1)
        sides.append((torch.where(first.isfinite(), first, 0), torch.where(line, places + 1, 0).amax(dim=-1)))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], dim=-1)
