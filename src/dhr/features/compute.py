"""USS features of a photograph, averaged over all views, on the grid of the method."""

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.data.transforms import grid_size
from dhr.models.precision import Resolved, autocast
from dhr.models.uss import UssConfig, UssModel
from dhr.models.views import average_views
from dhr.models.windows import Windows


@torch.no_grad()
def uss_maps(
    images: Float[Tensor, "b 3 h w"], uss: UssModel, config: UssConfig, stride: int, precision: Resolved = "float32"
) -> Float[Tensor, "b d u v"]:
    """Compute features on a grid of ``stride`` pixels per cell, from all scales, flips and windows of ``config``.

    The network computes in ``precision``; the features are float32.
    """
    grid = grid_size(images.shape[-2], images.shape[-1], stride)
    side = uss.trained_on if config.window is None else config.window
    windows = Windows(side, config.overlap, uss.cell, above=1.0) if side else None

    def run(views: Tensor) -> tuple[Tensor, ...]:
        with autocast(precision, views.device):
            return (uss(views),)

    (maps,) = average_views(run, images, [grid], config.scales, config.flip, windows)
    return maps
