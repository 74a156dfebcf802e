"""How well the edges of masks meet those of the truth."""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64, Shaped, UInt8

from dhr.evaluate.kernels import find_edges, match_edges, settle

TOLERANCE = 0.0075
"""Distance, as a part of the photograph's diagonal, within which two edges meet (0.75 %, as in DAVIS: Perazzi et al.
2016, "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation")."""

VOID = 255


def boundary_matches(
    pred: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"], classes: int
) -> Int64[np.ndarray, "classes 4"]:
    """For each class: its edge pixels in the prediction, those of them that meet an edge of that class in the truth
    (at most :data:`TOLERANCE` away, rounded up to whole pixels), and both the other way round.

    An edge pixel of a class has a pixel of something else above, below, left or right of it. Void in the truth that is
    at most the tolerance away from what is labelled counts as labelled alike (:func:`settled`): the contours of VOC and
    many others are void bands, and would else not be looked at. In what void is left nothing is known: there is no edge
    in it, nor beside it. Void in the prediction is settled in the same way, so that masks with void bands are not worse
    for them along their contours, and the truth scores 1 against itself.

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
    """A mask with its void filled from all sides, one pixel at a time, as far as the tolerance goes.

    What is farther from any label stays void. The contour of two classes with a void band between them runs amid it.

    >>> settled(np.array([[0, 255, 255, 255, 255, 1]], np.uint8)).tolist()  # a tolerance of one pixel
    [[0, 0, 255, 255, 1, 1]]
    """
    void = int(np.count_nonzero(labels == VOID))
    labels = np.array(labels, order="C", copy=True if void else None)
    if void:
        places, ring = np.empty((2, void), np.int64)
        settle(labels, tolerance(*labels.shape), places, ring, np.empty(void, np.uint8))
    return labels


def tolerance(height: int, width: int) -> int:
    """:data:`TOLERANCE` in pixels, rounded up."""
    return math.ceil(TOLERANCE * math.hypot(height, width))


def f_score(edges: Shaped[np.ndarray, "*batch 4"]) -> Float64[np.ndarray, "*batch"]:
    """2 P R / (P + R) of counts that :func:`boundary_matches` made; NaN where there is no edge at all.

    P is the share of a class's predicted edge pixels that meet the truth's, R that of the truth's that meet the
    predicted: of the sums over all photographs. Where only one of both has edges it is 0.
    """
    predicted, met, true, recalled = np.moveaxis(edges.astype(np.float64), -1, 0)
    precision, recall = met / np.maximum(predicted, 1), recalled / np.maximum(true, 1)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return np.where(predicted + true > 0, score, np.nan)


def boundary_f(edges: Shaped[np.ndarray, "*batch classes 4"]) -> Float64[np.ndarray, "*batch"]:
    """Mean of :func:`f_score` over the classes that have an edge in the truth; NaN if none has."""
    there = edges[..., 2] > 0
    total = np.where(there, f_score(edges), 0.0).sum(-1)
    return np.where(there.any(-1), total / np.maximum(there.sum(-1), 1), np.nan)


@lru_cache(maxsize=64)
def _disk(radius: int) -> Int64[np.ndarray, "n 2"]:
    """Steps (down, right) to the pixels at most ``radius`` away, the nearest first."""
    away = np.arange(-radius, radius + 1)
    steps = np.argwhere(away[:, None] ** 2 + away**2 <= radius**2) - radius
    return np.ascontiguousarray(steps[np.argsort((steps**2).sum(1), kind="stable")])
