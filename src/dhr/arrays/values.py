"""Converts arrays of any kind to tensors of the expected kind; errors are one line."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dhr.errors import ShapeError

Array = Tensor | np.ndarray[Any, np.dtype[Any]]


def as_floats(name: str, value: Array, like: Tensor) -> Tensor:
    """Return a finite tensor of 4 dimensions, in at least single precision, on the device of ``like``."""
    dtype = like.dtype if like.is_floating_point() and like.dtype.itemsize >= 4 else torch.float32
    tensor = as_tensor(name, value).to(like.device, dtype)
    if tensor.ndim != 4:
        hint = f"; for one image give {name}[None]" if tensor.ndim == 3 else ""
        raise ShapeError(
            f"{name} must have 4 dimensions (images, channels, height, width), got {tuple(tensor.shape)}{hint}"
        )
    if 0 in tensor.shape:
        raise ShapeError(f"{name} must not be empty, got {tuple(tensor.shape)}")
    if not bool(torch.isfinite(tensor).all()):
        raise ShapeError(f"{name} hold NaN or infinity; every value must be finite")
    return tensor


def as_rgb(value: Array, like: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Return images (b, 3, h, w) in 0..1 from channels first or last; ``size`` decides if both fit."""
    given = as_tensor("images", value).dtype
    images = as_floats("images", value, like)
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


def as_edges(value: Array, like: Tensor) -> Tensor:
    """Return class boundaries, one map per image."""
    edges = as_floats("edges", value, like)
    if edges.shape[1] != 1 or not _between(edges, 0.0, 1.0):
        raise ShapeError(f"edges must be one map of probabilities (0..1) per image, got {_seen(edges)}")
    return edges


def as_labels(name: str, value: Array) -> Tensor:
    """Return whole numbers of any type as int64."""
    tensor = as_tensor(name, value)
    if not tensor.is_floating_point():
        return tensor.to(torch.int64)
    whole = tensor.isfinite() & (tensor == tensor.round())
    if not bool(whole.all()):
        raise ShapeError(
            f"{name} must hold whole labels, got {float(tensor[~whole][0]):.4g}; take the argmax of scores, and any "
            "number beyond the classes (255) for void"
        )
    return tensor.double().clamp(-(2**31), 2**31).to(torch.int64)


def as_valid(value: Array | None, maps: Tensor) -> Tensor:
    """Return which of the maps are real; False for padding."""
    if value is None:
        return torch.ones(maps.shape[:2], dtype=torch.bool, device=maps.device)
    tensor = as_tensor("valid", value)
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


def as_prior(value: Array, maps: Tensor, background: bool) -> Tensor:
    """Return shares of the classes, in any unit."""
    tensor = as_tensor("prior", value).to(maps.device, maps.dtype)
    expected = (maps.shape[0], maps.shape[1] + background)
    if tuple(tensor.shape) != expected or not bool((tensor.isfinite() & (tensor >= 0)).all()):
        raise ShapeError(f"prior must be {expected} (images, classes), all shares 0 or more; got {tuple(tensor.shape)}")
    return tensor


def _between(values: Tensor, low: float, high: float) -> bool:
    least, most = torch.aminmax(values)
    return bool(least >= low) and bool(most <= high)


def _seen(values: Tensor) -> str:
    least, most = torch.aminmax(values)
    return f"{tuple(values.shape)}, {float(least):.4g} to {float(most):.4g}"


def as_tensor(name: str, value: Array | None) -> Tensor:
    """Return a tensor of real numbers; arrays that torch refuses (``bgr[..., ::-1]``, big-endian) are copied."""
    if value is None:
        raise ShapeError(f"{name} is None; give an array")
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("="))
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"{name} must be an array of real numbers ({error}); convert it to float32") from error
    if tensor.is_complex():
        raise ShapeError(f"{name} must be an array of real numbers, got {tensor.dtype}; take their absolute value")
    return tensor
