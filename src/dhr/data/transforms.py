"""Turn photographs into tensors, at the working size of the networks."""

import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

WORKING_BYTES = 12
"""Bytes of a working image for each of its pixels."""


def working_pixels(rgb: UInt8[np.ndarray, "h w 3"], long_side: int) -> UInt8[np.ndarray, "u v 3"]:
    """Return RGB in 0..255, shrunk with antialiasing if a side is longer than ``long_side``, never enlarged.

    >>> working_pixels(np.zeros((100, 400, 3), np.uint8), 200).shape
    (50, 200, 3)
    """
    size = working_size(rgb.shape[0], rgb.shape[1], long_side)
    if size == rgb.shape[:2]:
        return rgb
    # uint8 in, uint8 out: a 100-megapixel photograph as float would take 1.2 GB
    whole = torch.from_numpy(rgb).permute(2, 0, 1).unsqueeze(0)
    small = interpolate(whole, size, mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def working_image(rgb: UInt8[np.ndarray, "h w 3"], long_side: int) -> Float[Tensor, "3 u v"]:
    """Return RGB in 0..1, at the size of :func:`working_pixels`.

    >>> working_image(np.zeros((100, 400, 3), np.uint8), 200).shape
    torch.Size([3, 50, 200])
    """
    return torch.from_numpy(working_pixels(rgb, long_side)).permute(2, 0, 1).float() / 255


def working_size(height: int, width: int, long_side: int) -> tuple[int, int]:
    """Return height and width of the working image of a photograph.

    >>> working_size(100, 400, 200), working_size(100, 150, 200)
    ((50, 200), (100, 150))
    """
    scale = long_side / max(height, width)
    if scale >= 1:
        return height, width
    return max(1, round(height * scale)), max(1, round(width * scale))


def grid_size(height: int, width: int, stride: int) -> tuple[int, int]:
    """Return rows and columns of the grid over a working image, at least one each.

    >>> grid_size(213, 320, 8)
    (27, 40)
    """
    return max(1, math.ceil(height / stride)), max(1, math.ceil(width / stride))
