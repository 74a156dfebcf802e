"""Photographs without tags: all of their pixels are background, whatever a network computes."""

import torch

from dhr.types import Rebalanced


def background_alone(grid: tuple[int, int], size: tuple[int, int], device: torch.device) -> Rebalanced:
    """Return the result of the method if the background is the only class: it has every cell and pixel, for certain.

    Args:
        grid: height and width of the features.
        size: height and width of the working image.
        device: device of the result.
    """
    cells = torch.ones(1, 1, *grid, device=device)
    pixels = torch.ones(1, 1, *size, device=device)
    mask = torch.zeros(1, *size, dtype=torch.int64, device=device)
    one = torch.ones(1, 1, device=device)
    yes, nothing = one > 0, torch.zeros(1, device=device)
    return Rebalanced(
        activation=cells, base=mask, seed=cells, initial=cells, inter=cells, intra=cells, joined=cells, scores=pixels,
        mask=mask, confidence=pixels[:, 0], kept=yes, quality=one[0], groups=yes.unsqueeze(2), ratios=one,
        moved=nothing, marginal_error=nothing, valid=yes, order=torch.zeros_like(yes, dtype=torch.int64),
    )  # fmt: skip
