"""CAMs in all accepted forms: one array, a list with one array or dictionary per image, or IRN's dictionaries."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.arrays.values import Array, as_tensor
from dhr.errors import ShapeError

Cams = Array | Mapping[Any, Any] | Sequence[Any]
"""An array (b, k, u, v); a dictionary of one image; or a list with one (k, u, v) or dictionary per image."""

_MAPS = ("high_res", "cam", "cams")


def pad_classes(cams: Sequence[Array | Mapping[Any, Any]]) -> tuple[Float[Tensor, "b k u v"], Bool[Tensor, "b k"]]:
    """Stack the CAMs of images with different numbers of tags; return padded maps, and which of them are real.

    Args:
        cams: one (k_i, u, v) array or dictionary of maps per image, all of one grid.

    Raises:
        ShapeError: the list is empty, or the grids differ.

    >>> maps, valid = pad_classes([torch.ones(1, 4, 4), torch.ones(3, 4, 4)])
    >>> maps.shape, valid.tolist()
    (torch.Size([2, 3, 4, 4]), [[True, False, False], [True, True, True]])
    """
    if not isinstance(cams, Sequence | np.ndarray | Tensor) or isinstance(cams, str):
        raise ShapeError(f"cams must be a list with one array or dictionary per image; got {type(cams).__name__}")
    tensors = [_of_one(one) for one in cams]
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


def stacked(cams: Cams, valid: Array | None) -> tuple[Tensor, Array | None]:
    """Return the CAMs of all images in one tensor, and which of its maps are real.

    Raises:
        ShapeError: they cannot be stacked, or ``valid`` is given for a list or dictionary, which shows it itself.
    """
    if isinstance(cams, np.ndarray) and cams.dtype == object and cams.ndim == 0:
        cams = cams.item()  # np.load of a dictionary
    each: Any = cams
    many = isinstance(cams, list | tuple) and all(isinstance(one, Mapping | np.ndarray | Tensor) for one in cams)
    if not many and not isinstance(cams, Mapping):
        return as_tensor("cams", each), valid
    images: Any = [cams] if isinstance(cams, Mapping) else each
    if len(images) and all(isinstance(one, np.ndarray | Tensor) and one.ndim == 4 for one in images):
        raise ShapeError("cams is a list of arrays of 4 dimensions; concatenate them: np.concatenate(cams)")
    if valid is not None:
        raise ShapeError("valid is given, but cams is a list or dictionary, without any padding; leave valid out")
    return pad_classes(images)


def _of_one(cams: Array | Mapping[Any, Any]) -> Tensor:
    """Return the maps (k, u, v) of one image, in the order of a dictionary."""
    if isinstance(cams, np.ndarray) and cams.dtype == object and cams.ndim == 0:
        cams = cams.item()
    if not isinstance(cams, Mapping):
        return as_tensor("cams", cams)
    if "keys" in cams or any(name in cams for name in _MAPS):
        found = [name for name in _MAPS if cams.get(name) is not None]
        if not found:
            raise ShapeError(f"cams has the keys {_keys(cams)}, but no {', '.join(_MAPS)}; give {{class: map}}")
        maps = as_tensor(f"cams[{found[0]!r}]", cams[found[0]])
        if "keys" in cams and len(maps) != len(cams["keys"]):
            count = len(cams["keys"])
            raise ShapeError(f"cams has {count} keys, but {len(maps)} maps in {found[0]!r}; give one map per key")
        return maps
    if not cams:
        raise ShapeError("cams is an empty dictionary; every image needs at least one tag")
    single = [as_tensor(f"cams[{key!r}]", value) for key, value in cams.items()]
    shapes = {tuple(one.shape) for one in single}
    if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
        raise ShapeError(f"cams must be {{class: map (height, width)}} of one size, got maps of {sorted(shapes)[:5]}")
    return torch.stack(single)


def _keys(cams: Mapping[Any, Any]) -> str:
    return ", ".join(map(repr, list(cams)[:5]))
