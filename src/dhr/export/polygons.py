"""Connected parts of a mask as polygons through the centres of their outermost pixels."""

import numpy as np
from jaxtyping import Bool, Int64

from dhr.export.libraries import library


def polygons(mask: Bool[np.ndarray, "h w"], holes: bool, min_area: int = 1) -> list[Int64[np.ndarray, "n 2"]]:
    """Return the outline of each connected part (8 neighbours) of at least ``min_area`` pixels: (x, y), three or more.

    Painted with its edges (``cv2.fillPoly``) it gives the part again: with ``holes`` all of it, without them the part
    with its holes filled. Holes are reached over bridges: the outline goes along a row of the mask to the hole, around
    it, and back the same way, so that the bridge has no area, and what is inside the hole is crossed twice.
    """
    cv2 = library("cv2")
    found, hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    contours = [contour[:, 0, :].astype(np.int64) for contour in found]  # each (n, 2)
    around = [int(entry[3]) for entry in hierarchy[0]] if contours else []  # for a hole its outline, else -1
    inside: dict[int, list[Int64[np.ndarray, "m 2"]]] = {}
    for contour, outer in zip(contours, around, strict=True):
        inside.setdefault(outer, []).append(contour)
    if min_area > 1:
        _, numbered, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        areas = statistics[:, cv2.CC_STAT_AREA]
    outlines = []
    for index, points in enumerate(contours):
        if around[index] >= 0 or (min_area > 1 and areas[numbered[points[0, 1], points[0, 0]]] < min_area):
            continue
        if holes:
            # From left to right: the mask's row ends, to the left of a hole's leftmost pixel, at the outside or at
            # another hole, which begins further left, and is part of the outline by then.
            for hole in sorted(inside.get(index, ()), key=lambda hole: (int(hole[:, 0].min()), int(hole[0, 1]))):
                points = _joined(points, hole, mask)
        corners = _corners(points)
        outlines.append(np.resize(corners, (3, 2)) if len(corners) < 3 else corners)
    return outlines


def _joined(
    points: Int64[np.ndarray, "n 2"], hole: Int64[np.ndarray, "m 2"], mask: Bool[np.ndarray, "h w"]
) -> Int64[np.ndarray, "k 2"]:
    first = int(hole[:, 0].argmin())
    x, y = (int(value) for value in hole[first])
    gaps = np.flatnonzero(~mask[y, :x])
    start = np.array([int(gaps[-1]) + 1 if gaps.size else 0, y])
    at = int(np.flatnonzero((points == start).all(axis=1))[0])
    around = np.concatenate([hole[first:], hole[: first + 1]])
    return np.concatenate([points[: at + 1], around, points[at:]])  # (n + m + 2, 2)


def _corners(points: Int64[np.ndarray, "n 2"]) -> Int64[np.ndarray, "k 2"]:
    """Without points at which the outline goes straight on."""
    before = np.sign(points - points[np.arange(len(points)) - 1])
    after = before[np.arange(1, len(points) + 1) % len(points)]
    straight = (before == after).all(axis=1)  # all steps are along a row, a column or a diagonal
    return points if straight.all() else points[~straight]
