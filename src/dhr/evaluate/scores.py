"""The scores of a set of masks: fractions in 0..1; percent appear in :meth:`Scores.to_json` only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dhr.data.agreement import Check
from dhr.evaluate.bootstrap import Interval

_NAMED = 10  # names of missing and extra masks, and pairs of classes, that the JSON spells out

WHOLE = {
    "miou": "mIoU",
    "minor_iou": "minor IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "false_positive_rate": "mFPR",
    "false_negative_rate": "mFNR",
    "boundary_f": "boundary F",
    "vanished": "vanished",
}
"""Scores of a set of masks: names in :class:`Scores` and the JSON, and titles in tables and pictures."""

BY_CLASS = (
    "iou", "accuracy", "precision", "false_positive_rate", "false_negative_rate", "boundary_f", "minor_iou", "vanished",
)  # fmt: skip
"""Names of the scores of a class in :class:`ClassScore` and the JSON."""

COUNTS = ("truth_pixels", "predicted_pixels", "photographs", "minor_pairs", "tagged_pairs", "vanished_pairs")
"""Numbers behind them."""


@dataclass(frozen=True)
class ClassScore:
    """One class over the whole data set. Pixels whose ground truth is void are not counted anywhere."""

    name: str
    iou: float
    """TP / (TP + FP + FN); NaN if the class is neither in the ground truth nor in the predictions."""
    accuracy: float
    """TP / (TP + FN), also called recall; NaN if the class is not in the ground truth."""
    precision: float
    """TP / (TP + FP); NaN if the class is not predicted."""
    false_positive_rate: float
    """FP / (FP + TN); NaN if the class is nowhere, or everywhere in the ground truth."""
    false_negative_rate: float
    """FN / (FN + TP); NaN if the class is not in the ground truth."""
    boundary_f: float
    """F-score of its edges; NaN without edges, 0 if only ground truth or only predictions have edges."""
    minor_iou: float
    """Mean IoU within the photographs where it is minor (:attr:`Scores.minor_iou`); NaN without such photographs."""
    vanished: float
    """Share of the photographs that are tagged with it, and hold it (:attr:`Scores.vanished`), where it has no pixel;
    NaN without such photographs."""
    truth_pixels: int
    predicted_pixels: int
    photographs: int
    """Photographs whose ground truth holds it."""
    minor_pairs: int
    """Photographs behind :attr:`minor_iou`."""
    tagged_pairs: int
    """Photographs behind :attr:`vanished`."""
    vanished_pairs: int
    """Photographs it vanished from."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of each of :data:`BY_CLASS`; empty without a bootstrap."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, in percent."""
        values: dict[str, Any] = {name: percent(getattr(self, name)) for name in BY_CLASS}
        values |= {name: getattr(self, name) for name in COUNTS}
        return values | _intervals(self.intervals)


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One photograph."""

    name: str
    miou: float
    """Mean IoU within the photograph over the classes of its ground truth; NaN if that is entirely void."""


@dataclass(frozen=True)
class Confused:
    """Pixels of one class that carry another."""

    truth: str
    predicted: str
    pixels: int


@dataclass(frozen=True)
class Scores:
    """The scores of a set of masks; a mean over nothing is NaN."""

    miou: float
    """Mean IoU of VOC: from one confusion matrix of the data set, over the classes that are in the ground truth."""
    minor_iou: float
    """Mean, over the pairs (photograph, class) where the class, not the background, covers more than 0 and less than
    10 % of the photograph's labelled pixels, of the IoU of that class within that photograph."""
    pixel_accuracy: float
    """Share of the labelled pixels that carry their class."""
    mean_accuracy: float
    """Mean, over the classes in the ground truth, of the share of its pixels that carry it."""
    false_positive_rate: float
    """Mean, over the classes in the ground truth, of the share of other pixels that carry it, FP / (FP + TN)."""
    false_negative_rate: float
    """Mean, over the classes in the ground truth, of the share of its pixels that do not carry it, FN / (FN + TP)."""
    boundary_f: float
    """Mean F-score of edge pixels over the classes with an edge in the ground truth; edges meet within 0.75 % of the
    photograph's diagonal (:func:`dhr.evaluate.boundary.boundary_f`)."""
    vanished: float
    """Share of the tagged pairs (photograph, class) with at least 0.5 % of the labelled pixels in ground truth, in
    which the predicted mask lacks the class."""
    minor_pairs: int
    """Pairs behind :attr:`minor_iou`."""
    tagged_pairs: int
    """Pairs behind :attr:`vanished`."""
    minor_photographs: int
    """Photographs that the pairs behind :attr:`minor_iou` are of: which determine its interval."""
    tagged_photographs: int
    """The same for :attr:`vanished`."""
    per_class: tuple[ClassScore, ...]
    """Every class, in the order of the class table."""
    per_image: tuple[ImageScore, ...]
    """Every scored photograph, in the order of the data set; with an engine only the worst ones."""
    missing: tuple[str, ...] = ()
    """Photographs with ground truth but without a mask; they are not scored."""
    extra: tuple[str, ...] = ()
    """Masks without a photograph in the data set; they are not scored."""
    without_truth: int = 0
    """Photographs without ground truth; they are not scored."""
    wrong_size: tuple[str, ...] = ()
    """Photographs whose mask has another size than the ground truth; they are not scored."""
    elsewhere: int = 0
    """Photographs with a mask that are not scored, because another compared set lacks their mask."""
    confused: tuple[Confused, ...] = ()
    """Classes that were taken for another one, most pixels first."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of each of :data:`WHOLE`; empty without a bootstrap."""
    checks: tuple[Check, ...] = ()
    """Contradictions between tags, ground truth and masks, which may make a score wrong."""
    unnamed: Mapping[str, int] = field(default_factory=dict)
    """With an engine: number of the photographs beyond those that ``missing``, ``extra``, ``wrong_size`` and
    ``per_image`` name, by member."""

    @property
    def photographs(self) -> int:
        """The number of scored photographs."""
        return self.number("per_image")

    def number(self, member: str) -> int:
        """Return the number of photographs of a member, named or not."""
        return len(getattr(self, member)) + self.unnamed.get(member, 0)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: scores in percent, rounded to 4 decimals, NaN as ``None``."""
        values = {**self.whole_json(), "images": self.photographs}
        for name in ("minor_pairs", "tagged_pairs", "minor_photographs", "tagged_photographs"):
            values[name] = getattr(self, name)
        for name in ("missing", "extra", "wrong_size"):
            names = getattr(self, name)
            values |= {name: self.number(name), f"{name}_first": list(names[:_NAMED])}
        values |= {
            "left_out_elsewhere": self.elsewhere,
            "without_truth": self.without_truth,
            "confused": [[one.truth, one.predicted, one.pixels] for one in self.confused[:_NAMED]],
            "per_class": {score.name: score.to_json() for score in self.per_class},
            "per_image": {score.name: percent(score.miou) for score in self.per_image},
            "checks": [check.to_json() for check in self.checks],
        }
        return values

    def whole_json(self) -> dict[str, Any]:
        """Return the scores of all classes together, and their intervals, as in :meth:`to_json`."""
        values: dict[str, Any] = {name: percent(getattr(self, name)) for name in WHOLE}
        return values | _intervals(self.intervals)


def percent(fraction: float) -> float | None:
    """Convert to percent, with four decimals; NaN, which JSON lacks, becomes None."""
    return None if math.isnan(fraction) else round(100.0 * fraction, 4)


def share(part: float | int, whole: float | int) -> float:
    """Return a share; NaN of nothing.

    >>> share(1, 4)
    0.25
    """
    return part / whole if whole else math.nan


def _intervals(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    """Return intervals in percent, None for a score without one; empty without a bootstrap."""
    if not intervals:
        return {}
    ends = {name: [percent(one.low), percent(one.high)] for name, one in intervals.items()}
    return {"intervals": {name: None if None in one else one for name, one in ends.items()}}
