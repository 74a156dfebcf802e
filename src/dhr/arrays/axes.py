"""Finds arrays with swapped axes by the aspect of the images."""

import math
from collections.abc import Mapping

from torch import Tensor

from dhr.errors import ShapeError

_ASPECT = math.log(1.2)  # smallest difference of aspects, beyond rounding, at which axes count as swapped


def refuse_swapped(given: Mapping[str, Tensor | None], of: str, whole: Tensor) -> None:
    """Refuse maps that have the aspect of the images or the grid only with their axes in another order.

    Args:
        given: maps by name, with height and width last.
        of: name of the whole, for the message: "images are", "the grid is".
        whole: its last two axes are height and width.

    Raises:
        ShapeError: height and width are swapped, or the channels are last.
    """
    height, width = whole.shape[-2:]
    for name, one in given.items():
        if one is None:
            continue
        u, v = one.shape[-2:]
        if _fits(u, v, height, width):
            continue
        if _agrees(v, u, height, width):
            raise ShapeError(
                f"{name} are {u} x {v} (height x width), {of} {height} x {width}: their axes are swapped; transpose "
                "the last two"
            )
        # Square grids are common, whatever the aspect of the images.
        if one.ndim == 4 and height != width and u != v and _agrees(one.shape[1], u, height, width):
            raise ShapeError(
                f"{name} are {tuple(one.shape)}, {of} {height} x {width}: their channels seem to be last; "
                "expected (images, channels, height, width): np.moveaxis(x, -1, 1)"
            )


def _difference(u: int, v: int, height: int, width: int) -> float:
    """Return the logarithm of the ratio of two aspects."""
    return abs(math.log(height * v / (width * u)))


def _fits(u: int, v: int, height: int, width: int) -> bool:
    """Return whether an aspect is near that of the whole; a side may be rounded by a cell."""
    return _difference(u, v, height, width) <= 2 / min(u, v) + _ASPECT


def _agrees(u: int, v: int, height: int, width: int) -> bool:
    """Return whether an aspect is that of the whole, apart from rounding."""
    return _difference(u, v, height, width) <= 1 / min(u, v)
