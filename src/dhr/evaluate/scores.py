"""The scores of a set of masks: fractions in 0..1; percent appear in :meth:`Scores.to_json` only."""

import math
from dataclasses import dataclass
from typing import Any

_NAMED = 10  # names of missing and extra masks that the JSON spells out


@dataclass(frozen=True)
class ClassScore:
    """One class over the whole data set. Pixels whose truth is void are not counted anywhere."""

    name: str
    iou: float
    """TP / (TP + FP + FN); NaN if the class is neither in the truth nor in the predictions."""
    truth_pixels: int
    predicted_pixels: int


@dataclass(frozen=True)
class ImageScore:
    """One photograph."""

    name: str
    miou: float
    """Mean, over the classes of its truth, of their IoU within the photograph; NaN if its truth is void throughout."""


@dataclass(frozen=True)
class Scores:
    """The scores of a set of masks; a mean over nothing is NaN."""

    miou: float
    """Mean IoU of VOC: from one confusion matrix of the data set, over the classes that are in the truth."""
    minor_iou: float
    """Mean, over the pairs (photograph, class) where the class, not the background, covers more than 0 and less than
    10 % of the photograph's labelled pixels, of the IoU of that class within that photograph."""
    pixel_accuracy: float
    """Share of the labelled pixels that carry their class."""
    false_positive_rate: float
    """Mean, over the classes in the truth, of the share of other classes' pixels that carry it, FP / (FP + TN)."""
    false_negative_rate: float
    """Mean, over the classes in the truth, of the share of its pixels that do not carry it, FN / (FN + TP)."""
    boundary_f: float
    """Mean, over the classes with an edge in the truth, of the F-score of their edge pixels, which meet within 0.75 %
    of the photograph's diagonal (:func:`dhr.evaluate.boundary.boundary_f`)."""
    vanished: float
    """Share of the tagged pairs (photograph, class) with at least 0.5 % of the labelled pixels in truth, whose class
    has no pixel in the predicted mask."""
    minor_pairs: int
    """Pairs behind :attr:`minor_iou`."""
    tagged_pairs: int
    """Pairs behind :attr:`vanished`."""
    per_class: tuple[ClassScore, ...]
    """Every class, in the order of the class table."""
    per_image: tuple[ImageScore, ...]
    """Every scored photograph, in the order of the data set."""
    missing: tuple[str, ...] = ()
    """Photographs with a truth and no mask. They are in none of the scores."""
    extra: tuple[str, ...] = ()
    """Masks that belong to no photograph of the data set. They are in none of the scores."""
    without_truth: int = 0
    """Photographs without a truth. They are in none of the scores."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: scores in percent, rounded to 4 decimals, NaN as ``None``."""
        return {
            "miou": _percent(self.miou),
            "minor_iou": _percent(self.minor_iou),
            "pixel_accuracy": _percent(self.pixel_accuracy),
            "false_positive_rate": _percent(self.false_positive_rate),
            "false_negative_rate": _percent(self.false_negative_rate),
            "boundary_f": _percent(self.boundary_f),
            "vanished": _percent(self.vanished),
            "images": len(self.per_image),
            "minor_pairs": self.minor_pairs,
            "tagged_pairs": self.tagged_pairs,
            "missing": len(self.missing),
            "missing_first": list(self.missing[:_NAMED]),
            "extra": len(self.extra),
            "extra_first": list(self.extra[:_NAMED]),
            "without_truth": self.without_truth,
            "per_class": {
                score.name: {
                    "iou": _percent(score.iou),
                    "truth_pixels": score.truth_pixels,
                    "predicted_pixels": score.predicted_pixels,
                }
                for score in self.per_class
            },
            "per_image": {score.name: _percent(score.miou) for score in self.per_image},
        }


def _percent(fraction: float) -> float | None:
    return None if math.isnan(fraction) else round(100.0 * fraction, 4)
