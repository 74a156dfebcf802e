"""The permutohedral lattice in PyTorch: built and filtered in batches, on any device, without waiting for it.

The number of vertices of a lattice depends on the image. Reading it would make the host wait for the device. So memory
is taken for the largest possible number, six per pixel, and every shape is known beforehand. Constants are made on the
device, too, because a copy to it would wait as well.

Sums over the pixels of a vertex go over a sorted list, segment by segment. So they have the same order each time, and
the same bits.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dhr.ops.permutohedral import Embedding, embed_pixels

_WORD = torch.int64  # rows of values are moved as these: a few large numbers are faster than many small ones


class TorchLattice:
    """Filters values of the pixels of a batch of images by position and colour."""

    def __init__(self, rgb: Float[Tensor, "b 3 h w"], sxy: float, srgb: float) -> None:
        """Args: RGB in 0..255; standard deviations of positions in pixels, and of colours."""
        b, _, height, width = rgb.shape
        shape = embed_pixels(height, width, sxy, srgb)
        y, x = torch.meshgrid(
            *(torch.arange(length, device=rgb.device, dtype=rgb.dtype) for length in (height, width)), indexing="ij"
        )
        place = (torch.stack([x, y]) / sxy).expand(b, 2, height, width)
        features = torch.cat([place, rgb / srgb], dim=1).flatten(2)  # (b, 5, n)
        keys, weights = embed(features, shape)  # (b, 6, n)
        n = height * width
        self.count = 6 * b * n
        ordered, order = keys.sort(dim=2)
        rank = _ranks(ordered)
        # One numbering for all vertices of the batch: image, remainder, place among the keys.
        starts = torch.arange(6 * b, device=rgb.device).view(b, 6, 1) * n
        number = torch.empty_like(rank).scatter_(2, order, rank)
        self.vertices = (number + starts).movedim(1, 0).reshape(6, -1).int()  # (6, b*n)
        self.weights = weights.movedim(1, 0).reshape(6, -1, 1)
        # The pixels and weights of all vertices in their order, and where each vertex begins.
        images = torch.arange(b, device=rgb.device).view(b, 1, 1) * n
        self.pixels = (order + images).flatten().int()
        self.sorted_weights = weights.gather(2, order).view(-1, 1)
        places = torch.arange(n, device=rgb.device).expand(b, 6, n).contiguous()
        begin = (torch.searchsorted(rank, places) + starts).flatten()
        self.begin = torch.cat([begin, torch.full_like(begin[:1], self.count)]).int()
        distinct = torch.full_like(keys, torch.iinfo(keys.dtype).max).scatter_(2, rank, ordered)
        self.before, self.after = _neighbours(distinct, starts, shape)  # (6, b*6*n)

    def __call__(self, rows: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Splat, blur along each axis, slice; values on the lattice have the type of ``rows``, sums that of weights.

        ``rows`` fill whole words of 8 bytes (:func:`padded`).
        """
        values, blurred = rows.new_empty(self.count + 1, rows.shape[1]), rows.new_empty(self.count + 1, rows.shape[1])
        for one in (values, blurred):
            one[self.count :].zero_()  # stands for neighbours that are missing
        products = _select(rows, self.pixels) * self.sorted_weights
        values[: self.count] = torch.segment_reduce(products, "sum", offsets=self.begin, unsafe=True)
        del products
        for before, after in zip(self.before, self.after, strict=True):
            around = _select(values, before).add_(_select(values, after))
            torch.add(values[: self.count], around, alpha=0.5, out=blurred[: self.count])
            values, blurred = blurred, values
        filtered = self.weights.new_zeros(rows.shape)
        for vertex, weight in zip(self.vertices, self.weights, strict=True):
            filtered.addcmul_(_select(values, vertex), weight)
        return filtered / (1 + 2.0**-5)


def padded(classes: int, dtype: torch.dtype) -> int:
    """Return the number of columns of rows that fill whole words.

    >>> padded(3, torch.float16), padded(3, torch.float32), padded(3, torch.float64)
    (4, 4, 3)
    """
    each = _WORD.itemsize // dtype.itemsize
    return -(-classes // each) * each


def _select(rows: Tensor, index: Tensor) -> Tensor:
    """Return some rows."""
    return rows.view(_WORD).index_select(0, index).view(rows.dtype)


def embed(features: Float[Tensor, "b d n"], shape: Embedding) -> tuple[Int[Tensor, "b r n"], Float[Tensor, "b r n"]]:
    """Key and barycentric weight of the vertex of each remainder around each point."""
    d = shape.dim
    scaled = torch.stack([features[:, i] * scale for i, scale in enumerate(shape.scales)], dim=1)
    later = scaled.flip(1).cumsum(1).flip(1)  # sums of the features from each on
    ahead = torch.cat([later, torch.zeros_like(later[:, :1])], dim=1)  # (b, d+1, n)
    factor = torch.arange(1, d + 1, device=features.device).view(1, d, 1)
    position = torch.cat([ahead[:, :1], ahead[:, 1:] - factor * scaled], dim=1)
    # The nearest vertex of remainder 0, and what is left, ranked from the most to the least; if the quotients do not
    # sum to zero, the coordinates with the most or least left move on by one.
    quotient = (position / (d + 1) + 0.5).floor()
    position = position - (d + 1) * quotient
    excess = quotient.sum(dim=1, keepdim=True)
    axis = torch.arange(d + 1, device=features.device)
    earlier = (axis.view(1, -1) < axis.view(-1, 1)).view(1, d + 1, d + 1, 1)
    mine, others = position.unsqueeze(2), position.unsqueeze(1)
    rank = ((others > mine) | ((others == mine) & earlier)).sum(dim=2) + excess.long()
    move = (rank < 0).long() - (rank > d).long()
    rank, quotient, position = rank + (d + 1) * move, quotient.long() + move, position - (d + 1) * move
    ranked = torch.empty_like(position).scatter_(1, rank, position)
    at = torch.empty_like(rank).scatter_(1, rank, axis.view(1, -1, 1).expand_as(rank))
    falling = ranked.flip(1)  # from the least left to the most
    weights = torch.cat([d + 1 + falling[:, :1] - falling[:, -1:], falling[:, 1:] - falling[:, :-1]], dim=1) / (d + 1)
    first = torch.stack(
        [(quotient[:, i] - shape.low[i]) * stride for i, stride in enumerate(shape.strides)], dim=1
    ).sum(dim=1, keepdim=True)
    strides = torch.cat([torch.full_like(axis[:1], stride) for stride in (*shape.strides, 0)])
    steps = strides[at.flip(1)[:, :-1]]  # the coordinate that goes down from one remainder to the next
    keys = torch.cat([first, first - steps.cumsum(1)], dim=1)
    return keys.int() if shape.bits < 32 else keys, weights


def _ranks(ordered: Int[Tensor, "b r n"]) -> Int[Tensor, "b r n"]:
    """Return the place of each key of a sorted list among the distinct keys."""
    new = torch.ones_like(ordered, dtype=torch.int64)
    new[..., 1:] = (ordered[..., 1:] != ordered[..., :-1]).long()
    return new.cumsum(2) - 1


def _neighbours(
    distinct: Int[Tensor, "b r n"], starts: Int[Tensor, "b r 1"], shape: Embedding
) -> tuple[Tensor, Tensor]:
    """Find neighbours (d+1, b*r*n) of each vertex before and after it along each axis; b*r*n if it is missing."""
    none, unused = distinct.numel(), torch.iinfo(distinct.dtype).max

    def find(r: int, other: int, shift: int) -> Tensor:
        wanted = distinct[:, r] + shift
        index = torch.searchsorted(distinct[:, other].contiguous(), wanted).clamp_max(distinct.shape[2] - 1)
        there = (distinct[:, other].gather(1, index) == wanted) & (distinct[:, r] != unused)
        return torch.where(there, index + starts[:, other], none).int()  # (b, n)

    before, after = [], []
    for axis in range(shape.dim + 1):
        shifts = [shape.shift(r, axis) for r in range(shape.dim + 1)]
        before.append(torch.stack([find(r, *shift) for r, shift in enumerate(shifts)], dim=1).flatten())
        back = {other: (r, -shift) for r, (other, shift) in enumerate(shifts)}
        after.append(torch.stack([find(r, *back[r]) for r in range(shape.dim + 1)], dim=1).flatten())
    return torch.stack(before), torch.stack(after)
