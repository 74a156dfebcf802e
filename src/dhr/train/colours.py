"""Random colours of crops, changed for a whole batch on its device."""

import math
import random

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

PLAIN = torch.tensor([1.0, 1.0, 1.0, 0.0])
"""Leaves colours as they are."""

_GREY = (0.2989, 0.587, 0.114)  # ITU-R 601
_ACROSS = ((0.0, 1.0, -1.0), (-1.0, 0.0, 1.0), (1.0, -1.0, 0.0))  # the cross product with (1, 1, 1)


def drawn_colours(strength: float, rng: random.Random) -> Float[Tensor, "4"]:
    """Draw factors of brightness, contrast and saturation, and a turn of the hue in radians.

    The hue changes a third as much as the others: by up to ``strength / 3`` of a full turn, at most half a turn.
    """
    if strength == 0:
        return PLAIN
    low, high = max(0.0, 1 - strength), 1 + strength
    factors = [rng.uniform(low, high) for _ in range(3)]
    return torch.tensor([*factors, 2 * math.pi * rng.uniform(-1, 1) * min(0.5, strength / 3)])


def coloured(pixels: UInt8[Tensor, "b h w 3"], colours: Float[Tensor, "b 4"] | None = None) -> Float[Tensor, "b 3 h w"]:
    """Return RGB in 0..1, in memory with the channels last; with ``colours``, they are changed.

    Each change is linear in RGB, so together they are one 3x3 matrix and one offset per image, and one pass over the
    pixels. Brightness scales all; contrast moves towards the mean grey; saturation moves towards the pixel's grey; the
    hue turns about the axis of greys. The result is clamped once, at the end.
    """
    images = pixels.float() / 255  # (b, h, w, 3)
    if colours is not None:
        flat = images.flatten(1, 2)  # (b, h w, 3)
        matrix, offset = _matrix(flat.mean(dim=1), colours)
        images = torch.baddbmm(offset[:, None], flat, matrix).clamp_(0, 1).view_as(images)
    return images.permute(0, 3, 1, 2)


def _matrix(mean: Float[Tensor, "b 3"], colours: Float[Tensor, "b 4"]) -> tuple[Tensor, Tensor]:
    """Return (b, 3, 3) and (b, 3): a pixel as a row times the first, plus the second, is the changed pixel."""
    brightness, contrast, saturation, turn = colours[:, :, None, None].unbind(dim=1)  # each (b, 1, 1)
    one = torch.eye(3, device=mean.device)
    grey = torch.tensor(_GREY, device=mean.device)
    across = torch.tensor(_ACROSS, device=mean.device)
    saturate = saturation * one + (1 - saturation) * grey[:, None].expand(3, 3)
    rotate = turn.cos() * one + (1 - turn.cos()) / 3 + turn.sin() / math.sqrt(3) * across
    hue = saturate @ rotate
    level = (1 - contrast[:, 0]) * brightness[:, 0] * (mean @ grey)[:, None]  # (b, 1): part of the mean grey
    return brightness * contrast * hue, (level[:, :, None].expand(-1, 1, 3) @ hue)[:, 0]
