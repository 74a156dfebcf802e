"""The method for arrays of any kind: what ``import dhr`` offers."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.errors import ConfigError, ShapeError
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig, Kind, MethodConfig
from dhr.method.rebalance import rebalance as _rebalance
from dhr.method.scene import Batch
from dhr.types import Rebalanced

Array = Tensor | np.ndarray[Any, np.dtype[Any]]

_ASPECT = math.log(1.2)  # least difference of aspects, beyond rounding, by which axes are taken for swapped


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
    survey: Array | None = None,
    config: MethodConfig | str = "default",
    boundary: BoundaryConfig = BOUNDARY,
) -> Rebalanced:
    """:func:`dhr.method.rebalance.rebalance` for torch tensors or numpy arrays, on whatever device ``cams`` are.

    Args:
        cams: (b, k, u, v), one map for each tagged class of each image; :func:`pad_classes` stacks those of images with
            different numbers of tags.
        uss_features: (b, d, u, v), unsupervised features of any size of grid; the method works on their grid.
        wss_features: (b, e, u, v), features of the network that the CAMs come from.
        images: (b, 3, h, w) or (b, h, w, 3), RGB, uint8, or floats in 0..1. Maps and features show all of them,
            whatever their aspect.
        valid: (b, k), False where ``cams`` is padding.
        base: (b, h, w), the mask of another method: whole labels 0..k-1, or with ``background`` 0..k, 0 the background;
            anything else is void.
        edges: (b, 1, p, q), probability of a class boundary, for the random walk.
        background: whether there is a background class; labels then start with it.
        prior: (b, k), for `marginal` `prior`: what share of the image each class covers, in any unit; with
            ``background``, (b, k + 1), the background first.
        survey: (b, k, u, v) on the grid of ``uss_features``, with ``background`` (b, k + 1, u, v), the background
            first: how far each cell is of each class by what other photographs say, 0 or more, all 0 where they say
            nothing. It joins Step 3's scores with the weight ``config.survey`` (0.6 in `default`).
        config: settings, or the name of a preset.
        boundary: correction along the edges of ``images``.

    Returns:
        A record of tensors; ``.mask`` is what most want: labels that count the classes of each image.

    Raises:
        ShapeError: arrays that do not fit together, hold NaN or infinity, or are transposed.
        ConfigError: no such preset, or a ``prior`` that it does not use.

    >>> rng = np.random.default_rng(0)
    >>> cams, features = rng.random((1, 2, 8, 8)), rng.random((1, 16, 8, 8))
    >>> rebalance(cams, features, features).mask.shape
    torch.Size([1, 8, 8])
    """
    settings = _settings(config)
    if not isinstance(boundary, BoundaryConfig):
        raise ConfigError(f"boundary must be a BoundaryConfig, got {boundary!r}; dhr.BoundaryConfig(kind='pamr')")
    if not isinstance(background, bool | np.bool_):
        raise ConfigError(f"background must be True or False, got {background!r}; the base mask goes into base")
    first = _tensor("cams", cams)
    maps, uss, wss = (
        _floats(name, value, first)
        for name, value in (("cams", cams), ("uss_features", uss_features), ("wss_features", wss_features))
    )
    pictures = None if images is None else _rgb(images, first)
    walls = None if edges is None else _edges(edges, first)
    said = None if survey is None else _floats("survey", survey, first)
    if said is not None and float(said.min()) < 0:
        raise ShapeError(f"survey must hold shares, 0 or more, got {float(said.min()):.4g}; take their softmax")
    mask = None if base is None else _labels("base", base).to(first.device)
    if mask is not None and (mask.ndim != 3 or 0 in mask.shape):
        raise ShapeError(f"base must have 3 dimensions (images, height, width), none empty, got {tuple(mask.shape)}")
    given = {"cams": maps, "uss_features": uss, "wss_features": wss, "edges": walls, "base": mask}
    _refuse_transposed(
        given, "the grid is" if pictures is None else "images are", uss if pictures is None else pictures
    )
    batch = Batch(
        maps, uss, wss, pictures, _valid(valid, maps), mask, walls, bool(background),
        None if prior is None else _prior(prior, maps, background), said,
    )  # fmt: skip
    return _rebalance(batch, settings, boundary)


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
        scores: (b, k, h, w), none negative: CAMs, probabilities, soft or hard masks, of two classes or more (of a
            single one with its background, 1 - p, beside it).
        boundary: settings, of which ``kind`` counts, or a kind.
        features: (b, d, u, v), dense features of the images, for the random walk.
        edges: (b, 1, p, q), probability of a class boundary, for the random walk.

    Returns:
        Refined scores, summing to one over the classes where any class scores.

    Raises:
        ShapeError: arrays that do not fit together, hold NaN or infinity, negative scores, or one class alone.
        ConfigError: no such kind, or a random walk without features.

    >>> image = np.zeros((1, 8, 8, 3), np.uint8)
    >>> image[:, :, 4:] = 255
    >>> left = np.full((1, 1, 8, 8), 0.4)
    >>> left[..., :3] = 0.9
    >>> refine(image, np.concatenate([left, 1 - left], axis=1)).argmax(dim=1)[0, 0]
    tensor([0, 0, 0, 0, 1, 1, 1, 1])
    """
    config = BoundaryConfig(kind=boundary) if isinstance(boundary, str) else boundary
    first = _tensor("scores", scores)
    maps = _floats("scores", scores, first)
    if maps.shape[1] == 1:
        raise ShapeError(
            "scores hold one class, so there is nothing to compare it with; add the background: np.concatenate([1 - p, "
            "p], axis=1)"
        )
    if float(maps.min()) < 0:
        raise ShapeError(f"scores must not be negative, got {float(maps.min()):.4g}; take their softmax or their ReLU")
    pictures = _rgb(images, first, (maps.shape[-2], maps.shape[-1]))
    if (len(pictures), *pictures.shape[2:]) != (len(maps), *maps.shape[2:]):
        raise ShapeError(
            f"images and scores must be of one size, got {tuple(pictures.shape)} and {tuple(maps.shape)}; resize the "
            "scores to the images"
        )
    seen = None if features is None else _floats("features", features, first)
    guide = Guide(seen, None if edges is None else _edges(edges, first))
    _refuse_transposed({"features": guide.features, "edges": guide.edges}, "images are", pictures)
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
    tensors = [_tensor("cams", one) for one in cams]
    if len({one.shape[1:] for one in tensors}) != 1 or tensors[0].ndim != 3:
        raise ShapeError(
            f"cams must be (classes, height, width) on one grid; got {[tuple(one.shape) for one in tensors[:5]]}"
        )
    most = max(len(one) for one in tensors)
    wide = functools.reduce(torch.promote_types, (one.dtype for one in tensors))
    tensors = [one.to(wide) for one in tensors]
    padded = torch.stack([torch.cat([one, one.new_zeros(most - len(one), *one.shape[1:])]) for one in tensors])
    valid = torch.arange(most) < torch.tensor([len(one) for one in tensors]).unsqueeze(1)
    return padded, valid.to(padded.device)


def _settings(config: MethodConfig | str) -> MethodConfig:
    if isinstance(config, MethodConfig):
        return config
    if config not in PRESETS:
        raise ConfigError(f"config must be a MethodConfig or one of {', '.join(PRESETS)}; got {config!r}")
    return PRESETS[config]


def _floats(name: str, value: Array, like: Tensor) -> Tensor:
    """A finite tensor of 4 dimensions, in at least single precision, where ``like`` is."""
    dtype = like.dtype if like.is_floating_point() and like.dtype.itemsize >= 4 else torch.float32
    tensor = _tensor(name, value).to(like.device, dtype)
    if tensor.ndim != 4:
        raise ShapeError(f"{name} must have 4 dimensions (images, channels, height, width), got {tuple(tensor.shape)}")
    if 0 in tensor.shape:
        raise ShapeError(f"{name} must not be empty, got {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor).all()):
        raise ShapeError(f"{name} hold NaN or infinity; every value must be finite")
    return tensor


def _rgb(value: Array, like: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Images (b, 3, h, w) in 0..1: channels first or last (as ``size`` has it, if both may be), whole or floats."""
    given = _tensor("images", value).dtype
    images = _floats("images", value, like)
    if given == torch.bool:
        raise ShapeError("images must be whole numbers in 0..255 or floats in 0..1, got bool; multiply them by 255")
    first, last = images.shape[1] == 3, images.shape[3] == 3
    if first and last and size is not None:
        first, last = images.shape[2:] == size, images.shape[1:3] == size
    if first and last:
        raise ShapeError(
            f"images of {tuple(images.shape)} may have their channels first or last; give images of more than 3 pixels "
            "each way"
        )
    if last:
        images = images.movedim(3, 1)
    if images.shape[1] != 3:
        raise ShapeError(f"images must be RGB, (b, 3, h, w) or (b, h, w, 3); got {tuple(images.shape)}")
    if not given.is_floating_point:
        images = images / 255
    if not _between(images, -1e-3, 1 + 1e-3):
        raise ShapeError(
            f"images must be whole numbers in 0..255 or floats in 0..1; got {given}, {_seen(images)} in that unit; "
            "divide floats by 255, or clamp them"
        )
    return images.clamp(0, 1)


def _edges(value: Array, like: Tensor) -> Tensor:
    """Class boundaries, one map per image."""
    edges = _floats("edges", value, like)
    if edges.shape[1] != 1 or not _between(edges, 0.0, 1.0):
        raise ShapeError(f"edges must be one map of probabilities (0..1) per image, got {_seen(edges)}")
    return edges


def _labels(name: str, value: Array) -> Tensor:
    """Whole numbers, of whatever type they come in."""
    tensor = _tensor(name, value)
    if not tensor.is_floating_point():
        return tensor.to(torch.int64)
    whole = tensor.isfinite() & (tensor == tensor.round())
    if not bool(whole.all()):
        raise ShapeError(
            f"{name} must hold whole labels, got {float(tensor[~whole][0]):.4g}; take the argmax of scores, and any "
            "number beyond the classes (255) for void"
        )
    return tensor.double().clamp(-(2**31), 2**31).to(torch.int64)


def _valid(value: Array | None, maps: Tensor) -> Tensor:
    """Which of the maps are no padding."""
    if value is None:
        return torch.ones(maps.shape[:2], dtype=torch.bool, device=maps.device)
    tensor = _tensor("valid", value)
    if not bool(((tensor == 0) | (tensor == 1)).all()):
        raise ShapeError(
            "valid must hold True and False (or 1 and 0), got other numbers; compare them with a threshold"
        )
    if tensor.shape != maps.shape[:2] or not bool(tensor.bool().any(dim=1).all()):
        raise ShapeError(
            f"valid must be {tuple(maps.shape[:2])} (images, classes) as cams are, with at least one True per image; "
            f"got {tuple(tensor.shape)}"
        )
    return tensor.to(maps.device, torch.bool)


def _prior(value: Array, maps: Tensor, background: bool) -> Tensor:
    """Shares of the classes, of any unit."""
    tensor = _tensor("prior", value).to(maps.device, maps.dtype)
    expected = (maps.shape[0], maps.shape[1] + background)
    if tuple(tensor.shape) != expected or not bool((tensor.isfinite() & (tensor >= 0)).all()):
        raise ShapeError(f"prior must be {expected} (images, classes), all shares 0 or more; got {tuple(tensor.shape)}")
    return tensor


def _refuse_transposed(given: Mapping[str, Tensor | None], of: str, whole: Tensor) -> None:
    """Refuse maps whose axes are those of the whole in the other order."""
    height, width = whole.shape[-2:]
    for name, one in given.items():
        if one is None:
            continue
        u, v = one.shape[-2:]
        # By which factor the aspects differ, as it is and transposed; a side may be rounded by a cell.
        differs, turned = (abs(math.log(height * b / (width * a))) for a, b in ((u, v), (v, u)))
        rounding = 1 / min(u, v)
        if turned <= rounding and differs > 2 * rounding + _ASPECT:
            raise ShapeError(
                f"{name} are {u} x {v} (height x width), {of} {height} x {width}: their axes are swapped; transpose "
                "the last two"
            )


def _between(values: Tensor, low: float, high: float) -> bool:
    least, most = torch.aminmax(values)
    return bool(least >= low) and bool(most <= high)


def _seen(values: Tensor) -> str:
    least, most = torch.aminmax(values)
    return f"{tuple(values.shape)}, {float(least):.4g} to {float(most):.4g}"


def _tensor(name: str, value: Array) -> Tensor:
    """A tensor of real numbers; of arrays that torch refuses (``bgr[..., ::-1]``, big-endian), a copy."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("="))
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"{name} must be an array of real numbers ({error}); convert it to float32") from error
    if tensor.is_complex():
        raise ShapeError(f"{name} must be an array of real numbers, got {tensor.dtype}; take their absolute value")
    return tensor
