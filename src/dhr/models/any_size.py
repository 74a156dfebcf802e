"""Refuses networks that do not make maps of photographs of any size."""

from typing import Any

import torch
from torch import nn

from dhr.errors import ConfigError
from dhr.words import one_line


@torch.no_grad()
def refuse_fixed(network: nn.Module, stride: int, channels: int, what: str) -> None:
    """Try a network with a photograph whose sides are no multiples of its stride.

    Its last map must have the channels in the second place, and be larger where the photograph is. The grid is free.

    Args:
        network: from images (1, 3, h, w) to a map, or to a list of maps.
        stride: pixels per cell of the last map.
        channels: of the last map.
        what: setting and name, for the message.

    Raises:
        ConfigError: it fails, or its map is of another kind.
    """
    size, training = (5 * stride + 1, 8 * stride + 3), network.training
    found: Any
    try:
        maps = network.eval()(torch.zeros(1, 3, *size))
        found = tuple((maps if isinstance(maps, torch.Tensor) else maps[-1]).shape)
    except Exception as error:  # a network raises any exception for a wrong size
        found = one_line(error, 120)
    network.train(training)
    if isinstance(found, str) or len(found) != 4 or found[1] != channels or not 1 < found[2] < found[3]:
        raise ConfigError(
            f"{what} has no maps of photographs of any size (expected {channels} channels and rows and columns for "
            f"{size} pixels, got {found}); choose a convolutional network, or a plain Vision Transformer"
        )
