"""A mask in the form of annotation formats: one binary mask per class or connected part."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from dhr.data.samples import VOID, ClassTable
from dhr.export.libraries import library


@dataclass(frozen=True)
class Part:
    """A class, or one connected part of it, within its bounding box."""

    label: int
    """Class id."""
    top: int
    """First row of the box."""
    left: int
    """First column of the box."""
    mask: Bool[np.ndarray, "h w"]
    """Within the box: its first and last row and column have a pixel each."""

    def whole(self, height: int, width: int) -> Bool[np.ndarray, "height width"]:
        """Return the same in the whole image."""
        canvas = np.zeros((height, width), dtype=bool)
        canvas[self.top : self.top + self.mask.shape[0], self.left : self.left + self.mask.shape[1]] = self.mask
        return canvas


def parts(labels: UInt8[np.ndarray, "h w"], classes: ClassTable, instances: bool, min_area: int = 1) -> Iterator[Part]:
    """Yield the parts to annotate, by class id; background and void are left out.

    With ``instances`` each connected part (8 neighbours) of a class is one of its own, from top to bottom; parts of
    fewer than ``min_area`` pixels are left out then.
    """
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    for label in present.tolist():
        if label == VOID or label not in classes.foreground:
            continue
        top, left, box = _cropped(labels == label)
        if not instances:
            yield Part(label, top, left, box)
            continue
        cv2 = library("cv2")
        count, numbered, boxes, _ = cv2.connectedComponentsWithStats(box.view(np.uint8), connectivity=8)
        for index in range(1, count):
            x, y, width, height, area = (int(value) for value in boxes[index])
            if area < min_area:
                continue
            yield Part(label, top + y, left + x, numbered[y : y + height, x : x + width] == index)


def _cropped(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, Bool[np.ndarray, "h2 w2"]]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, np.ascontiguousarray(mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1])


def runs(mask: Bool[np.ndarray, "h w"]) -> list[int]:
    """Return the lengths of the runs of a mask row by row; the first run lies outside the mask and may be 0.

    >>> runs(np.array([[True, False, False], [False, True, True]]))
    [0, 1, 3, 2]
    """
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths: list[int] = np.diff(edges, prepend=0, append=flat.size).tolist()
    return [0, *lengths] if flat[0] else lengths
