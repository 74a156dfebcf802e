"""Boundary corrections for scores of any kind."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.arrays.axes import refuse_swapped
from dhr.arrays.settings import boundary_settings
from dhr.arrays.values import Array, as_edges, as_floats, as_rgb, as_tensor
from dhr.errors import ShapeError
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BoundaryConfig, Kind
from dhr.models.sam import Segmenter


def refine(
    images: Array,
    scores: Array,
    boundary: BoundaryConfig | Kind | Mapping[str, Any] = "crf",
    features: Array | None = None,
    edges: Array | None = None,
    segmenter: Segmenter | None = None,
) -> Float[Tensor, "b k h w"]:
    """Make scores follow the edges of images, by a dense CRF, PAMR, a random walk, or a network like SAM.

    Args:
        images: (b, 3, h, w) or (b, h, w, 3), RGB, uint8, or floats in 0..1.
        scores: (b, k, h, w), 0 or more: CAMs, probabilities, soft or hard masks, of two classes or more. For a single
            class add the background, 1 - p.
        boundary: a kind, settings (their ``kind`` counts), or a dictionary of changes to the defaults.
        features: (b, d, u, v), dense features of the images, for the random walk.
        edges: (b, 1, p, q), probability of a class boundary, for the random walk.
        segmenter: a network for `sam`, instead of the one that ``boundary`` names. That one stays in memory, with the
            embeddings of the last images, so that more scores of the same images take little time.

    Returns:
        Refined scores. They sum to one over the classes where any class scores.

    Raises:
        ShapeError: arrays that do not fit together, hold NaN or infinity, negative scores, or one class alone.
        ConfigError: no such kind, a random walk without features, or a folder without such a network.
        WeightsError: the network for `sam` is missing or damaged.

    >>> import numpy as np
    >>> image = np.zeros((1, 8, 8, 3), np.uint8)
    >>> image[:, :, 4:] = 255
    >>> left = np.full((1, 1, 8, 8), 0.4)
    >>> left[..., :3] = 0.9
    >>> refine(image, np.concatenate([left, 1 - left], axis=1)).argmax(dim=1)[0, 0]
    tensor([0, 0, 0, 0, 1, 1, 1, 1])
    """
    config = boundary_settings(boundary)
    first = as_tensor("scores", scores)
    maps = as_floats("scores", scores, first)
    if maps.shape[1] == 1:
        raise ShapeError(
            "scores hold one class, so there is nothing to compare it with; add the background: np.concatenate([1 - p, "
            "p], axis=1)"
        )
    if float(maps.min()) < 0:
        raise ShapeError(f"scores must not be negative, got {float(maps.min()):.4g}; take their softmax or their ReLU")
    pictures = as_rgb(images, first, (maps.shape[-2], maps.shape[-1]))
    if (len(pictures), *pictures.shape[2:]) != (len(maps), *maps.shape[2:]):
        raise ShapeError(
            f"images and scores must be of one size, got {tuple(pictures.shape)} and {tuple(maps.shape)}; resize the "
            "scores to the images"
        )
    seen = None if features is None else as_floats("features", features, first)
    propose = None
    if config.kind == "sam":
        from dhr.arrays.segments import proposer

        propose = proposer(config.sam, pictures.float(), segmenter)
    guide = Guide(seen, None if edges is None else as_edges(edges, first), propose)
    refuse_swapped({"features": guide.features, "edges": guide.edges}, "images are", pictures)
    with torch.no_grad():
        refined = BOUNDARIES[config.kind](config, guide)(pictures, maps)
        return refined / refined.sum(dim=1, keepdim=True).clamp_min(1e-12)
