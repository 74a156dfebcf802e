"""The permutohedral lattice A*_d, on which Gaussian filters of high dimension are fast (Adams, Baek and Davis 2010).

Points of d dimensions are embedded in the hyperplane of R^(d+1) whose coordinates sum to zero. A vertex there has
integer coordinates that are all congruent modulo d + 1. Each point lies in a simplex with one vertex of every
remainder.
A filter splats values onto the vertices by barycentric weights, blurs by (1/4, 1/2, 1/4) along the d + 1 axes, up to a
factor, and slices the values back.

This module holds what the filters for CPU and GPU share: how points are embedded and how vertices are numbered.
A vertex of remainder r with coordinates c_i = (d + 1) q_i + r is known by r and one integer, the q_i written with a
fixed stride each; moving to a neighbour adds a constant to it, so neighbours are found by merging sorted lists.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dhr.errors import ConfigError

_MARGIN = 3  # quotients kept free on both sides, for neighbours and rounding


@dataclass(frozen=True)
class Embedding:
    """The mapping of points within known bounds to vertices."""

    scales: tuple[float, ...]
    """d factors of the features, after which the lattice's filter has a standard deviation of 1."""
    low: tuple[int, ...]
    """Least quotient of each of the first d coordinates; the last one follows from the others."""
    strides: tuple[int, ...]
    """Addend of the key for one more quotient of each of the first d coordinates."""
    bits: int
    """Bits of the largest key."""

    @property
    def dim(self) -> int:
        """d, the dimension of the features."""
        return len(self.scales)

    def shift(self, remainder: int, axis: int) -> tuple[int, int]:
        """Return the remainder of the neighbour before a vertex along ``axis`` (0..d), and the addend of its key.

        All coordinates go down by one, except the axis's, which goes up by d.
        """
        up = self.strides[axis] if axis < self.dim else 0
        return (remainder - 1, up) if remainder > 0 else (self.dim, up - sum(self.strides))


def embedding(bounds: Sequence[tuple[float, float]]) -> Embedding:
    """Return the embedding of features that lie within ``bounds``, a least and a highest value for each dimension.

    Raises:
        ConfigError: there are more vertices within the bounds than 63 bits can number.
    """
    d = len(bounds)
    # Splatting, blurring and slicing together have the variance 2 (d+1)^2 / 3 of the unit of the embedding.
    unit = math.sqrt(2 / 3) * (d + 1)
    scales = [unit / math.sqrt((i + 1) * (i + 2)) for i in range(d)]
    low, spans = [], []
    for i in range(d):
        # Coordinate i is the sum of the scaled features from i on, less i times the one before.
        later = [(scale * a, scale * b) for scale, (a, b) in zip(scales[i:], bounds[i:], strict=True)]
        first, last = (-i * scales[i - 1] * end for end in reversed(bounds[i - 1])) if i > 0 else (0.0, 0.0)
        least = math.floor((first + sum(a for a, _ in later)) / (d + 1)) - _MARGIN
        most = math.ceil((last + sum(b for _, b in later)) / (d + 1)) + _MARGIN
        low.append(least)
        spans.append(most - least + 1)
    strides = [math.prod(spans[i + 1 :]) for i in range(d)]
    bits = math.prod(spans).bit_length()
    if bits > 63:
        raise ConfigError(
            f"the kernel is too narrow for an image of this size: its lattice needs numbers of {bits} bits, 63 are "
            "there; widen sxy or srgb, or make the image smaller"
        )
    return Embedding(tuple(scales), tuple(low), tuple(strides), bits)


def embed_pixels(height: int, width: int, sxy: float, srgb: float) -> Embedding:
    """Return the embedding of (x / sxy, y / sxy, R / srgb, G / srgb, B / srgb) for colours in 0..255."""
    return embedding([(0.0, (width - 1) / sxy), (0.0, (height - 1) / sxy), *3 * [(0.0, 255 / srgb)]])
