"""Ground truth painted from the objects of an annotation file: outlines in, class ids out, for every reader.

A reader turns each annotation into a :class:`PaintedObject`; outlines are made by :func:`polygons`, :func:`box`,
:func:`ellipse`, :func:`rotated_box`, :class:`Runs` and :class:`Bitmap`, or by any class with a method ``patch``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32, Int64, UInt8

from dhr.data.ground_truth import NoGroundTruth
from dhr.data.images import MAX_PIXELS, as_stored, read_orientation
from dhr.data.samples import VOID
from dhr.errors import ItemError

Size = tuple[int, int]
"""Height and width in pixels."""

Number = int | float
_Orientation = Callable[[], int]
_LAYERS = 1_000  # how many times the objects of a photograph may cover it; more would take for ever to paint
_SMALL = 100_000  # pixels; photographs of fewer may be covered more often
_CORNERS = 256  # of an ellipse: off by 1/13,000 of its radius


@dataclass(frozen=True)
class Patch:
    """The pixels of an outline, within a box of the photograph."""

    top: int
    left: int
    mask: Bool[np.ndarray, "h w"]


@runtime_checkable
class Outline(Protocol):
    """Where an object is, in pixels of the picture that it was drawn on."""

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """The pixels of a picture of size ``canvas`` that it covers, where it was drawn on one of size ``drawn``.

        Raises:
            ValueError: it fits no picture of the size ``drawn``, or cannot be painted.
        """
        ...


@dataclass(frozen=True)
class Polygons:
    """Polygons whose union is the outline; each is x1, y1, x2, y2, ... with pixel centres at .5."""

    corners: tuple[Float[np.ndarray, " _"], ...]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Painted as pycocotools does; see :meth:`Outline.patch`."""
        from pycocotools import mask as run_lengths

        height, width = canvas
        scale = np.array([width / drawn[1], height / drawn[0]])
        points = [one.astype(np.float64).reshape(-1, 2) * scale for one in self.corners]
        low = np.min([one.min(axis=0) for one in points], axis=0)
        high = np.max([one.max(axis=0) for one in points], axis=0)
        if low.min() < -max(canvas) or high.max() > 2 * max(canvas):
            raise ValueError("a polygon lies far outside")
        for one in points:  # what the painting needs grows with the way around
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
    """Run lengths in a box, beginning with pixels that are not in the outline (perhaps 0 of them)."""

    lengths: Int64[np.ndarray, " n"]
    top: int
    left: int
    size: Size
    """Of the box."""
    by_column: bool
    """Whether runs go down the columns (COCO), or along the rows (CVAT)."""

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """The nearest pixels where the sizes differ; see :meth:`Outline.patch`."""
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
        """Without the lines before the first pixel and after the last: small objects cost no more than their pixels."""
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
    """A mask in a box; a reader whose files hold coded masks decodes them in ``patch`` of a class of its own."""

    mask: Bool[np.ndarray, "h w"]
    top: int = 0
    left: int = 0

    @property
    def size(self) -> Size:
        """Of the box."""
        return self.mask.shape[0], self.mask.shape[1]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """The nearest pixels where the sizes differ; see :meth:`Outline.patch`."""
        rows, columns = _nearest(self, drawn, canvas)
        return Patch(rows.first, columns.first, self.mask[np.ix_(rows.pixels, columns.pixels)])


def polygons(parts: Sequence[Any]) -> Polygons:
    """Check polygons, each a list of numbers x1, y1, x2, y2, ...; those of fewer than three points have no area.

    Raises:
        ValueError: there is no area in them, or something that is no finite number below a million.

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


def box(left: Number, top: Number, right: Number, bottom: Number) -> Polygons:
    """Make an outline of a box.

    Raises:
        ValueError: a number is not finite, or a million or more.
    """
    return rotated_box(left, top, right - left, bottom - top, 0)


def rotated_box(left: Number, top: Number, width: Number, height: Number, degrees: Number) -> Polygons:
    """Make an outline of a box that is turned clockwise around its left upper corner.

    Raises:
        ValueError: as :func:`box`.
    """
    return _turned(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), (width, height), degrees, (left, top))


def ellipse(x: Number, y: Number, radius_x: Number, radius_y: Number, degrees: Number = 0) -> Polygons:
    """Make an outline of an ellipse around (x, y), turned clockwise.

    Raises:
        ValueError: as :func:`box`.
    """
    angles = np.linspace(0.0, 2 * np.pi, _CORNERS, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _turned(circle, (radius_x, radius_y), degrees, (x, y))


@dataclass(frozen=True)
class PaintedObject:
    """One annotation: what it is, and where."""

    label: int
    """Class id; :data:`~dhr.data.samples.VOID` for a region that is not to be scored."""
    outlines: tuple[Outline, ...]
    """Together they are the object."""
    place: str
    """Where it stands in its file, for messages: an annotation's id, or a line."""
    drawn: Size | None = None
    """Height and width of the picture that it was drawn on; None: those of the photograph."""
    missing: str | None = None
    """Why it has no outline: the photograph is tagged with it, but has no ground truth."""
    layer: int = 0
    """Objects of a higher layer lie on those of a lower one, whatever their areas: some files say what is in front."""


@dataclass(frozen=True)
class PaintedGroundTruth:
    """The ground truth of one photograph, painted from its objects.

    Of the objects of a layer the one of the smallest area shows, so that what is small is not hidden; of equal areas
    the last. The area is counted in the photograph, whatever the file says. Void lies at the bottom.

    An object that was drawn on a picture of another size is scaled with it if the shape is the same, and turned where
    it was drawn on the photograph as it is stored, while EXIF says how to turn it upright.
    """

    source: Path
    """The annotation file, for messages."""
    image: Path
    objects: Sequence[PaintedObject]
    rest: int = 0
    """Label of pixels without an object: the background, or :data:`~dhr.data.samples.VOID` where there is none."""

    def read(self, shape: Size) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`.

        Raises:
            ItemError: an object has no outline, or one that does not fit the photograph.
        """
        labels = np.full(shape, self.rest, np.uint8)
        areas = np.full(shape, MAX_PIXELS + 1, np.int32)  # of the object that shows
        most, layer = _LAYERS * max(labels.size, _SMALL), None
        for one in sorted(self.objects, key=lambda one: one.layer):
            if one.layer != layer:
                areas[:], layer = MAX_PIXELS + 1, one.layer
                most -= labels.size
            try:
                most -= _paint(one, labels, areas, self._orientation)
            except (ValueError, TypeError, OverflowError) as error:
                reason = " ".join(str(error).split())
                raise ItemError(
                    f"{self.source} {one.place}: its outline does not fit the photograph {self.image.name} of "
                    f"{shape[1]}x{shape[0]} pixels ({reason}); correct it"
                ) from error
            if most < 0:
                raise ItemError(
                    f"{self.source}: the objects of {self.image.name} cover it over {_LAYERS} times; correct them"
                )
        return labels

    def _orientation(self) -> int:
        return read_orientation(self.image)


def painted(
    source: Path, image: Path, objects: Sequence[PaintedObject], rest: int = 0
) -> PaintedGroundTruth | NoGroundTruth:
    """Make the ground truth of a photograph; an object without outline leaves it without, and says why."""
    for one in objects:
        if one.missing is not None:
            return NoGroundTruth(f"{source} {one.place}: {one.missing}")
    return PaintedGroundTruth(source, image, objects, rest)


def _paint(
    one: PaintedObject, labels: UInt8[np.ndarray, "h w"], areas: Int32[np.ndarray, "h w"], orientation: _Orientation
) -> int:
    """Paint an object; returns how many pixels were looked at."""
    if one.missing is not None:
        raise ValueError(one.missing)
    drawn = one.drawn or (labels.shape[0], labels.shape[1])
    turn = _turn(drawn, (labels.shape[0], labels.shape[1]), orientation)
    labels, areas = as_stored(labels, turn), as_stored(areas, turn)  # views
    canvas = labels.shape[0], labels.shape[1]
    patches = [outline.patch(drawn, canvas) for outline in one.outlines]
    if not patches:
        return 0
    patch = patches[0] if len(patches) == 1 else _union(patches)
    height, width = patch.mask.shape
    window = np.s_[patch.top : patch.top + height, patch.left : patch.left + width]
    area = MAX_PIXELS if one.label == VOID else int(patch.mask.sum())
    shows = patch.mask & (area <= areas[window])
    labels[window][shows] = one.label
    areas[window][shows] = area
    return int(sum(each.mask.size for each in patches)) + 1


def _turn(drawn: Size, shape: Size, orientation: _Orientation) -> int:
    """EXIF orientation of the picture that an object was drawn on, 1 if it is the upright photograph.

    Raises:
        ValueError: the picture was of another shape than the photograph.
    """
    stored = shape[1], shape[0]
    if min(drawn) < 1:
        raise ValueError(f"it was drawn on {drawn[1]}x{drawn[0]} pixels")
    if drawn == shape or (drawn != stored and _alike(drawn, shape)):
        return 1
    if (drawn == stored or _alike(drawn, stored)) and (turn := orientation()) >= 5:
        return turn
    if _alike(drawn, shape):
        return 1
    raise ValueError(
        f"it was drawn on a picture of {drawn[1]}x{drawn[0]} pixels, which is of another shape; take the photograph "
        "that was annotated, or cut both in the same way"
    )


def _alike(drawn: Size, shape: Size) -> bool:
    """Whether two sizes have one shape, but for rounding to a pixel of the smaller."""
    (height, width), (high, wide) = sorted((drawn, shape))
    return abs(width - wide * height / high) <= 1 or abs(height - high * width / wide) <= 1


@dataclass(frozen=True)
class _Line:
    """Pixels of the photograph along one axis that a box covers: the first, and for each its pixel of the box."""

    first: int
    pixels: Int64[np.ndarray, " n"]


def _nearest(outline: "Runs | Bitmap", drawn: Size, canvas: Size) -> tuple[_Line, _Line]:
    """Rows and columns of the photograph that a box covers; ValueError where it leaves the picture."""
    places, sizes = (outline.top, outline.left), outline.size
    if any(place < 0 or place + size > most for place, size, most in zip(places, sizes, drawn, strict=True)):
        raise ValueError(f"its mask of {sizes[1]}x{sizes[0]} pixels at {places[1]},{places[0]} leaves the picture")
    made = []
    for place, size, most, wanted in zip(places, sizes, drawn, canvas, strict=True):
        nearest = (2 * np.arange(wanted) + 1) * most // (2 * wanted) - place
        inside = np.flatnonzero((nearest >= 0) & (nearest < size))
        made.append(_Line(int(inside[0]) if inside.size else 0, nearest[inside]))
    return made[0], made[1]


def _union(patches: Sequence[Patch]) -> Patch:
    top, left = min(one.top for one in patches), min(one.left for one in patches)
    bottom = max(one.top + one.mask.shape[0] for one in patches)
    right = max(one.left + one.mask.shape[1] for one in patches)
    mask = np.zeros((bottom - top, right - left), bool)
    for one in patches:
        height, width = one.mask.shape
        mask[one.top - top : one.top - top + height, one.left - left : one.left - left + width] |= one.mask
    return Patch(top, left, mask)


def _turned(
    points: Float64[np.ndarray, "n 2"], sizes: tuple[Number, Number], degrees: Number, place: tuple[Number, Number]
) -> Polygons:
    """Points in units of ``sizes``, turned clockwise around 0, then moved to ``place``."""
    if not all(abs(number) < 1e6 for number in (*sizes, degrees, *place)):  # also where one is NaN
        raise ValueError("expected numbers below a million")
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return polygons([((points * sizes) @ turn + place).ravel()])
