"""The maps of a photograph: what the map source and the USS network compute."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dhr.data.samples import Sample
from dhr.data.transforms import grid_size, working_image
from dhr.errors import ItemError
from dhr.features.pack import Packed
from dhr.job.models import Models
from dhr.job.settings import RunConfig


@dataclass(frozen=True)
class Maps:
    """All maps of one photograph."""

    image: Float[Tensor, "1 3 h w"]
    cams: Float[Tensor, "1 k u v"]
    """CAMs of the tagged classes, in the order of the tags."""
    uss: Float[Tensor, "1 d u v"]
    wss: Float[Tensor, "1 e u v"]
    edges: Float[Tensor, "1 1 p q"] | None = None
    """Probability of a class boundary, from sources that learn it."""
    probabilities: Float[Tensor, "1 _ p q"] | None = None
    """Of the photograph's classes, the background first, from a student."""


def see(rgb: UInt8[np.ndarray, "h w 3"], sample: Sample, models: Models, config: RunConfig) -> Maps:
    """Compute the maps of a photograph with the map source and the USS network.

    Raises:
        ItemError: the source cannot make maps of it, or they hold NaN or infinity.
    """
    image = working_image(rgb, config.image.long_side).unsqueeze(0)
    return maps_of(image, sample, models, config, models.uss.packed(image))


@torch.no_grad()
def maps_of(
    image: Float[Tensor, "1 3 h w"], sample: Sample, models: Models, config: RunConfig, features: Packed
) -> Maps:
    """Compute the maps of a working image with the map source, beside USS features that are known.

    Raises:
        ItemError: see :func:`see`.
    """
    image, uss = image.to(models.device), features.unpacked(models.device)
    grid = grid_size(image.shape[-2], image.shape[-1], config.image.grid_stride)
    seen = models.source.see(image, sample, grid)
    wss = uss if seen.features is None else seen.features
    for name, maps in (("CAMs", seen.cams), ("WSS features", wss)):
        if not bool(torch.isfinite(maps).all()):
            raise ItemError(f"its {name} hold NaN or infinity; check the weights, or those that were trained here")
    return Maps(image, seen.cams, uss, wss, seen.edges, seen.probabilities)
