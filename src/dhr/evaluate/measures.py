"""Scores from sums: the same function for a data set and for its bootstrap resamplings."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from dhr.evaluate.boundary import boundary_f, f_score

Array = Float64[np.ndarray, "..."]


@dataclass(frozen=True)
class Measures:
    """Scores by name, fractions in 0..1; NaN without anything to score."""

    whole: dict[str, Array]
    """(*batch,) each; the names are fields of :class:`~dhr.evaluate.scores.Scores`."""
    by_class: dict[str, Array]
    """(*batch, classes) each; the names are fields of :class:`~dhr.evaluate.scores.ClassScore`."""


def measures(sums: Float64[np.ndarray, "*batch classes 12"]) -> Measures:
    """Compute all scores from sums of :func:`~dhr.evaluate.counts.class_sums` over photographs.

    A class that is neither in the ground truth nor in the predictions has NaN everywhere; one that is only predicted
    has IoU 0. Means are over the classes in the ground truth.

    A new score is a line here and a name in :data:`~dhr.evaluate.scores.WHOLE` or
    :data:`~dhr.evaluate.scores.BY_CLASS`, with a field of the class there.
    """
    truth, predicted, hits = (sums[..., column] for column in range(3))
    union, known = truth + predicted - hits, truth.sum(-1, keepdims=True)
    others, there = known - truth, truth > 0
    by_class = {
        "iou": _ratio(hits, union),
        "accuracy": _ratio(hits, truth),
        "precision": _ratio(hits, predicted),
        "false_positive_rate": np.where(union > 0, _ratio(predicted - hits, others), np.nan),
        "false_negative_rate": _ratio(truth - hits, truth),
        "boundary_f": f_score(sums[..., 3:7]),
        "minor_iou": _ratio(sums[..., 7], sums[..., 8]),
        "vanished": _ratio(sums[..., 9], sums[..., 10]),
    }
    whole = {
        "miou": _mean(by_class["iou"], there),
        "minor_iou": _ratio(_sum(sums[..., 7]), _sum(sums[..., 8])),
        "pixel_accuracy": _ratio(_sum(hits), _sum(truth)),
        "mean_accuracy": _mean(by_class["accuracy"], there),
        "false_positive_rate": _mean(by_class["false_positive_rate"], there & (others > 0)),
        "false_negative_rate": _mean(by_class["false_negative_rate"], there),
        "boundary_f": boundary_f(sums[..., 3:7]),
        "vanished": _ratio(_sum(sums[..., 9]), _sum(sums[..., 10])),
    }
    return Measures(whole, by_class)


def _ratio(part: Shaped[np.ndarray, "*batch"], whole: Shaped[np.ndarray, "*batch"]) -> Float64[np.ndarray, "*batch"]:
    # Not max(whole, 1): sums of fractions can lie below one.
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def _mean(
    values: Float64[np.ndarray, "*batch classes"], where: Bool[np.ndarray, "*batch classes"]
) -> Float64[np.ndarray, "*batch"]:
    return _ratio(_sum(np.where(where, values, 0.0)), _sum(where))


def _sum(values: Shaped[np.ndarray, "*batch classes"]) -> Shaped[np.ndarray, "*batch"]:
    return np.asarray(values.sum(-1))  # of one axis NumPy makes a scalar
