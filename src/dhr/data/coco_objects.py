"""Read annotations of COCO files: ids and outlines in any form."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from dhr.data.image_files import MAX_PIXELS
from dhr.data.outlines import Outline, Patch, Runs, Size, polygons
from dhr.data.painted import PaintedObject
from dhr.words import printable

Identity = int | str
"""An id as it is compared: 7, 7.0 and "7" are one."""

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.0+)?")


def identity(value: Any) -> Identity | None:
    """Return an id as it is compared; None if it identifies nothing.

    >>> identity(7.0), identity("7"), identity("a.jpg"), identity(True), identity(float("nan"))
    (7, 7, 'a.jpg', None, None)
    """
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else text or None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if abs(value) < float("inf") and value == int(value) else None


def place_of(value: dict[str, Any], line: int, kind: str = "annotation") -> str:
    """Name an element for messages: by its line, and by its id, as many files have one line only.

    >>> place_of({"id": 12}, 1)
    'line 1 (annotation 12)'
    """
    number = identity(value.get("id"))
    return f"line {line}" + ("" if number is None else f" ({kind} {printable(str(number))[:80]})")


def whole_size(height: Any, width: Any) -> Size | None:
    """Return height and width as whole numbers; None unless a picture can have them."""
    found = identity(height), identity(width)
    if not all(isinstance(one, int) and one >= 1 for one in found) or found[0] * found[1] > MAX_PIXELS:  # type: ignore[operator]
        return None
    return int(found[0] or 0), int(found[1] or 0)


def is_crowd(annotation: dict[str, Any]) -> bool | None:
    """Read ``iscrowd``; None for other values than 0 and 1."""
    value = annotation.get("iscrowd")
    return bool(value) if value is None or isinstance(value, bool) else {0: False, 1: True}.get(identity(value))  # type: ignore[arg-type]


def coco_object(annotation: dict[str, Any], label: int, place: str, drawn: Size | None) -> PaintedObject:
    """Make an object of an annotation, as far as that is possible without the photograph.

    ``place`` is for messages; ``drawn`` is the picture's size according to the file (run lengths have their own).
    """
    try:
        if is_crowd(annotation) is None:
            raise ValueError("expected iscrowd 0 or 1")
        outlines, size = _outlines(annotation.get("segmentation"))
    except ValueError as error:
        return PaintedObject(label, (), place, drawn, str(error))
    return PaintedObject(label, outlines, place, size or drawn)


def _outlines(segmentation: Any) -> tuple[tuple[Outline, ...], Size | None]:
    if segmentation is None:
        raise ValueError("it has no segmentation, so its outline is not known")
    if isinstance(segmentation, dict):
        runs, size = _runs(segmentation)
        return (runs,), size
    if not isinstance(segmentation, list):
        raise ValueError("expected a segmentation of polygons or run lengths")
    if not segmentation:
        raise ValueError("its segmentation is empty, so its outline is not known")
    if isinstance(segmentation[0], dict):  # a list of run lengths
        parts = [_runs(one) for one in segmentation]
        if len({size for _, size in parts}) > 1:
            raise ValueError("its run lengths are of several sizes")
        return tuple(runs for runs, _ in parts), parts[0][1]
    flat = all(type(one) in (int, float) for one in segmentation)  # a polygon without the list around it
    return (polygons([segmentation] if flat else segmentation),), None


def _runs(value: Any) -> tuple["Runs | CodedRuns", Size]:
    size, counts = (value.get("size"), value.get("counts")) if isinstance(value, dict) else (None, None)
    if not isinstance(counts, (list, str)):
        raise ValueError("expected a segmentation of polygons or run lengths")
    whole = whole_size(*size) if isinstance(size, list) and len(size) == 2 else None
    if whole is None:
        raise ValueError(f"its run lengths are of size {printable(str(size))[:40]}; expected height and width")
    if isinstance(counts, str):
        return CodedRuns(counts, whole), whole
    if not all(isinstance(one, int) and 0 <= one <= MAX_PIXELS for one in counts):
        raise ValueError("expected run lengths as whole numbers from 0")
    return Runs(np.array(counts, np.int64), 0, 0, whole, by_column=True), whole


@dataclass(frozen=True, slots=True)
class CodedRuns:
    """COCO's compressed run lengths, as they are in the file."""

    counts: str
    size: Size

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Decode and paint; see :meth:`~dhr.data.painted.Outline.patch`."""
        return Runs(run_lengths(self.counts), 0, 0, self.size, by_column=True).patch(drawn, canvas)


def run_lengths(text: str) -> Int64[np.ndarray, " n"]:
    """Decode COCO's compressed text: base 32, lowest digit first, differences to the last but one.

    This decoder does not trust the numbers; the library's would write wherever they point. Raises ValueError if the
    text is damaged.
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
