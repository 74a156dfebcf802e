"""USS features of a photograph, averaged over all views, on the grid of the method."""

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.transforms import grid_size
from dhr.models.uss import UssConfig, UssModel
from dhr.models.views import average_views


@torch.no_grad()
def uss_maps(
    image: Float[Tensor, "1 3 h w"], uss: UssModel, config: UssConfig, stride: int
) -> Float[Tensor, "1 d u v"]:
    """Compute features on a grid of ``stride`` pixels per cell, from all scales, flips and windows of ``config``."""
    grid = grid_size(image.shape[-2], image.shape[-1], stride)
    (maps,) = average_views(
        lambda view: (uss(view),), image, [grid], config.scales, config.flip, config.window, config.overlap
    )
    return maps
