"""Paint the objects of a photograph as maps of its classes."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float32

from dhr.data.objects.record import Found, Objects
from dhr.data.outlines import Size
from dhr.errors import ItemError
from dhr.words import one_line

_LAYERS = 1_000  # how often the objects of a photograph may cover it; more would take too long to paint
_SMALL = 100_000  # pixels; smaller photographs may be covered more often


def paint(
    objects: Objects, classes: Sequence[int | None], wanted: Sequence[int], size: Size, canvas: Size
) -> Float32[np.ndarray, "k h w"]:
    """Return one map per class in ``wanted``: the highest score of its objects at each pixel, 0 without an object.

    Args:
        objects: the objects of the photograph.
        classes: the class id of each object; None if it is not painted.
        wanted: class ids.
        size: height and width of the photograph.
        canvas: height and width of the maps.

    Raises:
        ItemError: an object was drawn on a picture of other proportions, leaves the picture, or cannot be painted.
    """
    maps = np.zeros((len(wanted), *canvas), np.float32)
    most = _LAYERS * max(canvas[0] * canvas[1], _SMALL)
    for one, label in zip(objects.found, classes, strict=True):
        if label not in wanted:
            continue
        _check_size(one, objects.source, size)
        try:
            patch = one.outline.patch(one.drawn or size, canvas)
        except (ValueError, TypeError, OverflowError) as error:
            raise ItemError(f"{objects.source} {one.place}: {one_line(error)}; correct it") from error
        most -= patch.mask.size + 1
        if most < 0:
            raise ItemError(f"{objects.source}: its objects cover the photograph over {_LAYERS} times; correct them")
        height, width = patch.mask.shape
        window = maps[wanted.index(label), patch.top : patch.top + height, patch.left : patch.left + width]
        np.maximum(window, np.float32(one.score), out=window, where=patch.mask)
    return maps


def present(objects: Iterable[Found], classes: Iterable[int | None]) -> set[int]:
    """Return the classes that have an object with a score above 0."""
    pairs = zip(objects, classes, strict=True)
    return {label for one, label in pairs if label is not None and one.score > 0}


def _check_size(found: Found, source: str, size: Size) -> None:
    """Refuse a picture of other proportions than the photograph's, except for rounding to a pixel of the smaller."""
    drawn = found.drawn or size
    (height, width), (high, wide) = sorted((drawn, size))
    if abs(width - wide * height / high) <= 1 or abs(height - high * width / wide) <= 1:
        return
    raise ItemError(
        f"{source} {found.place}: it was drawn on a picture of {drawn[1]}x{drawn[0]} pixels, the photograph has "
        f"{size[1]}x{size[0]}; take the photograph that the program saw"
    )
