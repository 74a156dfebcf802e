"""USS features of a photograph, averaged over all views, on the grid that the method works on."""

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.transforms import grid_size
from dhr.models.uss import UssConfig, UssModel
from dhr.models.views import average_views
from dhr.ops.bilateral import bilateral_upsample


@torch.no_grad()
def uss_maps(
    image: Float[Tensor, "1 3 h w"], uss: UssModel, config: UssConfig, stride: int
) -> Float[Tensor, "1 d u v"]:
    """Features on a grid of ``stride`` pixels a cell, from all scales, flips and windows that ``config`` asks for."""
    grid = grid_size(image.shape[-2], image.shape[-1], stride)

    def averaged(grids: list[tuple[int, int]], scales: tuple[float, ...]) -> Tensor:
        (maps,) = average_views(
            lambda view: (uss(view),), image, grids, scales, config.flip, window=config.window, overlap=config.overlap
        )
        return maps

    if config.upsample == "none":
        return averaged([grid], config.scales)
    # On the finest grid that the model has of any view; from there, the image says where values belong.
    fine = averaged([], tuple(sorted(config.scales, reverse=True)))
    if fine.shape[-2] >= grid[0] and fine.shape[-1] >= grid[1]:
        return averaged([grid], config.scales) if fine.shape[-2:] != grid else fine
    return bilateral_upsample(fine, image, grid)
