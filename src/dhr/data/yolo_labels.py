"""Read YOLO's label files: one line per object, its class and then shares of the photograph's width and height."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from dhr.data.classes import read_text
from dhr.data.outlines import Patch, Size
from dhr.data.painted import PaintedObject
from dhr.errors import DataError
from dhr.words import printable

_MOST = 100_000_000  # bytes of a label file
_LARGEST = 2.0  # share; larger ones are pixels


@dataclass(frozen=True, slots=True)
class Shares:
    """A polygon whose corners are shares of width and height; its edges belong to it."""

    corners: Float64[np.ndarray, "n 2"]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint as Ultralytics does; see :meth:`~dhr.data.painted.Outline.patch`."""
        try:
            import cv2
        except ImportError as error:
            raise ValueError("painting needs cv2, which is not installed; pip install 'dhr[formats]'") from error
        height, width = canvas
        points = np.floor(self.corners * [width, height]).astype(np.int64)
        if np.abs(np.diff(points, axis=0)).max(axis=1).sum() > 16 * height * width + 100 * (height + width):
            raise ValueError("the polygon repeats its path too often")
        left, top = np.clip(points.min(axis=0), 0, [width - 1, height - 1]).tolist()
        right, bottom = np.clip(points.max(axis=0) + 1, [left + 1, top + 1], [width, height]).tolist()
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [(points - [left, top]).astype(np.int32)], 1)
        return Patch(top, left, mask.astype(bool))


@dataclass(frozen=True)
class YoloLabels:
    """The content of a label file."""

    objects: tuple[PaintedObject, ...] = ()
    unread: str | None = None
    """The first line that is not understood."""


def read_yolo_labels(path: Path, labels: Mapping[int, int], keypoints: bool) -> YoloLabels:
    """Read a label file.

    ``labels`` maps its numbers to class ids. With ``keypoints``, lines are boxes and keypoints, without outlines.
    """
    try:
        lines = read_text(path, _MOST).splitlines()
    except DataError as error:
        return YoloLabels(unread=str(error))
    objects, unread = [], None
    for number, line in enumerate(lines, start=1):
        if words := line.split():
            try:
                objects.append(_object(words, labels, f"line {number}", keypoints))
            except ValueError as error:
                unread = unread or f"{path} line {number}: {error}"
    return YoloLabels(tuple(objects), unread)


def _object(words: Sequence[str], labels: Mapping[int, int], place: str, keypoints: bool) -> PaintedObject:
    try:
        number, values = float(words[0]), np.array([float(word) for word in words[1:]])
    except ValueError:
        raise ValueError(f"expected numbers, got {' '.join(words)[:60]!r},") from None
    if number not in labels:
        raise ValueError(f"an object of the class {printable(words[0])[:20]}, which does not exist,")
    if not (np.abs(values) <= _LARGEST).all():  # also where one is NaN
        raise ValueError("an object with coordinates outside 0..1 (shares of width and height)")
    label = labels[int(number)]
    if len(values) in (4, 5) or (keypoints and len(values) > 5):  # the fifth: how sure a network was
        return PaintedObject(label, (), place, missing="it is a box, which has no outline")
    if len(values) < 6:
        raise ValueError(f"an object of {len(values)} numbers (expected 4 for a box, 6 or more for a polygon)")
    corners = values[: len(values) // 2 * 2].reshape(-1, 2)
    return PaintedObject(label, (Shares(corners),), place)
