"""Agreement of the edges of masks with those of the ground truth."""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64, Shaped, UInt8

from dhr.evaluate.kernels import find_edges, match_edges, settle

TOLERANCE = 0.0075
"""Distance, as a share of the photograph's diagonal, within which two edges meet (0.75 %, as in DAVIS: Perazzi et al.
2016, "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation")."""

VOID = 255


def boundary_matches(
    pred: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"], classes: int
) -> Int64[np.ndarray, "classes 4"]:
    """Count, for each class, its predicted edge pixels, those that meet an edge of the class in the ground truth (at
    most :data:`TOLERANCE` away, rounded up to whole pixels), and both the other way round.

    An edge pixel of a class has a pixel of another label above, below, left or right of it. Void within the tolerance
    of labelled pixels gets their labels first (:func:`settled`), because contours of VOC and many others are void
    bands, where edges would otherwise be ignored. The rest of void has no edge in it or beside it. Void in the
    prediction is settled too, so void bands along contours cost nothing, and ground truth scores 1 against itself.

    >>> truth = np.zeros((8, 8), np.uint8); truth[:, 4:] = 1
    >>> boundary_matches(truth, truth, 2).tolist()
    [[8, 8, 8, 8], [8, 8, 8, 8]]
    """
    truth, pred = settled(truth), settled(pred)
    away = _disk(tolerance(*truth.shape))
    own, other = np.empty_like(truth), np.empty_like(truth)
    find_edges(pred, truth, own)
    find_edges(truth, truth, other)
    found = np.zeros((classes, 4), dtype=np.int64)
    match_edges(own, other, away, found, 0)
    match_edges(other, own, away, found, 2)
    return found


def settled(labels: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Fill void from all sides, one pixel at a time, up to the tolerance.

    Void farther from any label stays void. The contour of two classes runs through the middle of a void band.

    >>> settled(np.array([[0, 255, 255, 255, 255, 1]], np.uint8)).tolist()  # a tolerance of one pixel
    [[0, 0, 255, 255, 1, 1]]
    """
    void = int(np.count_nonzero(labels == VOID))
    labels = np.array(labels, order="C") if void else np.ascontiguousarray(labels)
    if void:
        places, ring = np.empty((2, void), np.int64)
        settle(labels, tolerance(*labels.shape), places, ring, np.empty(void, np.uint8))
    return labels


def tolerance(height: int, width: int) -> int:
    """:data:`TOLERANCE` in pixels, rounded up."""
    return math.ceil(TOLERANCE * math.hypot(height, width))


def f_score(edges: Shaped[np.ndarray, "*batch 4"]) -> Float64[np.ndarray, "*batch"]:
    """Compute 2 P R / (P + R) of counts of :func:`boundary_matches`; NaN without any edge.

    P is the share of predicted edge pixels that meet edges of the ground truth, R the share of the ground truth's edge
    pixels that meet predicted ones, of the sums over all photographs. It is 0 if only one of both has edges.
    """
    predicted, met, true, recalled = np.moveaxis(edges.astype(np.float64), -1, 0)
    precision, recall = met / np.maximum(predicted, 1), recalled / np.maximum(true, 1)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return np.where(predicted + true > 0, score, np.nan)


def boundary_f(edges: Shaped[np.ndarray, "*batch classes 4"]) -> Float64[np.ndarray, "*batch"]:
    """Compute the mean :func:`f_score` of the classes with an edge in the ground truth; NaN without such a class."""
    there = edges[..., 2] > 0
    total = np.where(there, f_score(edges), 0.0).sum(-1)
    return np.where(there.any(-1), total / np.maximum(there.sum(-1), 1), np.nan)


@lru_cache(maxsize=64)
def _disk(radius: int) -> Int64[np.ndarray, "n 2"]:
    """Return the steps (down, right) to pixels at most ``radius`` away, nearest first."""
    away = np.arange(-radius, radius + 1)
    steps = np.argwhere(away[:, None] ** 2 + away**2 <= radius**2) - radius
    return np.ascontiguousarray(steps[np.argsort((steps**2).sum(1), kind="stable")])
