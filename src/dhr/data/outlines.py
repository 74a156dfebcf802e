"""Outlines of objects: polygons, run lengths and bitmaps, and the pixels that they cover."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int64

Size = tuple[int, int]
"""Height and width in pixels."""

Number = int | float
_CORNERS = 256  # of an ellipse: off by 1/13,000 of its radius


@dataclass(frozen=True)
class Patch:
    """The pixels of an outline, within a box of the photograph."""

    top: int
    left: int
    mask: Bool[np.ndarray, "h w"]


@runtime_checkable
class Outline(Protocol):
    """The place of an object, in pixels of the picture on which it was drawn."""

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Return its pixels in a picture of size ``canvas``, if it was drawn on one of size ``drawn``.

        Raises ValueError if it does not fit the size ``drawn``, or cannot be painted.
        """
        ...


@dataclass(frozen=True)
class Polygons:
    """Polygons whose union is the outline; each is x1, y1, x2, y2, ... with pixel centres at .5."""

    corners: tuple[Float[np.ndarray, " _"], ...]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint as pycocotools does; see :meth:`Outline.patch`."""
        from pycocotools import mask as run_lengths

        height, width = canvas
        scale = np.array([width / drawn[1], height / drawn[0]])
        points = [one.astype(np.float64).reshape(-1, 2) * scale for one in self.corners]
        low = np.min([one.min(axis=0) for one in points], axis=0)
        high = np.max([one.max(axis=0) for one in points], axis=0)
        if low.min() < -max(canvas) or high.max() > 2 * max(canvas):
            raise ValueError("a polygon lies far outside")
        for one in points:  # time and memory of the painting grow with the way around
            if np.abs(np.diff(one, axis=0, append=one[:1])).max(axis=1).sum() > 4 * height * width + 100 * sum(canvas):
                raise ValueError("a polygon repeats its path too often")
        # Painted in a box of its own, so that many small objects cost no more than their pixels.
        left, top = (int(value) for value in np.clip(np.floor(low) - 1, 0, [width - 1, height - 1]))
        right, bottom = (int(value) for value in np.clip(np.ceil(high) + 1, [left + 1, top + 1], [width, height]))
        moved = [(one - [left, top]).ravel().tolist() for one in points]
        size = bottom - top, right - left
        coded = run_lengths.merge(run_lengths.frPyObjects(moved, *size))
        return Patch(top, left, run_lengths.decode(coded).astype(bool))


@dataclass(frozen=True)
class Runs:
    """Run lengths in a box, beginning with pixels outside the outline (perhaps 0 of them)."""

    lengths: Int64[np.ndarray, " n"]
    top: int
    left: int
    size: Size
    """Of the box."""
    by_column: bool
    """Whether runs go down the columns (COCO), or along the rows (CVAT)."""

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Take the nearest pixels if the sizes differ; see :meth:`Outline.patch`."""
        height, width = self.size
        if self.lengths.sum() != height * width or (self.lengths < 0).any():
            raise ValueError(f"its run lengths add up to {self.lengths.sum()} pixels, not {width}x{height}")
        _nearest(self, drawn, canvas)
        box = self._trimmed()
        rows, columns = _nearest(box, drawn, canvas)
        lines, across, length = (columns, rows, height) if self.by_column else (rows, columns, width)
        if drawn == canvas:
            mask = np.repeat(np.arange(len(box.lengths)) % 2 == 1, box.lengths).reshape(-1, length)
        else:  # never as many pixels as were drawn: those may be far more than the photograph's
            ends, mask = np.cumsum(box.lengths), np.empty((len(lines.pixels), len(across.pixels)), bool)
            for line, place in zip(mask, lines.pixels, strict=True):
                line[:] = np.searchsorted(ends, place * length + across.pixels, side="right") % 2 == 1
        return Patch(rows.first, columns.first, mask.T if self.by_column else mask)

    def _trimmed(self) -> "Runs":
        """Drop lines before the first pixel and after the last: small objects take no more than their pixels."""
        length = self.size[0] if self.by_column else self.size[1]
        ends = np.cumsum(self.lengths)
        drawn = np.flatnonzero(self.lengths[1::2]) * 2 + 1
        if not drawn.size:
            return replace(self, lengths=np.zeros(0, np.int64), size=(0, 0))
        start, stop = int(ends[drawn[0] - 1]) // length, -(-int(ends[drawn[-1]]) // length)
        lengths = np.diff(np.clip(ends, start * length, stop * length), prepend=start * length)
        if self.by_column:
            return replace(self, lengths=lengths, left=self.left + start, size=(length, stop - start))
        return replace(self, lengths=lengths, top=self.top + start, size=(stop - start, length))


@dataclass(frozen=True)
class Bitmap:
    """A mask in a box; readers of coded masks decode them in ``patch`` of a class of their own."""

    mask: Bool[np.ndarray, "h w"]
    top: int = 0
    left: int = 0

    @property
    def size(self) -> Size:
        """Height and width of the box."""
        return self.mask.shape[0], self.mask.shape[1]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Take the nearest pixels if the sizes differ; see :meth:`Outline.patch`."""
        rows, columns = _nearest(self, drawn, canvas)
        return Patch(rows.first, columns.first, self.mask[np.ix_(rows.pixels, columns.pixels)])


def polygons(parts: Sequence[Any]) -> Polygons:
    """Check polygons, each a list of numbers x1, y1, x2, y2, ...; those of fewer than three points have no area.

    Raises ValueError if none has an area, or a number is not finite or not below a million.

    >>> len(polygons([[0, 0, 4, 0, 4, 4], [1, 1, 2, 2]]).corners)
    1
    """
    found = []
    for one in parts:
        if not isinstance(one, (list, tuple, np.ndarray)) or len(one) % 2:
            raise ValueError("expected polygons x1, y1, x2, y2, x3, y3, ...")
        plain = isinstance(one, np.ndarray) or all(type(value) in (int, float) for value in one)
        numbers = np.asarray(one, None if plain else object)
        if len(one) and (numbers.dtype.kind not in "if" or not (np.abs(numbers) < 1e6).all()):  # also where it is NaN
            raise ValueError("expected polygons of numbers below a million")
        if len(one) >= 6:
            found.append(numbers.astype(np.float32))
    if not found:
        raise ValueError("it has no polygon of three points or more")
    return Polygons(tuple(found))


def ellipse(x: Number, y: Number, radius_x: Number, radius_y: Number, degrees: Number = 0) -> Polygons:
    """Make an outline of an ellipse around (x, y), turned clockwise; raises ValueError as :func:`polygons`."""
    if not all(abs(number) < 1e6 for number in (x, y, radius_x, radius_y, degrees)):  # also where one is NaN
        raise ValueError("expected numbers below a million")
    angles = np.linspace(0.0, 2 * np.pi, _CORNERS, endpoint=False)
    across, down, angle = radius_x * np.cos(angles), radius_y * np.sin(angles), np.deg2rad(degrees)
    points = [x + across * np.cos(angle) - down * np.sin(angle), y + across * np.sin(angle) + down * np.cos(angle)]
    return polygons([np.stack(points, axis=1).ravel()])


@dataclass(frozen=True)
class _Line:
    """The pixels of the photograph along one axis that a box covers: the first, and the pixel of the box for each."""

    first: int
    pixels: Int64[np.ndarray, " n"]


def _nearest(outline: "Runs | Bitmap", drawn: Size, canvas: Size) -> tuple[_Line, _Line]:
    """Return rows and columns of the photograph that a box covers; raise ValueError if it leaves the picture."""
    places, sizes = (outline.top, outline.left), outline.size
    if any(place < 0 or place + size > most for place, size, most in zip(places, sizes, drawn, strict=True)):
        raise ValueError(f"its mask of {sizes[1]}x{sizes[0]} pixels at {places[1]},{places[0]} leaves the picture")
    made = []
    for place, size, most, wanted in zip(places, sizes, drawn, canvas, strict=True):
        nearest = (2 * np.arange(wanted) + 1) * most // (2 * wanted) - place
        inside = np.flatnonzero((nearest >= 0) & (nearest < size))
        made.append(_Line(int(inside[0]) if inside.size else 0, nearest[inside]))
    return made[0], made[1]


def union(patches: Sequence[Patch]) -> Patch:
    """Join patches; one patch or more."""
    top, left = min(one.top for one in patches), min(one.left for one in patches)
    bottom = max(one.top + one.mask.shape[0] for one in patches)
    right = max(one.left + one.mask.shape[1] for one in patches)
    mask = np.zeros((bottom - top, right - left), bool)
    for one in patches:
        height, width = one.mask.shape
        mask[one.top - top : one.top - top + height, one.left - left : one.left - left + width] |= one.mask
    return Patch(top, left, mask)
