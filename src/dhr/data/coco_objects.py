"""Objects of COCO annotations, painted into a mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from dhr.data.images import MAX_PIXELS
from dhr.data.samples import VOID
from dhr.errors import ItemError


@dataclass(frozen=True)
class CocoObject:
    """One annotation: what it is, and where."""

    label: int
    """Class id; :data:`~dhr.data.samples.VOID` for a crowd."""
    area: float
    shape: tuple[np.ndarray, ...] | dict[str, Any]
    """Polygons, each x1, y1, x2, y2, ... in pixels (float32), or run lengths as pycocotools takes them."""
    line: int
    """Where it stands in the file."""


def coco_object(annotation: dict[str, Any], label: int, line: int) -> CocoObject:
    """An annotation, checked as far as it can be without the photograph.

    Raises:
        ValueError: it has no outline that can be painted.
    """
    outline, crowd = annotation.get("segmentation"), annotation.get("iscrowd", 0)
    area = annotation.get("area", 0.0)
    if crowd not in (0, 1) or not isinstance(area, (int, float)):
        raise ValueError("expected iscrowd 0 or 1, and a number as area")
    shape: tuple[np.ndarray, ...] | dict[str, Any]
    if isinstance(outline, list):
        shape = tuple(_polygon(one) for one in outline)
    elif isinstance(outline, dict) and isinstance(outline.get("counts"), (list, str)):
        shape = {"size": outline.get("size"), "counts": _counts(outline["counts"])}
    else:
        raise ValueError("expected a segmentation of polygons or run lengths")
    return CocoObject(VOID if crowd else label, float(area), shape, line)


def _counts(counts: list[Any] | str) -> np.ndarray | str:
    if isinstance(counts, str):
        return counts
    if not all(isinstance(one, int) and 0 <= one <= MAX_PIXELS for one in counts):
        raise ValueError("expected run lengths as whole numbers from 0")
    return np.array(counts, np.int64)


def _polygon(points: Any) -> np.ndarray:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        raise ValueError("expected polygons x1, y1, x2, y2, x3, y3, ...")
    numbers = np.array(points, None if all(type(one) in (int, float) for one in points) else object)
    if numbers.dtype.kind not in "if" or not (np.abs(numbers) < 1e6).all():  # also where there is a NaN
        raise ValueError("expected polygons of numbers below a million")
    return numbers.astype(np.float32)


@dataclass(frozen=True)
class PaintedTruth:
    """The truth of one photograph, painted from its objects.

    Larger objects lie below smaller ones, so that what is small is not hidden; crowds lie at the bottom, and are void.
    """

    source: Path
    objects: Sequence[CocoObject]

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """Class ids, 0 where there is no object, and 255 for crowds.

        Raises:
            ItemError: an outline does not fit the photograph.
        """
        labels = np.zeros(shape, np.uint8)
        for one in sorted(self.objects, key=lambda one: (one.label != VOID, -one.area)):
            try:
                labels[_inside(one.shape, shape)] = one.label
            except (ValueError, TypeError, KeyError) as error:
                raise ItemError(
                    f"{self.source} line {one.line}: the outline of an object does not fit its photograph of "
                    f"{shape[1]}x{shape[0]} pixels ({' '.join(str(error).split())}); correct it"
                ) from error
        return labels


def _inside(outline: tuple[np.ndarray, ...] | dict[str, Any], shape: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    from pycocotools import mask as run_lengths

    height, width = shape
    if isinstance(outline, tuple):
        for polygon in outline:  # far outside, the painting would take for ever
            if polygon.min() < -max(shape) or polygon.max() > 2 * max(shape):
                raise ValueError("a polygon lies far outside")
        if not outline:
            return np.zeros(shape, bool)
        coded = run_lengths.merge(run_lengths.frPyObjects([polygon.tolist() for polygon in outline], height, width))
        outline = {"size": [height, width], "counts": coded["counts"].decode("ascii")}
    if outline["size"] != [height, width]:
        raise ValueError(f"its run lengths are of size {outline['size']}, height first")
    counts = outline["counts"]
    if isinstance(counts, str):
        counts = _run_lengths(counts)
    if counts.sum() != height * width or (counts < 0).any():
        raise ValueError(f"its run lengths add up to {counts.sum()} pixels")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T  # COCO counts down the columns


def _run_lengths(text: str) -> np.ndarray:
    """Run lengths of COCO's compressed text: base 32, least digit first, differences to the last but one.

    Decoded here, as the library's decoder trusts the numbers, and would write where they lead.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text.encode("ascii", "replace"):
        digit = character - 48
        if not 0 <= digit < 64 or shift > 35:
            raise ValueError("its run lengths are damaged")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("its run lengths end in the middle")
    return np.array(counts, np.int64)
