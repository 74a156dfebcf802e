"""Paint ground truth from the objects of an annotation file, for all readers.

A reader turns each annotation into a :class:`PaintedObject` with outlines of :mod:`dhr.data.outlines`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from dhr.data.ground_truth import NoGroundTruth
from dhr.data.image_files import MAX_PIXELS
from dhr.data.images import as_stored, read_orientation
from dhr.data.outlines import Outline, Size, union
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ItemError
from dhr.words import one_line

_Orientation = Callable[[], int]
_LAYERS = 1_000  # how often the objects of a photograph may cover it; more would take too long to paint
_SMALL = 100_000  # pixels; photographs of fewer may be covered more often


@dataclass(frozen=True)
class PaintedObject:
    """One annotation: its class and its place."""

    label: int
    """Class id; :data:`~dhr.data.samples.VOID` for a region that is not to be scored."""
    outlines: tuple[Outline, ...]
    """Parts of the object."""
    place: str
    """Its place in the file, for messages: an annotation's id, or a line."""
    drawn: Size | None = None
    """Height and width of the picture that it was drawn on; None: those of the photograph."""
    missing: str | None = None
    """Why it has no outline: the photograph is tagged with it, but has no ground truth."""
    layer: int = 0
    """Objects of a higher layer lie on those of a lower one, whatever their areas: some files have an order."""


@dataclass(frozen=True)
class PaintedGroundTruth:
    """The ground truth of one photograph, painted from its objects.

    Within a layer the object with the smallest area is on top, so that small objects are not hidden; of equal areas the
    last. The area is counted in the photograph. Void lies at the bottom.

    An object drawn on a picture of another size is scaled if the proportions are the same, and turned if it was drawn
    on the stored photograph and EXIF says how to turn that upright.
    """

    source: Path
    """The annotation file, for messages."""
    image: Path
    objects: Sequence[PaintedObject]
    rest: int = 0
    """Label of pixels without an object: the background, or :data:`~dhr.data.samples.VOID` without one."""

    def read(self, shape: Size) -> UInt8[np.ndarray, "h w"]:
        """Return class ids and :data:`~dhr.data.samples.VOID`.

        Raises ItemError if an object has no outline, or one that does not fit the photograph.
        """
        labels = np.full(shape, self.rest, np.uint8)
        areas = np.full(shape, MAX_PIXELS + 1, np.int32)  # of the object that shows
        most, layer = _LAYERS * max(labels.size, _SMALL), None
        for one in sorted(self.objects, key=lambda one: one.layer):
            if one.layer != layer:
                areas[:], layer = MAX_PIXELS + 1, one.layer
                most -= labels.size
            try:
                most -= _paint(one, labels, areas, lambda: read_orientation(self.image))
            except (ValueError, TypeError, OverflowError) as error:
                reason = one_line(error)
                raise ItemError(
                    f"{self.source} {one.place}: its outline does not fit the photograph {self.image.name} of "
                    f"{shape[1]}x{shape[0]} pixels ({reason}); correct it"
                ) from error
            if most < 0:
                raise ItemError(
                    f"{self.source}: the objects of {self.image.name} cover it over {_LAYERS} times; correct them"
                )
        return labels


def painted(
    source: Path, image: Path, objects: Sequence[PaintedObject], classes: ClassTable
) -> PaintedGroundTruth | NoGroundTruth:
    """Make the ground truth of a photograph; an object without outline leaves it without, with the reason."""
    for one in objects:
        if one.missing is not None:
            return NoGroundTruth(f"{source} {one.place}: {one.missing}")
    return PaintedGroundTruth(source, image, objects, 0 if classes.background else VOID)


def _paint(
    one: PaintedObject, labels: UInt8[np.ndarray, "h w"], areas: Int32[np.ndarray, "h w"], orientation: _Orientation
) -> int:
    """Paint an object; return the number of pixels that were looked at."""
    if one.missing is not None:
        raise ValueError(one.missing)
    drawn = one.drawn or (labels.shape[0], labels.shape[1])
    turn = _turn(drawn, (labels.shape[0], labels.shape[1]), orientation)
    labels, areas = as_stored(labels, turn), as_stored(areas, turn)  # views
    canvas = labels.shape[0], labels.shape[1]
    patches = [outline.patch(drawn, canvas) for outline in one.outlines]
    if not patches:
        return 0
    patch = patches[0] if len(patches) == 1 else union(patches)
    height, width = patch.mask.shape
    window = np.s_[patch.top : patch.top + height, patch.left : patch.left + width]
    area = MAX_PIXELS if one.label == VOID else int(patch.mask.sum())
    shows = patch.mask & (area <= areas[window])
    labels[window][shows] = one.label
    areas[window][shows] = area
    return int(sum(each.mask.size for each in patches)) + 1


def _turn(drawn: Size, shape: Size, orientation: _Orientation) -> int:
    """Return the EXIF orientation of the picture that an object was drawn on, 1 for the upright photograph.

    Raises ValueError if the picture had other proportions than the photograph.
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
    """Tell whether two sizes have the same proportions, except for rounding to a pixel of the smaller."""
    (height, width), (high, wide) = sorted((drawn, shape))
    return abs(width - wide * height / high) <= 1 or abs(height - high * width / wide) <= 1
