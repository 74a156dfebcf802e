"""The maps of photographs: what the map source and the USS network compute."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dhr.data.samples import Sample
from dhr.data.transforms import grid_size, working_image
from dhr.errors import ItemError
from dhr.features.pack import Packed
from dhr.job.models import Models
from dhr.job.settings import RunConfig


@dataclass(frozen=True)
class Maps:
    """All maps of a batch of photographs of one working size."""

    images: Float[Tensor, "b 3 h w"]
    cams: Float[Tensor, "b k u v"]
    """CAMs of the tagged classes, in the order of the tags, padded to the largest number of tags."""
    uss: Float[Tensor, "b d u v"]
    wss: Float[Tensor, "b e u v"]
    edges: Float[Tensor, "b 1 p q"] | None = None
    """Probability of a class boundary, from sources that learn it."""
    probabilities: Float[Tensor, "b _ p q"] | None = None
    """Of the photograph's classes, the background first, from a student; padded as ``cams``."""

    @property
    def finite(self) -> Bool[Tensor, " b"]:
        """Whether all CAMs and WSS features of a photograph are finite."""
        cams, wss = (one.isfinite().flatten(1).all(dim=1) for one in (self.cams, self.wss))
        return cams & wss


def see(rgb: UInt8[np.ndarray, "h w 3"], sample: Sample, models: Models, config: RunConfig) -> Maps:
    """Compute the maps of a photograph with the map source and the USS network.

    Raises:
        ItemError: the source cannot make maps of it, or they hold NaN or infinity.
    """
    image = working_image(rgb, config.image.long_side).unsqueeze(0)
    maps = maps_of(image, [sample], models, config, [models.uss.packed(image)[0].get()])
    if not bool(maps.finite):
        raise not_finite()
    return maps


@torch.no_grad()
def maps_of(
    images: Float[Tensor, "b 3 h w"],
    samples: Sequence[Sample],
    models: Models,
    config: RunConfig,
    features: Sequence[Packed],
) -> Maps:
    """Compute the maps of working images with the map source, beside USS features that are known.

    Raises:
        ItemError: the source cannot make maps of a photograph.
    """
    images, uss = images.to(models.device), torch.cat([one.unpacked(models.device) for one in features])
    grid = grid_size(images.shape[-2], images.shape[-1], config.image.grid_stride)
    seen = models.source.see(images, samples, grid)
    return Maps(images, seen.cams, uss, uss if seen.features is None else seen.features, seen.edges, seen.probabilities)


def not_finite() -> ItemError:
    """Make the error of a photograph with maps that are not finite."""
    return ItemError(
        "its CAMs or WSS features hold NaN or infinity; check the weights, or those that were trained here"
    )
