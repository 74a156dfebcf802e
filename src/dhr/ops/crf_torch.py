"""The dense CRF in PyTorch: batched, on any device, without a copy to the host.

The number of vertices of a lattice depends on the image. Reading it would make the host wait for the device. So memory
is taken for the largest possible number, six per pixel.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import conv2d

from dhr.ops.gaussian import gaussian_taps
from dhr.ops.permutohedral import Embedding, embed_pixels

_UNUSED = 2**63 - 1  # key of the vertices that an image does not need, above all others


class TorchCrf:
    """Kernels of a batch of images, ready to filter any scores."""

    def __init__(
        self, rgb: Float[Tensor, "b 3 h w"], gaussian: tuple[float, float], bilateral: tuple[float, float, float]
    ) -> None:
        """Args: RGB in 0..255; (sxy, compat); (sxy, srgb, compat)."""
        *_, height, width = rgb.shape
        taps, norms_y, norms_x = gaussian_taps(height, width, *gaussian)
        self.taps = rgb.new_tensor(taps)
        self.gaussian_norms = rgb.new_tensor(norms_y).view(-1, 1) * rgb.new_tensor(norms_x)  # (h, w)
        self.compat = bilateral[2]
        if self.compat:
            self._build(rgb, bilateral[0], bilateral[1])

    def __call__(
        self,
        probabilities: Float[Tensor, "b k h w"],
        iterations: int,
        clip: float,
        present: Bool[Tensor, "b k"] | None = None,
    ) -> Tensor:
        """Q after ``iterations`` updates."""
        clipped = probabilities.to(self.taps.dtype).clamp_min(clip)
        if present is not None:
            clipped = clipped * present[:, :, None, None]
        unary = clipped.log()  # minus infinity for absent classes
        q = clipped / clipped.sum(dim=1, keepdim=True)
        for _ in range(iterations):
            logits = unary
            if len(self.taps):
                logits = logits + self._near(q)
            if self.compat:
                logits = logits + self.compat * self._alike(q)
            q = logits.softmax(dim=1)
        return q

    def _near(self, q: Tensor) -> Tensor:
        """Message of the narrow Gaussian, times its compatibility."""
        maps = (q * self.gaussian_norms).flatten(0, 1).unsqueeze(1)  # (b*k, 1, h, w)
        radius = len(self.taps) // 2
        maps = conv2d(maps, self.taps.view(1, 1, -1, 1), padding=(radius, 0))
        maps = conv2d(maps, self.taps.view(1, 1, 1, -1), padding=(0, radius))
        return maps.view_as(q) * self.gaussian_norms

    def _alike(self, q: Tensor) -> Tensor:
        """Message of the bilateral kernel: normalise, filter, normalise."""
        rows = q.flatten(2).mT.reshape(-1, q.shape[1])  # (b*n, k)
        filtered = self.norms * self._filter(rows * self.norms)
        return filtered.view(len(q), -1, q.shape[1]).mT.reshape(q.shape)

    def _filter(self, rows: Float[Tensor, "p k"]) -> Float[Tensor, "p k"]:
        """Splat, blur along each axis, slice."""
        count = 6 * len(rows)
        values = rows.new_zeros(count + 1, rows.shape[1])  # the last row stays zero, for neighbours that are not there
        for vertex, weight in zip(self.vertices, self.weights, strict=True):
            values.index_add_(0, vertex, rows * weight)
        blurred = torch.zeros_like(values)
        for before, after in zip(self.before, self.after, strict=True):
            torch.add(
                values[:count], values.index_select(0, before) + values.index_select(0, after), alpha=0.5,
                out=blurred[:count],
            )  # fmt: skip
            values, blurred = blurred, values
        filtered = torch.zeros_like(rows)
        for vertex, weight in zip(self.vertices, self.weights, strict=True):
            filtered.addcmul_(values.index_select(0, vertex), weight)
        return filtered / (1 + 2.0**-5)

    def _build(self, rgb: Tensor, sxy: float, srgb: float) -> None:
        b, _, height, width = rgb.shape
        shape = embed_pixels(height, width, sxy, srgb)
        y, x = torch.meshgrid(
            *(torch.arange(length, device=rgb.device, dtype=rgb.dtype) for length in (height, width)), indexing="ij"
        )
        place = (torch.stack([x, y]) / sxy).expand(b, 2, height, width)
        features = torch.cat([place, rgb / srgb], dim=1).flatten(2)  # (b, 5, n)
        keys, weights = embed(features, shape)  # (b, 6, n)
        n = height * width
        number, distinct = _number(keys)  # (b, 6, n) each
        # One numbering for all vertices of the batch: image, remainder, place among the keys.
        starts = torch.arange(6 * b, device=rgb.device).view(b, 6, 1) * n
        self.vertices = (number + starts).movedim(1, 0).reshape(6, -1).int()  # (6, b*n)
        self.weights = weights.movedim(1, 0).reshape(6, -1, 1)
        self.before, self.after = _neighbours(distinct, starts, shape)  # (6, b*6*n)
        reach = self._filter(rgb.new_ones(b * n, 1))
        self.norms = (reach + 1e-20).rsqrt()  # (b*n, 1)


def embed(features: Float[Tensor, "b d n"], shape: Embedding) -> tuple[Int[Tensor, "b r n"], Float[Tensor, "b r n"]]:
    """Key and barycentric weight of the vertex of each remainder around each point."""
    d = shape.dim
    scaled = features * features.new_tensor(shape.scales).view(1, d, 1)
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
    strides = torch.tensor([*shape.strides, 0], device=features.device)
    low = torch.tensor(shape.low, device=features.device).view(1, d, 1)
    first = ((quotient[:, :d] - low) * strides[:d].view(1, d, 1)).sum(dim=1, keepdim=True)
    steps = strides[at.flip(1)[:, :-1]]  # the coordinate that goes down from one remainder to the next
    keys = torch.cat([first, first - steps.cumsum(1)], dim=1)
    return keys, weights


def _number(keys: Int[Tensor, "b r n"]) -> tuple[Int[Tensor, "b r n"], Int[Tensor, "b r n"]]:
    """Rank of each key among the distinct keys of its remainder, and these in order, then :data:`_UNUSED`."""
    ordered, order = keys.sort(dim=2)
    new = torch.ones_like(ordered)
    new[..., 1:] = (ordered[..., 1:] != ordered[..., :-1]).long()
    rank = new.cumsum(2) - 1
    number = torch.empty_like(rank).scatter_(2, order, rank)
    distinct = torch.full_like(keys, _UNUSED).scatter_(2, rank, ordered)
    return number, distinct


def _neighbours(
    distinct: Int[Tensor, "b r n"], starts: Int[Tensor, "b r 1"], shape: Embedding
) -> tuple[Tensor, Tensor]:
    """Find neighbours (d+1, b*r*n) of each vertex before and after it along each axis; b*r*n if it is missing."""
    none = distinct.numel()

    def find(r: int, other: int, shift: int) -> Tensor:
        wanted = distinct[:, r] + shift
        index = torch.searchsorted(distinct[:, other].contiguous(), wanted).clamp_max(distinct.shape[2] - 1)
        there = distinct[:, other].gather(1, index) == wanted
        return torch.where(there, index + starts[:, other], none).int()  # (b, n)

    before, after = [], []
    for axis in range(shape.dim + 1):
        shifts = [shape.shift(r, axis) for r in range(shape.dim + 1)]
        before.append(torch.stack([find(r, *shift) for r, shift in enumerate(shifts)], dim=1).flatten())
        back = {other: (r, -shift) for r, (other, shift) in enumerate(shifts)}
        after.append(torch.stack([find(r, *back[r]) for r in range(shape.dim + 1)], dim=1).flatten())
    return torch.stack(before), torch.stack(after)
