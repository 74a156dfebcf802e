"""The method for arrays of any kind."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dhr.arrays.axes import refuse_swapped
from dhr.arrays.cams import Cams, stacked
from dhr.arrays.settings import boundary_settings, method_settings
from dhr.arrays.values import Array, as_edges, as_floats, as_labels, as_prior, as_rgb, as_valid
from dhr.errors import ConfigError, ShapeError
from dhr.method.config import BOUNDARY, BoundaryConfig, Kind, MethodConfig
from dhr.method.rebalance import rebalance as rebalance_batch
from dhr.method.scene import Batch
from dhr.types import Rebalanced


def rebalance(
    cams: Cams,
    uss_features: Array,
    wss_features: Array | None = None,
    images: Array | None = None,
    *,
    valid: Array | None = None,
    base: Array | None = None,
    edges: Array | None = None,
    background: bool = False,
    prior: Array | None = None,
    survey: Array | None = None,
    held: Array | None = None,
    config: MethodConfig | str | Mapping[str, Any] = "default",
    boundary: BoundaryConfig | Kind | Mapping[str, Any] = BOUNDARY,
) -> Rebalanced:
    """Make masks from CAMs and features, torch tensors or numpy arrays, on the device of ``cams``.

    This checks and converts its arguments, and calls :func:`dhr.method.rebalance.rebalance`. Most calls need the first
    four arguments alone.

    Args:
        cams: (b, k, u, v), one map per tagged class of each image; or a list with one (k, u, v) array or dictionary of
            maps per image (:func:`pad_classes`); or the dictionary of one image: ``{class: map}``, or IRN's with
            ``"keys"`` and ``"high_res"`` or ``"cam"``.
        uss_features: (b, d, u, v), unsupervised features on any grid; the method works on this grid.
        wss_features: (b, e, u, v), features of the network that the CAMs come from; without them the USS features
            serve for both.
        images: (b, 3, h, w) or (b, h, w, 3), RGB, uint8, or floats in 0..1. Maps and features cover the whole images,
            on grids of any aspect.
        valid: (b, k), False where ``cams`` is padding.
        base: (b, h, w), the mask of another method: whole labels 0..k-1, or with ``background`` 0..k, 0 the background;
            other labels are void.
        edges: (b, 1, p, q), probability of a class boundary, for the random walk.
        background: whether there is a background class; labels then start with it.
        prior: (b, k), for `marginal` `prior`: the share of the image that each class covers, in any unit; with
            ``background``, (b, k + 1), the background first.
        survey: (b, k, u, v) on the grid of ``uss_features``, with ``background`` (b, k + 1, u, v), the background
            first: shares of the classes in each cell by other photographs, 0 or more, all 0 where they are unknown.
            They are joined with the scores of Step 3 with the weight ``config.survey`` (0.6 in `default`).
        held: (b, h, w), pixels that a person has drawn, of any size: labels as in ``base``; other labels are free.
            Drawn pixels keep their label, and guide the other pixels (:mod:`dhr.method.held`).
        config: a preset by name, settings, or a dictionary of changes: ``{"tau": 0.7}``, ``{"preset": "paper", ...}``.
        boundary: correction along the edges of ``images``: a kind, settings, or a dictionary of changes.

    Returns:
        A record of tensors; ``.mask`` holds labels that count the classes of each image, in the order of ``cams``.

    Raises:
        ShapeError: arrays do not fit together, hold NaN or infinity, have swapped axes, or are empty for an image.
        ConfigError: an unknown preset or setting, or a ``prior`` that the settings do not use.

    >>> rng = np.random.default_rng(0)
    >>> cams, features = rng.random((1, 2, 8, 8)), rng.random((1, 16, 8, 8))
    >>> rebalance(cams, features, features).mask.shape
    torch.Size([1, 8, 8])
    """
    settings, correction = method_settings(config), boundary_settings(boundary)
    if not isinstance(background, bool | np.bool_):
        raise ConfigError(f"background must be True or False, got {background!r}; the base mask goes into base")
    first, present = stacked(cams, valid)
    maps, uss = as_floats("cams", first, first), as_floats("uss_features", uss_features, first)
    batch = Batch(
        cams=maps,
        uss_features=uss,
        wss_features=uss if wss_features is None else as_floats("wss_features", wss_features, first),
        images=None if images is None else as_rgb(images, first),
        valid=as_valid(present, maps),
        base=None if base is None else _labels("base", base, first),
        edges=None if edges is None else as_edges(edges, first),
        background=bool(background),
        prior=None if prior is None else as_prior(prior, maps, background),
        survey=None if survey is None else _survey(survey, first),
        held=None if held is None else _held(held, maps, bool(background)),
    )
    _refuse_senseless(batch)
    return rebalance_batch(batch, settings, correction)


def _labels(name: str, value: Array, like: Tensor) -> Tensor:
    """Check and convert masks."""
    mask = as_labels(name, value).to(like.device)
    if mask.ndim != 3 or 0 in mask.shape:
        raise ShapeError(f"{name} must have 3 dimensions (images, height, width), none empty, got {tuple(mask.shape)}")
    return mask


def _held(value: Array, maps: Tensor, background: bool) -> Tensor:
    """Return the drawn share of each pixel, 0 or 1, by class."""
    ids = torch.arange(maps.shape[1] + background, device=maps.device).view(1, -1, 1, 1)
    return (_labels("held", value, maps).unsqueeze(1) == ids).to(maps.dtype)


def _survey(value: Array, like: Tensor) -> Tensor:
    """Check and convert the shares of a survey; negative ones are refused."""
    shares = as_floats("survey", value, like)
    if float(shares.min()) < 0:
        raise ShapeError(f"survey must hold shares, 0 or more, got {float(shares.min()):.4g}; take their softmax")
    return shares


def _refuse_senseless(batch: Batch) -> None:
    """Refuse arrays that fit together, but are surely a mistake."""
    names = ("cams", "uss_features", "wss_features", "edges", "base", "held")
    given = {name: getattr(batch, name) for name in names}
    if batch.images is None:
        refuse_swapped(given, "the grid is", batch.uss_features)
    else:
        refuse_swapped(given, "images are", batch.images)
    if batch.base is None and batch.valid is not None and batch.valid.shape == batch.cams.shape[:2]:
        low, high = batch.cams.amin(dim=(2, 3)), batch.cams.amax(dim=(2, 3))
        silent = ~(((high > 0) | (high > low)) & batch.valid).any(dim=1)
        if bool(silent.any()):
            which = torch.nonzero(silent).flatten().tolist()
            raise ShapeError(
                f"cams of image {', '.join(map(str, which[:5]))} are 0 everywhere, so they show none of its classes; "
                "leave the image out, or give base, a mask of another method"
            )
