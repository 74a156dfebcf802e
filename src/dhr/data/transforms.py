"""Turn photographs into tensors, at the working size of the networks."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.errors import ConfigError


@dataclass(frozen=True)
class ImageConfig:
    """The working size of photographs."""

    long_side: int = 640
    """Photographs with a longer side are shrunk to it for the networks; masks always have the photograph's own size."""
    grid_stride: int = 8
    """Pixels of the working image a cell of the grid that CAMs and features are compared on."""

    def __post_init__(self) -> None:
        if self.long_side < 32:
            raise ConfigError(f"image.long_side must be 32 or more, got {self.long_side}")
        if self.grid_stride < 1:
            raise ConfigError(f"image.grid_stride must be 1 or more, got {self.grid_stride}")


def working_image(rgb: UInt8[np.ndarray, "h w 3"], long_side: int) -> Float[Tensor, "3 u v"]:
    """Return RGB in 0..1, shrunk with antialiasing if a side is longer than ``long_side``, never enlarged.

    >>> working_image(np.zeros((100, 400, 3), np.uint8), 200).shape
    torch.Size([3, 50, 200])
    """
    height, width, _ = rgb.shape
    tensor = torch.from_numpy(rgb).permute(2, 0, 1)
    scale = long_side / max(height, width)
    if scale >= 1:
        return tensor.float() / 255
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    # uint8 in, uint8 out: a 100-megapixel photograph as float would take 1.2 GB
    small = interpolate(tensor.unsqueeze(0), size, mode="bilinear", antialias=True, align_corners=False)
    return small.squeeze(0).float() / 255


def grid_size(height: int, width: int, stride: int) -> tuple[int, int]:
    """Return rows and columns of the grid over a working image, at least one each.

    >>> grid_size(213, 320, 8)
    (27, 40)
    """
    return max(1, math.ceil(height / stride)), max(1, math.ceil(width / stride))
