"""The method for arrays of any kind: what ``import dhr`` offers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.errors import ConfigError, ShapeError
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig, Kind, MethodConfig
from dhr.method.rebalance import rebalance as _rebalance
from dhr.types import Rebalanced

Array = Tensor | np.ndarray[Any, np.dtype[Any]]


def rebalance(
    cams: Array,
    uss_features: Array,
    wss_features: Array,
    images: Array | None = None,
    valid: Array | None = None,
    base: Array | None = None,
    edges: Array | None = None,
    background: bool = False,
    prior: Array | None = None,
    config: MethodConfig | str = "default",
    boundary: BoundaryConfig = BOUNDARY,
) -> Rebalanced:
    """:func:`dhr.method.rebalance.rebalance` for torch tensors or numpy arrays, on whatever device ``cams`` are.

    Args:
        cams: (b, k, u, v), one map for each tagged class of each image; :func:`pad_classes` stacks those of images with
            different numbers of tags.
        uss_features: (b, d, u, v), unsupervised features of any size of grid; the method works on their grid.
        wss_features: (b, e, u, v), features of the network that the CAMs come from.
        images: (b, 3, h, w) or (b, h, w, 3), RGB, uint8, or floats in 0..1.
        valid: (b, k), False where ``cams`` is padding.
        base: (b, h, w), the mask of another method: labels 0..k-1, or with ``background`` 0..k, 0 the background;
            anything else is void.
        edges: (b, 1, p, q), probability of a class boundary, for the random walk.
        background: whether there is a background class; labels then start with it.
        prior: (b, k), for `marginal` `prior`: what share of the image each class covers, in any unit; with
            ``background``, (b, k + 1), the background first.
        config: settings, or the name of a preset.
        boundary: correction along the edges of ``images``.

    Returns:
        A record of tensors; ``.mask`` is what most want: labels that count the classes of each image.

    Raises:
        ShapeError: arrays that do not fit together, or hold NaN or infinity.
        ConfigError: no such preset.

    >>> rng = np.random.default_rng(0)
    >>> cams, features = rng.random((1, 2, 8, 8)), rng.random((1, 16, 8, 8))
    >>> rebalance(cams, features, features).mask.shape
    torch.Size([1, 8, 8])
    """
    if isinstance(config, str):
        if config not in PRESETS:
            raise ConfigError(f"config must be a MethodConfig or one of {', '.join(PRESETS)}; got {config!r}")
        config = PRESETS[config]
    first = _tensor(cams)

    def floats(name: str, value: Array) -> Tensor:
        return _floats(name, value, first)

    pictures = None if images is None else _rgb(floats("images", images), _tensor(images).dtype)
    maps = floats("cams", first)
    present = torch.ones(maps.shape[:2]) if valid is None else _tensor(valid)
    if present.shape != maps.shape[:2] or not bool(present.bool().any(dim=1).all()):
        raise ShapeError(
            f"valid must be {tuple(maps.shape[:2])} (images, classes) as cams are, and True for a class of every image "
            f"at least; got {tuple(present.shape)}"
        )
    mask = None if base is None else _tensor(base)
    if mask is not None and mask.ndim != 3:
        raise ShapeError(f"base must have 3 dimensions (images, height, width), got {tuple(mask.shape)}")
    given = None if prior is None else _tensor(prior).to(maps.device, maps.dtype)
    expected = (maps.shape[0], maps.shape[1] + background)
    if given is not None and (tuple(given.shape) != expected or not bool((given.isfinite() & (given >= 0)).all())):
        raise ShapeError(f"prior must be {expected} (images, classes), no share below 0; got {tuple(given.shape)}")
    return _rebalance(
        maps,
        floats("uss_features", uss_features),
        floats("wss_features", wss_features),
        pictures,
        present.to(first.device, torch.bool),
        None if mask is None else mask.to(first.device, torch.int64),
        None if edges is None else floats("edges", edges),
        background,
        given,
        None,
        config,
        boundary,
    )


def refine(
    images: Array,
    scores: Array,
    boundary: BoundaryConfig | Kind = "crf",
    features: Array | None = None,
    edges: Array | None = None,
) -> Float[Tensor, "b k h w"]:
    """Make scores follow the edges of images, by a dense CRF, PAMR or random walk, each class beside the others.

    Args:
        images: (b, 3, h, w) or (b, h, w, 3), RGB, uint8, or floats in 0..1.
        scores: (b, k, h, w), none negative: CAMs, probabilities, soft or hard masks.
        boundary: settings, of which ``kind`` counts, or a kind.
        features: (b, d, u, v), dense features of the images, for the random walk.
        edges: (b, 1, p, q), probability of a class boundary, for the random walk.

    Returns:
        Refined scores, summing to one over the classes where any class scores.

    Raises:
        ShapeError: arrays that do not fit together, hold NaN or infinity, or negative scores.
        ConfigError: no such kind, or a random walk without features.

    >>> image = np.zeros((1, 8, 8, 3), np.uint8)
    >>> image[:, :, 4:] = 255
    >>> left = np.full((1, 1, 8, 8), 0.4)
    >>> left[..., :3] = 0.9
    >>> refine(image, np.concatenate([left, 1 - left], axis=1)).argmax(dim=1)[0, 0]
    tensor([0, 0, 0, 0, 1, 1, 1, 1])
    """
    config = BoundaryConfig(kind=boundary) if isinstance(boundary, str) else boundary
    first = _tensor(scores)
    maps = _floats("scores", scores, first)
    if float(maps.min()) < 0:
        raise ShapeError(f"scores must not be negative, got {float(maps.min()):.4g}; take their softmax or their ReLU")
    pictures = _rgb(_floats("images", images, first), _tensor(images).dtype)
    if (len(pictures), *pictures.shape[2:]) != (len(maps), *maps.shape[2:]):
        raise ShapeError(
            f"images and scores must be of one size, got {tuple(pictures.shape)} and {tuple(maps.shape)}; resize the "
            "scores to the images"
        )
    guide = Guide(
        None if features is None else _floats("features", features, first),
        None if edges is None else _floats("edges", edges, first),
    )
    with torch.no_grad():
        refined = BOUNDARIES[config.kind](config, guide)(pictures, maps)
        return refined / refined.sum(dim=1, keepdim=True).clamp_min(1e-12)


def pad_classes(cams: Sequence[Array]) -> tuple[Float[Tensor, "b k u v"], Bool[Tensor, "b k"]]:
    """Stack the CAMs of images with different numbers of tags: padded maps, and which of them are real.

    Args:
        cams: one (k_i, u, v) array an image, all of one grid.

    Raises:
        ShapeError: none are given, or their grids differ.

    >>> maps, valid = pad_classes([torch.ones(1, 4, 4), torch.ones(3, 4, 4)])
    >>> maps.shape, valid.tolist()
    (torch.Size([2, 3, 4, 4]), [[True, False, False], [True, True, True]])
    """
    tensors = [_tensor(one) for one in cams]
    if len({one.shape[1:] for one in tensors}) != 1 or tensors[0].ndim != 3:
        raise ShapeError(
            f"cams must be (classes, height, width) on one grid; got {[tuple(one.shape) for one in tensors[:5]]}"
        )
    most = max(len(one) for one in tensors)
    padded = torch.stack([torch.cat([one, one.new_zeros(most - len(one), *one.shape[1:])]) for one in tensors])
    valid = torch.arange(most) < torch.tensor([len(one) for one in tensors]).unsqueeze(1)
    return padded, valid.to(padded.device)


def _floats(name: str, value: Array, like: Tensor) -> Tensor:
    """A finite tensor of 4 dimensions, in at least single precision, where ``like`` is."""
    dtype = like.dtype if like.is_floating_point() and like.dtype.itemsize >= 4 else torch.float32
    tensor = _tensor(value).to(like.device, dtype)
    if tensor.ndim != 4:
        raise ShapeError(f"{name} must have 4 dimensions (images, channels, height, width), got {tuple(tensor.shape)}")
    if 0 in tensor.shape:
        raise ShapeError(f"{name} must not be empty, got {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor).all()):
        raise ShapeError(f"{name} hold NaN or infinity; every value must be finite")
    return tensor


def _rgb(images: Tensor, given: torch.dtype) -> Tensor:
    """Images (b, 3, h, w) in 0..1 from what was ``given``: channels first or last, whole numbers or floats."""
    if images.shape[1] != 3 and images.shape[3] == 3:
        images = images.movedim(3, 1)
    if images.shape[1] != 3:
        raise ShapeError(f"images must be RGB, (b, 3, h, w) or (b, h, w, 3); got {tuple(images.shape)}")
    if not given.is_floating_point:
        images = images / 255
    least, most = (float(end) for end in torch.aminmax(images))
    if least < -1e-3 or most > 1 + 1e-3:
        raise ShapeError(
            f"images must be whole numbers in 0..255 or floats in 0..1; got {given}, {least:.4g} to {most:.4g} in that "
            "unit; divide floats by 255, or clamp them"
        )
    return images.clamp(0, 1)


def _tensor(value: Array) -> Tensor:
    """A tensor; of views that torch refuses (``bgr[..., ::-1]``), a copy."""
    return torch.as_tensor(np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value)
