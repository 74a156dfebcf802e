"""Objects that another program found in a photograph, and the checks that all readers share."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dhr.data.outlines import Outline, Patch, Size, union
from dhr.parsing import as_number

FILES = (".json", ".jsonl", ".xml", ".txt", ".yaml", ".yml")
"""Files of objects, and of their classes."""
_LEAST_OUTSIDE, _OUTSIDE = 2.0, 0.02  # pixels, and share of a side, by which a box may leave the picture
_SCORE = 1.1  # SAM's estimated IoU can exceed 1


@dataclass(frozen=True, slots=True)
class Found:
    """One object."""

    label: str
    """The name that the program gave it."""
    outline: Outline
    score: float = 1.0
    """0..1."""
    place: str = ""
    """Its place in the file, for messages."""
    drawn: Size | None = None
    """Height and width of the picture that it was drawn on; None: those of the photograph."""


@dataclass(frozen=True)
class Objects:
    """All objects of a photograph."""

    source: str
    """The file, for messages."""
    found: tuple[Found, ...]
    notes: tuple[str, ...] = ()
    """Facts on the file, each without a name or number, so that equal ones are counted."""


@runtime_checkable
class ObjectFolder(Protocol):
    """A folder of objects, in one format."""

    def strays(self, known: Collection[str]) -> list[str]:
        """Name the entries that belong to none of the photographs ``known``."""

    def read(self, name: str) -> Objects:
        """Return the objects of a photograph.

        Raises:
            ItemError: the folder does not name it, or its objects cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Box:
    """A box, which is filled: corners in pixels of the picture it was drawn on."""

    left: float
    top: float
    right: float
    bottom: float
    units: Size | None = None
    """If given, the corners are shares of this height and width, whatever the picture's size."""

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Fill at least one pixel; raise ValueError if the box leaves the picture."""
        height, width = self.units or drawn
        for low, high, side in ((self.left, self.right, width), (self.top, self.bottom, height)):
            outside = max(_LEAST_OUTSIDE, _OUTSIDE * side)
            if low < -outside or high > side + outside:
                raise ValueError(f"its box {self._text()} leaves the picture of {width}x{height} pixels")
        rows = _span(self.top, self.bottom, height, canvas[0])
        columns = _span(self.left, self.right, width, canvas[1])
        return Patch(rows[0], columns[0], np.ones((rows[1] - rows[0], columns[1] - columns[0]), bool))

    def _text(self) -> str:
        return f"{self.left:g},{self.top:g},{self.right:g},{self.bottom:g}"


def _span(low: float, high: float, side: int, pixels: int) -> tuple[int, int]:
    """Return the pixels whose centres lie between two places of a side; the nearest pixel if there is none."""
    first = min(max(int(np.ceil(low * pixels / side - 0.5)), 0), pixels - 1)
    return first, min(max(int(np.ceil(high * pixels / side - 0.5)), first + 1), pixels)


def box(values: Any, units: Size | None = None, wide: bool = False) -> Box:
    """Check a box: left, top, right, bottom; with ``wide`` left, top, width, height.

    Raises ValueError if it is something else, or has no area.
    """
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise ValueError(f"expected a box of four numbers, got {str(values)[:60]}")
    left, top, right, bottom = (as_number(one, -1e6, 1e6, "box") for one in values)
    if wide:
        right, bottom = left + right, top + bottom
    if not (left < right and top < bottom):
        raise ValueError(f"expected a box with an area, got {str(values)[:60]}")
    return Box(left, top, right, bottom, units)


def score(value: Any) -> float:
    """Check a score; None, of objects that a person drew, is 1. A list of one score is that score.

    Raises ValueError if it is something else, or not within 0..1 (SAM's estimates may exceed 1 a little).

    >>> score(0.25), score([0.5]), score(None), score(1.02)
    (0.25, 0.5, 1.0, 1.0)
    """
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return 1.0 if value is None else min(as_number(value, 0, _SCORE, "score"), 1.0)


@dataclass(frozen=True, slots=True)
class Parts:
    """Several outlines whose union is one object."""

    outlines: tuple[Outline, ...]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint all; see :meth:`~dhr.data.outlines.Outline.patch`."""
        return union([one.patch(drawn, canvas) for one in self.outlines])
