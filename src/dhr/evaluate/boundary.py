"""How well the edges of masks meet those of the truth."""

import math

import numpy as np
from jaxtyping import Bool, Int64, UInt8

TOLERANCE = 0.0075
"""Distance, as a part of the photograph's diagonal, within which two edges meet (0.75 %, as in DAVIS: Perazzi et al.
2016, "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation")."""

VOID = 255


def boundary_matches(
    pred: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"], classes: int
) -> Int64[np.ndarray, "classes 4"]:
    """For each class: its edge pixels in the prediction, those of them that meet an edge of that class in the truth
    (at most :data:`TOLERANCE` away, rounded up to whole pixels), and both the other way round.

    An edge pixel of a class has a pixel of something else above, below, left or right of it. Where the truth is void
    nothing is known: there is no edge in it, nor beside it.

    >>> truth = np.zeros((8, 8), np.uint8); truth[:, 4:] = 1
    >>> boundary_matches(truth, truth, 2).tolist()
    [[8, 8, 8, 8], [8, 8, 8, 8]]
    """
    height, width = truth.shape
    radius = math.ceil(TOLERANCE * math.hypot(height, width))
    away = np.arange(-radius, radius + 1)
    dy, dx = np.nonzero(away[:, None] ** 2 + away**2 <= radius**2)
    stride = width + 2 * radius
    disk = (dy - radius) * stride + dx - radius  # from a pixel to those around it, in a padded mask

    edges = [_edges(np.where(truth == VOID, VOID, labels).astype(np.uint8)) for labels in (pred, truth)]
    found = np.zeros((classes, 4), dtype=np.int64)
    for label in np.union1d(pred, truth):
        if label >= classes:
            continue
        places = []
        for labels, edge in zip((pred, truth), edges, strict=True):
            y, x = np.nonzero(edge & (labels == label) & (truth != VOID))
            places.append((y + radius) * stride + x + radius)
        for side, (own, other) in enumerate((places, places[::-1])):
            near = np.zeros((height + 2 * radius) * stride, dtype=bool)
            near[(other[:, None] + disk).ravel()] = True
            found[label, 2 * side : 2 * side + 2] = len(own), near[own].sum()
    return found


def boundary_f(matches: Int64[np.ndarray, "classes 4"]) -> float:
    """Mean, over the classes that have an edge in the truth, of 2 P R / (P + R); NaN if none has.

    P is the share of a class's predicted edge pixels that meet the truth's, R that of the truth's that meet the
    predicted: of the sums over all photographs. A class whose edges are nowhere predicted has 0.
    """
    predicted, met, true, recalled = matches.T.astype(np.float64)
    precision, recall = met / np.maximum(predicted, 1), recalled / np.maximum(true, 1)
    score = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return float(score[true > 0].mean()) if (true > 0).any() else math.nan


def _edges(labels: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Pixels beside one of another label, neither of them void."""
    edge = np.zeros(labels.shape, dtype=bool)
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (labels[first] != labels[second]) & (labels[first] != VOID) & (labels[second] != VOID)
        edge[first] |= differ
        edge[second] |= differ
    return edge
