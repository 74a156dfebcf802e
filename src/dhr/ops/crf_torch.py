"""The dense CRF in PyTorch: batched, on any device, without a copy from it or to it.

What it moves, per pixel and update, with 4 classes in half precision: 2.7 kB for the six blurs of the lattice, over all
of its six vertices per pixel, 0.6 for sums over pixels, 0.4 for their way back, and 0.3 for the rest. Of an image of
512x512 pixels with 10 updates that is 10.5 GB, and 0.9 GB for its kernels. At 3.35 TB/s (H100) it takes 3.4 ms, so at
best 290 images per second. It computes little: 2 GFLOP, and 21 in the products of the narrow kernel.
Single precision would move 21 GB. A kernel that read the number of vertices on the device would leave out the unused
ones, three of four in photographs, and fuse each blur: it would move 1.2 GB.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.ops.lattice_torch import TorchLattice, padded

_TAIL = 3.0  # standard deviations after which the narrow kernel is cut off: 0.3 % of its weight


class TorchCrf:
    """Kernels of a batch of images, ready to filter any scores."""

    def __init__(
        self,
        rgb: Float[Tensor, "b 3 h w"],
        gaussian: tuple[float, float],
        bilateral: tuple[float, float, float],
        values: torch.dtype | None = None,
    ) -> None:
        """Args: RGB in 0..255; (sxy, compat); (sxy, srgb, compat); type of the filtered values, by default RGB's."""
        b, _, height, width = rgb.shape
        self.dtype, self.values = rgb.dtype, values or rgb.dtype
        self.near = None
        if gaussian[1]:
            down, across = (_narrow(length, *gaussian, rgb).to(self.values) for length in (height, width))
            self.near = down, across
        self.compat = bilateral[2]
        if self.compat:
            self.lattice = TorchLattice(rgb, bilateral[0], bilateral[1])
            ones = rgb.new_ones(b * height * width, padded(1, rgb.dtype))
            # In the type of RGB: the sums of ones are too large for half precision, those of Q times the norms are not.
            self.norms = (self.lattice(ones)[:, :1] + 1e-20).rsqrt().view(b, -1, 1)  # (b, n, 1)

    def __call__(
        self,
        probabilities: Float[Tensor, "b k h w"],
        iterations: int,
        clip: float,
        present: Bool[Tensor, "b k"] | None = None,
    ) -> Tensor:
        """Q after ``iterations`` updates."""
        clipped = probabilities.to(self.dtype).clamp_min(clip)
        if present is not None:
            clipped = clipped * present[:, :, None, None]
        unary = clipped.log()  # minus infinity for absent classes
        q = clipped / clipped.sum(dim=1, keepdim=True)
        b, k, height, width = q.shape
        rows = q.new_zeros(b, height * width, padded(k, self.values), dtype=self.values)  # Q times the norms
        for _ in range(iterations):
            logits = unary
            if self.near is not None:
                down, across = self.near
                logits = logits + down @ q.to(self.values) @ across
            if self.compat:
                rows[..., :k] = q.flatten(2).mT * self.norms
                found = self.lattice(rows.flatten(0, 1)).view_as(rows)[..., :k] * self.norms  # (b, n, k)
                logits = logits.add(found.mT.view_as(q), alpha=self.compat)
            q = logits.softmax(dim=1)
        return q


def _narrow(length: int, sxy: float, compat: float, like: Tensor) -> Float[Tensor, "l l"]:
    """Return the narrow kernel along one side, as a matrix.

    It is normalised on both sides by the root of its row sums. Both sides multiply, so each has the root of the
    compatibility. A product with it is one operation for the device, fast for any width of the kernel.
    """
    place = torch.arange(length, device=like.device, dtype=like.dtype)
    apart = (place.view(-1, 1) - place).abs()
    kernel = torch.where(apart <= math.ceil(_TAIL * sxy), (-0.5 * (apart / sxy).square()).exp(), 0)
    norms = kernel.sum(dim=1).rsqrt()
    return math.sqrt(compat) * norms.view(-1, 1) * kernel * norms
