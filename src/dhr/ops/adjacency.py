"""The regions of a mask, and which classes touch them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy.typing import NDArray

from dhr.errors import ShapeError


@dataclass(frozen=True)
class Regions:
    """The regions of one mask, in the order of their first pixels."""

    labels: Int64[NDArray[Any], " n"]
    """Class of each."""
    areas: Int64[NDArray[Any], " n"]
    """Pixels of each."""
    touches: Bool[NDArray[Any], "n 256"]
    """Other classes within the contact distance of each region."""

    def merged(self) -> "Regions":
        """Return one region per class: all of its pixels in the mask."""
        labels, which = np.unique(self.labels, return_inverse=True)
        areas = np.zeros(len(labels), np.int64)
        np.add.at(areas, which, self.areas)
        touches = np.zeros((len(labels), 256), bool)
        np.logical_or.at(touches, which, self.touches)
        return Regions(labels, areas, touches)


@dataclass(frozen=True)
class Contact:
    """Pixels of one mask, or sums over many."""

    foreground: float
    """Of all regions."""
    adjacent: float
    """Of the regions that touch another class."""
    inter_only: float
    """Of those that touch classes of other super-classes only: USS features alone can part them from all of these."""
    inter_shared: float
    """Of those that touch another class, times the share of other super-classes among the classes touched."""
    inter_any: float
    """Of those that touch some class of another super-class."""

    def __add__(self, other: "Contact") -> "Contact":
        return Contact(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def find_regions(
    mask: UInt8[NDArray[Any], "h w"], foreground: Bool[NDArray[Any], "256"], contact: float | int
) -> Regions:
    """Connected regions (8 neighbours) of each foreground class, and the foreground classes that touch each.

    A class touches a region if one of its pixels lies at most ``contact`` pixels from one of the region's, centre to
    centre, whatever lies between: masks often have a line of void, or of background, where two objects meet. 1 is two
    pixels side by side.

    Raises:
        ShapeError: ``contact`` is not in 1..1000.

    >>> mask = np.array([[1, 1, 0, 2, 0, 1]], dtype=np.uint8)
    >>> foreground = np.arange(256) > 0
    >>> bool(find_regions(mask, foreground, 1).touches.any())
    False
    >>> regions = find_regions(mask, foreground, 2)
    >>> regions.labels.tolist(), regions.areas.tolist(), regions.touches[:, 2].tolist()
    ([1, 2, 1], [2, 1, 1], [True, False, True])
    """
    from dhr.ops.adjacency_kernels import measure_regions, number_regions

    if not 1 <= contact <= 1000:
        raise ShapeError(f"the contact distance must be 1 to 1000 pixels, got {contact}")
    mask = np.ascontiguousarray(mask)
    numbers, count = np.empty(mask.shape, np.int64 if mask.size > 2**31 - 3 else np.int32), np.zeros(1, np.int64)
    number_regions(mask, foreground, numbers, count)
    away = np.arange(-int(contact), int(contact) + 1)
    dy, dx = np.nonzero(away[:, None] ** 2 + away**2 <= contact**2)
    labels, areas = np.zeros((2, count[0]), np.int64)
    touches = np.zeros((count[0], 256), bool)
    measure_regions(mask, foreground, numbers, away[dy], away[dx], labels, areas, touches)
    return Regions(labels, areas, touches)


def contact_areas(regions: Regions, supers: Sequence[int] | Int64[NDArray[Any], "256"]) -> Contact:
    """Compute the areas in contact; ``supers`` has the number of the super-class of each of 256 labels.

    >>> mask = np.array([[1, 1, 1, 2, 3]], dtype=np.uint8)
    >>> supers = [0, 1, 1, 2, *range(4, 256)]  # 1 and 2 are one super-class
    >>> contact_areas(find_regions(mask, np.arange(256) > 0, 1), supers)
    Contact(foreground=5.0, adjacent=5.0, inter_only=1.0, inter_shared=1.5, inter_any=2.0)
    """
    upper = np.asarray(supers)
    across = regions.touches & (upper[regions.labels][:, None] != upper)
    all_touching = regions.touches.sum(1)
    share: Float64[NDArray[Any], " n"] = across.sum(1) / np.maximum(all_touching, 1)
    areas = regions.areas
    return Contact(
        foreground=float(areas.sum()),
        adjacent=float(areas[all_touching > 0].sum()),
        inter_only=float(areas[(all_touching > 0) & (share == 1)].sum()),
        inter_shared=float((areas * share).sum()),
        inter_any=float(areas[share > 0].sum()),
    )


def contact_pairs(regions: Regions, classes: int) -> Int64[NDArray[Any], "classes classes"]:
    """Return pixels of the regions of class i that touch class j, i first; on the diagonal, all pixels of class i."""
    found = np.zeros((classes, classes), np.int64)
    np.add.at(found, regions.labels, regions.areas[:, None] * regions.touches[:, :classes])
    np.add.at(found, (regions.labels, regions.labels), regions.areas)
    return found
