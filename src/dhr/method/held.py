"""Pixels that a person has drawn: they are held fixed through all steps, as seeds and as a prior."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from dhr.method.heatmaps import Features
from dhr.ops.centroids import class_average_pooling
from dhr.ops.upsample import area_average

REACH = 0.2
"""Standard deviation of the distance over which drawn cells guide others, as a share of the grid's longer side."""
STRICT = 2.0
"""How much like the drawn cells others must look; chosen on MSRC v2 (docs/method.md)."""


@dataclass(frozen=True)
class Held:
    """The parts of images that were drawn for each class; the rest is free. Over the classes they sum to at most 1."""

    cells: Float[Tensor, "b k n"]
    """Share of each position of the grid."""
    pixels: Float[Tensor, "b k H W"]
    """Share of each pixel of the masks."""
    near: Float[Tensor, "b k n"]
    """Share of each position that follows the drawn cells of a class, see :func:`guided`."""

    @staticmethod
    def of(
        drawn: Float[Tensor, "b k _ _"],
        valid: Bool[Tensor, "b k"],
        sizes: tuple[tuple[int, int], tuple[int, int]],
        features: tuple[Features, Features],
        weight: float,
    ) -> "Held":
        """Resample drawn shares of any size; padding holds nothing.

        Args:
            drawn: share of each pixel that was drawn as each class.
            valid: False for padding.
            sizes: of the grid and of the masks.
            features: two kinds of them.
            weight: of the first kind, 0..1.
        """
        real = drawn * valid[:, :, None, None]
        cells, pixels = (area_average(real, size) for size in sizes)
        first, second = (alike(one, cells.flatten(2)) for one in features)
        near = guided(cells, second + weight * (first - second))
        return Held(cells.flatten(2), pixels, near)

    @property
    def shares(self) -> Float[Tensor, "b k"]:
        """Share of the image that was drawn for each class."""
        return self.cells.mean(dim=2)

    def joined(self, scores: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
        """Return shares of scores with what was drawn, and what follows it; as they are in images without strokes."""
        total = scores.sum(dim=1, keepdim=True).clamp_min(1e-12)
        found = fixed(fixed(scores / total, self.near), self.cells)
        return torch.where((self.cells > 0).any(dim=2).any(dim=1)[:, None, None], found, scores)


def fixed(values: Float[Tensor, "b k *s"], held: Float[Tensor, "b k *s"] | None) -> Float[Tensor, "b k *s"]:
    r"""Replace the drawn part of each place: :math:`h_k + (1 - \sum_l h_l) v_k`; unchanged where nothing is drawn.

    >>> values, held = torch.tensor([[[0.25, 0.75], [0.75, 0.25]]]), torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    >>> fixed(values, held)[0].tolist()
    [[1.0, 0.75], [0.0, 0.25]]
    """
    if held is None:
        return values
    free = (1 - held.sum(dim=1, keepdim=True)).clamp_min(0)
    return held + free * values


def alike(features: Features, cells: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
    """Return cosines of all features with the mean of those of each class's cells; the image's mean is subtracted."""
    centroids = class_average_pooling(features.values, cells, features.norms)  # (b, k, d)
    directions = features.values / features.norms
    mean = directions.mean(dim=2, keepdim=True)  # (b, d, 1)
    return normalize(centroids - mean.transpose(1, 2), dim=2) @ normalize(directions - mean, dim=1)


def guided(cells: Float[Tensor, "b k u v"], cosines: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
    r"""Return the share of each position that follows the drawn cells: those nearby that look like them.

    .. math:: g_{kn} = \exp(s (\cos_{kn} - 1)) \, \max_m h_{km} \exp(-d_{mn}^2 / 2 r^2)

    with d the distance of two cells, s :data:`STRICT` and r :data:`REACH`; where several classes compete, they share
    the largest g in proportion.
    """
    u, v = cells.shape[-2:]
    across, down = (_falling(side, REACH * max(u, v), cells) for side in (v, u))
    reached = (cells.unsqueeze(-1) * across).amax(dim=-2)  # (b, k, u, v): the best of its row
    reached = (reached.unsqueeze(-2) * down.unsqueeze(-1)).amax(dim=-3)  # of its column
    found = torch.exp(STRICT * (cosines - 1)) * reached.flatten(2)
    return found * found.amax(dim=1, keepdim=True) / found.sum(dim=1, keepdim=True).clamp_min(1e-12)


def _falling(side: int, reach: float, like: Tensor) -> Float[Tensor, "m m"]:
    """Return the Gaussian of the distance of two places along a side."""
    at = torch.arange(side, device=like.device, dtype=like.dtype)
    return torch.exp(-((at - at.unsqueeze(1)) ** 2) / (2 * reach**2))
