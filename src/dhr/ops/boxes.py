"""Boxes as maps on a grid."""

import torch
from jaxtyping import Float
from torch import Tensor


def filled_boxes(corners: Float[Tensor, "*s 4"], grid: tuple[int, int]) -> Float[Tensor, "*s u v"]:
    """Return the share of each cell that a box covers.

    Args:
        corners: left, top, right and bottom, as shares of the width and the height. A box that is turned over is empty.
        grid: rows and columns.

    >>> filled_boxes(torch.tensor([0.25, 0.0, 0.75, 0.5]), (2, 2))
    tensor([[0.5000, 0.5000],
            [0.0000, 0.0000]])
    """
    across, down = (
        _covered(corners[..., first], corners[..., first + 2], cells) for first, cells in ((0, grid[1]), (1, grid[0]))
    )
    return down.unsqueeze(-1) * across.unsqueeze(-2)


def _covered(first: Tensor, last: Tensor, cells: int) -> Float[Tensor, "*s n"]:
    """Return the share of each of ``cells`` equal parts of 0..1 that lies between two places."""
    edges = torch.arange(cells, device=first.device, dtype=first.dtype)
    first, last = (one.unsqueeze(-1) * cells for one in (first, last))
    return (torch.minimum(last, edges + 1) - torch.maximum(first, edges)).clamp(0, 1)
