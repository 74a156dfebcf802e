"""The sums that one photograph adds to the scores."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from dhr.data.samples import ClassTable
from dhr.evaluate.boundary import boundary_matches
from dhr.evaluate.kernels import count_pixels

COLUMNS = (
    "truth", "predicted", "hits", "edges", "edges_met", "true_edges", "true_edges_met",
    "minor_sum", "minor_pairs", "vanished", "tagged", "photographs",
)  # fmt: skip
"""Columns of :func:`class_sums`, one line per class:

``truth``, ``predicted``, ``hits``: labelled pixels of the class, predicted as the class, and both; ``edges`` to
``true_edges_met``: see :func:`~dhr.evaluate.boundary.boundary_matches`; ``minor_sum``, ``minor_pairs``: IoU within the
photograph, and 1, if the class is minor; ``vanished``, ``tagged``: 1 if it vanished, and if it could have;
``photographs``: 1 if the ground truth has the class."""


@dataclass(frozen=True)
class Counts:
    """The prediction of a photograph against its ground truth."""

    matrix: Int64[np.ndarray, "classes columns"]
    """Labelled pixels by true class and prediction; the last column counts predictions that are not a class."""
    edges: Int64[np.ndarray, "classes 4"]
    """See :func:`~dhr.evaluate.boundary.boundary_matches`."""
    seen: Int64[np.ndarray, "256"]
    """Pixels by predicted label, including those whose ground truth is void."""

    def packed(self) -> tuple[list[int], list[int]]:
        """Return the numbers that are not 0, after their places."""
        whole = np.concatenate([self.matrix.ravel(), self.edges.ravel(), self.seen])
        places = np.flatnonzero(whole)
        return places.tolist(), whole[places].tolist()

    @staticmethod
    def unpacked(places: list[int], values: list[int], classes: int) -> "Counts":
        """Return the counts that :meth:`packed` gave."""
        first, second = classes * (classes + 1), classes * (classes + 5)
        whole = np.zeros(second + 256, np.int64)
        whole[places] = values
        matrix, edges = whole[:first].reshape(classes, classes + 1), whole[first:second].reshape(classes, 4)
        return Counts(matrix, edges, whole[second:])


def count(pred: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"], classes: int) -> Counts:
    """Compare two masks of the same size: class ids below ``classes``, or 255 for void.

    >>> count(np.array([[0, 1, 255]], np.uint8), np.array([[0, 0, 1]], np.uint8), classes=2).matrix.tolist()
    [[1, 1, 0], [0, 0, 1]]
    """
    matrix, seen = np.zeros((classes, classes + 1), np.int64), np.zeros(256, np.int64)
    count_pixels(np.ascontiguousarray(pred), np.ascontiguousarray(truth), matrix, seen)
    return Counts(matrix, boundary_matches(pred, truth, classes), seen)


def class_sums(counts: Counts, tags: tuple[int, ...], classes: ClassTable) -> Float64[np.ndarray, "classes 12"]:
    """Return the sums of one photograph, from which all scores follow; columns are :data:`COLUMNS`."""
    truth, predicted, hits = pixels(counts.matrix)
    labelled = int(truth.sum())
    sums = np.zeros((len(classes.names), len(COLUMNS)))
    sums[:, 0], sums[:, 1], sums[:, 2] = truth, predicted, hits
    sums[:, 3:7] = counts.edges
    # Integers, so that a class of exactly 10 % or 0.5 % is on the right side.
    minor = (truth > 0) & (10 * truth < labelled)
    minor[: classes.foreground.start] = False
    sums[minor, 7] = image_iou(counts)[minor]
    sums[minor, 8] = 1
    tagged = np.zeros(len(truth), dtype=bool)
    tagged[list(tags)] = True
    tagged &= (200 * truth >= labelled) & (labelled > 0)
    sums[:, 9] = tagged & (counts.seen[: len(truth)] == 0)
    sums[:, 10] = tagged
    sums[:, 11] = truth > 0
    return sums


def pixels(
    matrix: Int64[np.ndarray, "classes columns"],
) -> tuple[Int64[np.ndarray, " classes"], Int64[np.ndarray, " classes"], Int64[np.ndarray, " classes"]]:
    """Return the pixels of each class in the ground truth, in the prediction, and in both."""
    return matrix.sum(1), matrix.sum(0)[: len(matrix)], np.diagonal(matrix)


def image_iou(counts: Counts) -> Float64[np.ndarray, " classes"]:
    """Return the IoU of each class within the photograph; NaN for classes in neither mask."""
    truth, predicted, hits = pixels(counts.matrix)
    union = truth + predicted - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def image_miou(counts: Counts) -> float:
    """Compute the mean of :func:`image_iou` over the classes of the ground truth; NaN if it is entirely void."""
    there = counts.matrix.any(1)
    return float(image_iou(counts)[there].mean()) if there.any() else float("nan")
