"""Adds up masks, one photograph at a time, and turns the sums into scores."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8

from dhr.data.samples import ClassTable, Sample
from dhr.evaluate.boundary import boundary_f, boundary_matches
from dhr.evaluate.scores import ClassScore, ImageScore, Scores
from dhr.ops.confusion import confusion

# Pixels counted at once. The counting needs about 40 bytes a pixel, and a scan may have 10^8 pixels. Above 2^15 pixels
# torch also splits each operation among threads, which on a busy machine takes far longer than the counting.
_STRIP = 1 << 15


class Tally:
    """The running sums: as large as the classes are many; of a photograph only its name and one number stay."""

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        count = len(classes.names)
        self._matrix = np.zeros((count, count + 1), dtype=np.int64)
        self._edges = np.zeros((count, 4), dtype=np.int64)
        self._minor_sum, self._minor_pairs = 0.0, 0
        self._vanished, self._tagged_pairs = 0, 0
        self._images: list[ImageScore] = []

    def add(self, sample: Sample, pred: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"]) -> None:
        """Count one photograph: labels are class ids, or 255 for void."""
        matrix = _matrix(pred, truth, len(self._classes.names))
        self._matrix += matrix
        self._edges += boundary_matches(pred, truth, len(self._classes.names))
        pixels = matrix.sum(1)  # (C,)
        labelled = int(pixels.sum())
        iou = _iou(matrix)
        self._images.append(ImageScore(sample.name, _mean(iou, pixels > 0)))

        # Integers, so that a class of exactly 10 % or 0.5 % is on the right side.
        minor = (pixels > 0) & (10 * pixels < labelled)
        minor[: self._classes.foreground.start] = False
        self._minor_sum += float(iou[minor].sum())
        self._minor_pairs += int(minor.sum())

        for tag in sample.tags:
            if labelled and 200 * int(pixels[tag]) >= labelled:
                self._tagged_pairs += 1
                self._vanished += not (matrix[:, tag].any() or (pred == tag).any())

    def scores(self, missing: Sequence[str] = (), extra: Sequence[str] = (), without_truth: int = 0) -> Scores:
        """The scores of what was added; the arguments are handed through."""
        matrix, count = self._matrix, len(self._classes.names)
        iou = _iou(matrix)
        truth, hits, predicted = matrix.sum(1), np.diagonal(matrix), matrix.sum(0)[:count]  # (C,) each
        others = truth.sum() - truth
        present = truth > 0
        return Scores(
            miou=_mean(iou, present),
            minor_iou=_ratio(self._minor_sum, self._minor_pairs),
            pixel_accuracy=_ratio(int(hits.sum()), int(truth.sum())),
            false_positive_rate=_mean((predicted - hits) / np.maximum(others, 1), present & (others > 0)),
            false_negative_rate=_mean((truth - hits) / np.maximum(truth, 1), present),
            boundary_f=boundary_f(self._edges),
            vanished=_ratio(self._vanished, self._tagged_pairs),
            minor_pairs=self._minor_pairs,
            tagged_pairs=self._tagged_pairs,
            per_class=tuple(
                ClassScore(name, float(iou[index]), int(truth[index]), int(predicted[index]))
                for index, name in enumerate(self._classes.names)
            ),
            per_image=tuple(self._images),
            missing=tuple(missing),
            extra=tuple(extra),
            without_truth=without_truth,
        )


def _matrix(
    pred: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"], classes: int
) -> Int64[np.ndarray, "classes columns"]:
    rows = max(1, _STRIP // max(1, pred.shape[1]))
    total = torch.zeros(classes, classes + 1, dtype=torch.int64)
    for top in range(0, pred.shape[0], rows):
        total += confusion(torch.tensor(pred[top : top + rows]), torch.tensor(truth[top : top + rows]), classes)
    return total.numpy()


def _iou(matrix: Int64[np.ndarray, "classes columns"]) -> Float64[np.ndarray, " classes"]:
    hits = np.diagonal(matrix)
    union = matrix.sum(1) + matrix.sum(0)[: len(hits)] - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def _mean(values: Float64[np.ndarray, " classes"], where: Bool[np.ndarray, " classes"]) -> float:
    return float(values[where].mean()) if where.any() else float("nan")


def _ratio(part: float | int, whole: int) -> float:
    return part / whole if whole else float("nan")
