"""Small scenes whose truth is known, and a guard against waiting for the device."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor


@dataclass(frozen=True)
class Scene:
    """Inputs of the method for b images of k classes; ``truth`` labels the grid."""

    cams: Tensor
    uss_features: Tensor
    wss_features: Tensor
    images: Tensor
    truth: Tensor

    def inputs(self, with_images: bool = True) -> dict[str, Tensor]:
        """Keyword arguments of ``rebalance``."""
        names = ("cams", "uss_features", "wss_features", *(["images"] if with_images else []))
        return {name: getattr(self, name) for name in names}

    def each(self, change: Callable[[Tensor], Tensor]) -> "Scene":
        """The same change made to every tensor."""
        return replace(self, **{name: change(value) for name, value in vars(self).items()})


def make_scene(
    b: int = 2,
    k: int = 3,
    grid: tuple[int, int] = (9, 12),
    pixels: int = 4,
    seed: int = 0,
    noise: float = 0.3,
    dtype: torch.dtype = torch.float64,
) -> Scene:
    """Upright stripes of unequal widths, one a class; class 0 covers half of the image, the last one the least.

    All values are positive, so that no two classes ever tie at 0.
    """
    random = torch.Generator().manual_seed(seed)
    u, v = grid
    ends = torch.tensor([round(v * (1 - 0.5 ** (index + 1))) for index in range(k - 1)])
    column = torch.bucketize(torch.arange(v), ends, right=True)
    truth = column.expand(b, u, v).clone()
    shares = torch.nn.functional.one_hot(truth, k).movedim(3, 1).double()  # (b, k, u, v)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random, dtype=torch.float64)

    def features(dim: int) -> Tensor:
        directions = draw(b, k, dim) ** 2
        return torch.einsum("bkuv,bkd->bduv", shares, directions) + noise * draw(b, dim, u, v)

    blurred = torch.nn.functional.avg_pool2d(shares, 3, 1, 1)
    cams = 0.7 * blurred + 0.05 + noise * draw(b, k, u, v)
    colours = torch.einsum("bkuv,bkd->bduv", shares, draw(b, k, 3))
    images = colours.repeat_interleave(pixels, 2).repeat_interleave(pixels, 3)
    images = images + 0.05 * draw(*images.shape)
    floats = (cams, features(8), features(11), images)
    return Scene(*(value.to(dtype) for value in floats), truth=truth)


@pytest.fixture
def scene() -> Callable[..., Scene]:
    """Makes a scene."""
    return make_scene
