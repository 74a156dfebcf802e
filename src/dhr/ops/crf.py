"""Mean-field inference in a fully connected CRF (Kraehenbuehl and Koltun, NIPS 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dhr.errors import ConfigError, ShapeError

CLIP = 1e-5
"""Probabilities below this count as this, so that no class is impossible (as in pydensecrf)."""

_SUM = 1e-2  # how far from one the probabilities of a pixel may sum


def _check_kernel(kind: str, widths: dict[str, float], compat: float) -> None:
    for name, value in widths.items():
        if not 0 < value < float("inf"):
            raise ConfigError(f"{kind}.{name} must be above 0, got {value}")
    if not 0 <= compat < float("inf"):
        raise ConfigError(f"{kind}.compat must be 0 or more, got {compat}")


@dataclass(frozen=True)
class Gaussian:
    """Smoothness kernel: neighbours tend to the same label."""

    sxy: float = 1.0
    """Standard deviation in pixels."""
    compat: float = 3.0
    """Weight; 0 leaves the kernel out."""

    def __post_init__(self) -> None:
        _check_kernel("Gaussian", {"sxy": self.sxy}, self.compat)


@dataclass(frozen=True)
class Bilateral:
    """Appearance kernel: pixels that are near and of like colour tend to the same label."""

    sxy: float = 67.0
    """Standard deviation in pixels."""
    srgb: float = 3.0
    """Standard deviation of colours in 0..255."""
    compat: float = 4.0
    """Weight; 0 leaves the kernel out."""

    def __post_init__(self) -> None:
        _check_kernel("Bilateral", {"sxy": self.sxy, "srgb": self.srgb}, self.compat)


GAUSSIAN = Gaussian()
BILATERAL = Bilateral()


class DenseCrf:
    r"""A fully connected CRF over each image of a batch, its kernels made once, to refine any number of scores.

    .. math:: Q_i(l) \propto P_i(l) \exp\Bigl(\sum_m w^{(m)} \sum_j \tilde k^{(m)}(f_i, f_j) Q_j(l)\Bigr), \quad
              \tilde k = D^{-1/2} k D^{-1/2}

    with Potts compatibility and two kernels k = exp(-|f_i - f_j|^2 / 2): one of positions / ``gaussian.sxy``, one of
    positions / ``bilateral.sxy`` and colours / ``bilateral.srgb``; D are their row sums (symmetric normalisation). The
    parameters are those of pydensecrf. The first kernel is a direct convolution up to 3 standard deviations;
    the second is filtered on a permutohedral lattice (Adams et al. 2010), which takes time in proportion to pixels and
    classes.

    On the CPU, compiled kernels work on as many threads as torch uses, in float32, the lattice's values in half
    precision. They are compiled at first use, with a message, and kept on disk. Elsewhere PyTorch computes the same
    with the same precision (float64 for images of that type), batched and without waiting for the device.

    The lattice has at most 6 vertices per pixel (photographs have 1 to 2). So memory on the CPU is bounded, in bytes
    per pixel: 620 while the kernels are made, 420 for the kernels, and while scores are refined 400, and 20 per
    class.

    Args:
        images: RGB, uint8, or floats in 0..1.
        gaussian: smoothness kernel.
        bilateral: appearance kernel.

    Raises:
        ShapeError: images without pixels; on the CPU also colours out of range or not finite.
        ConfigError: the bilateral kernel is so narrow that the lattice's vertices cannot be numbered.
    """

    def __init__(
        self,
        images: Float[Tensor, "b 3 h w"] | UInt8[Tensor, "b 3 h w"],
        gaussian: Gaussian = GAUSSIAN,
        bilateral: Bilateral = BILATERAL,
    ) -> None:
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
            raise ShapeError(f"images must be RGB, (b, 3, h, w), not empty; got {tuple(images.shape)}")
        if not (images.is_floating_point() or images.dtype == torch.uint8):
            raise ShapeError(f"images must be uint8, or floats in 0..1; got {images.dtype}")
        if images.is_floating_point():
            if images.device.type == "cpu" and not _within(images, -1e-3, 1 + 1e-3):
                raise ShapeError(
                    f"images of floats must lie in 0..1, got {images.min():.4g} to {images.max():.4g}; divide by 255, "
                    "or clamp them"
                )
            images = images.detach().clamp(0, 1) * 255
        self.shape = (len(images), images.shape[2], images.shape[3])
        self.device = images.device
        narrow, wide = (gaussian.sxy, gaussian.compat), (bilateral.sxy, bilateral.srgb, bilateral.compat)
        self._cpu: list[Any] = []
        self._torch: Any = None
        if images.device.type == "cpu":
            from dhr.ops.crf_cpu import CpuCrf

            pixels = images if images.dtype == torch.uint8 else images.float()
            self._cpu = [CpuCrf(one.contiguous().numpy(), narrow, wide) for one in pixels.detach()]
        else:
            from dhr.ops.crf_torch import TorchCrf

            if images.dtype == torch.float64:
                self._torch = TorchCrf(images, narrow, wide)
            else:
                self._torch = TorchCrf(images.float(), narrow, wide, torch.float16)

    @torch.no_grad()
    def __call__(
        self, probabilities: Float[Tensor, "b k h w"], iterations: int = 10, present: Bool[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b k h w"]:
        """Q after ``iterations`` updates, of the type of ``probabilities``, summing to one over the classes.

        Args:
            probabilities: P, of the images' size, 0..1, summing to one over the classes (to 1 %); below
                :data:`CLIP` they count as that.
            iterations: 0 gives the clipped probabilities back, normalised.
            present: False for classes that an image does not have: they get 0, where others of probability 0 would
                count as :data:`CLIP`. Each image needs a class.

        Raises:
            ShapeError: they differ from the images in size or device, hold no class; on the CPU also if they are no
                probabilities. On a GPU values are not looked at, as the host would have to wait for them.
        """
        b, h, w = self.shape
        if probabilities.ndim != 4 or (len(probabilities), *probabilities.shape[2:]) != self.shape:
            raise ShapeError(
                f"scores must have the size of the images, ({b}, classes, {h}, {w}); got {tuple(probabilities.shape)}; "
                "resize the scores to the images"
            )
        if probabilities.shape[1] == 0:
            raise ShapeError("scores hold no class; at least one is needed")
        if not probabilities.is_floating_point():
            raise ShapeError(f"scores must be floats, got {probabilities.dtype}")
        if probabilities.device != self.device:
            raise ShapeError(f"scores are on {probabilities.device}, the images on {self.device}; move one of them")
        if iterations < 0:
            raise ConfigError(f"iterations must be 0 or more, got {iterations}")
        if self._torch is not None:
            refined: Tensor = self._torch(probabilities, iterations, CLIP, present)
            return refined.to(probabilities.dtype)
        total = probabilities.sum(dim=1)
        if not (_within(probabilities, 0.0, 1 + _SUM) and _within(total, 1 - _SUM, 1 + _SUM)):
            raise ShapeError(
                "scores must be probabilities: 0 to 1, and 1 in sum over the classes; got "
                f"{probabilities.min():.4g} to {probabilities.max():.4g}, sums {total.min():.4g} to {total.max():.4g}; "
                "divide them by their sum, or take their softmax"
            )
        if present is not None and not bool(present.any(dim=1).all()):
            raise ShapeError("present needs at least one True per image; leave out images without classes")
        single = probabilities.detach().float().contiguous().numpy()
        planes = np.zeros_like(single)
        for index, crf in enumerate(self._cpu):
            chosen = slice(None) if present is None else present[index].numpy()
            planes[index, chosen] = crf(np.ascontiguousarray(single[index, chosen]), iterations, CLIP)
        return torch.from_numpy(planes).to(probabilities.dtype)


def dense_crf(
    images: Float[Tensor, "b 3 h w"] | UInt8[Tensor, "b 3 h w"],
    probabilities: Float[Tensor, "b k h w"],
    iterations: int = 10,
    gaussian: Gaussian = GAUSSIAN,
    bilateral: Bilateral = BILATERAL,
) -> Float[Tensor, "b k h w"]:
    """Make probabilities follow the edges of the images: :class:`DenseCrf`, used once.

    >>> images = torch.zeros(1, 3, 8, 8)
    >>> images[..., 4:] = 1
    >>> left = torch.full((1, 1, 8, 8), 0.4)
    >>> left[..., :3] = 0.9
    >>> dense_crf(images, torch.cat([left, 1 - left], dim=1)).argmax(dim=1)[0, 0]
    tensor([0, 0, 0, 0, 1, 1, 1, 1])
    """
    return DenseCrf(images, gaussian, bilateral)(probabilities, iterations)


def _within(values: Tensor, low: float, high: float) -> bool:
    """Return whether all values lie in a range; NaN does not."""
    least, most = torch.aminmax(values)
    return bool(least >= low) and bool(most <= high)
