"""Two sets of masks of the same photographs: by how much they differ, how surely, and on which photographs."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dhr.data.agreement import Check
from dhr.evaluate.bootstrap import NO_INTERVAL, Interval, interval
from dhr.evaluate.measures import Measures
from dhr.evaluate.scores import WHOLE, Scores, percent

_MOST = 10  # photographs that are named


@dataclass(frozen=True)
class Change:
    """One score, this set less the first."""

    value: float
    """Fraction, -1..1; NaN if either is."""
    interval: Interval
    """Of the difference on the same resampled photographs; NaN without a bootstrap or with too few photographs."""


@dataclass(frozen=True)
class ImageChange:
    """The mIoU of one photograph in both sets; NaN as in :class:`~dhr.evaluate.scores.ImageScore`."""

    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Difference:
    """A set of masks against the first one."""

    name: str
    against: str
    whole: dict[str, Change]
    """By the names of :data:`~dhr.evaluate.scores.WHOLE`."""
    by_class: dict[str, Change]
    """IoU, by class name."""
    most: tuple[ImageChange, ...]
    """The photographs with the largest difference of mIoU, largest first; those without a difference are left out."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, in percent; positive where this set has more than the first."""
        return {
            "masks": self.name,
            "against": self.against,
            **{name: _json(change) for name, change in self.whole.items()},
            "per_class_iou": {name: _json(change) for name, change in self.by_class.items()},
            "images": [
                {"image": one.name, "before": percent(one.before), "after": percent(one.after)} for one in self.most
            ],
        }


@dataclass(frozen=True)
class Comparison:
    """Several sets of masks on the same photographs."""

    scores: dict[str, Scores]
    """By name, in the order given."""
    differences: tuple[Difference, ...]
    """Each set but the first, against the first."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Those of all sets, each once."""
        return tuple(dict.fromkeys(check for scores in self.scores.values() for check in scores.checks))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: the scores of each set, and the differences."""
        return {
            "masks": {name: scores.to_json() for name, scores in self.scores.items()},
            "differences": [difference.to_json() for difference in self.differences],
            "checks": [check.to_json() for check in self.checks],
        }


def difference(
    names: tuple[str, str], first: Scores, other: Scores, first_resampled: Measures | None, resampled: Measures | None
) -> Difference:
    """``other`` less ``first``; the resamplings of both must be of the same photographs in the same order."""
    few = {
        "minor_iou": min(first.minor_photographs, other.minor_photographs),
        "vanished": min(first.tagged_photographs, other.tagged_photographs),
    }
    whole, by_class = {}, {}
    for name in WHOLE:
        ends = NO_INTERVAL
        if first_resampled and resampled:
            values = resampled.whole[name] - first_resampled.whole[name]
            ends = interval(name, values, few.get(name, first.photographs), difference=True)
        whole[name] = Change(getattr(other, name) - getattr(first, name), ends)
    for index, (before, after) in enumerate(zip(first.per_class, other.per_class, strict=True)):
        ends = NO_INTERVAL
        if first_resampled and resampled:
            values = resampled.by_class["iou"][:, index] - first_resampled.by_class["iou"][:, index]
            ends = interval("iou", values, before.photographs, difference=True)
        by_class[before.name] = Change(after.iou - before.iou, ends)
    return Difference(names[1], names[0], whole, by_class, _most(first, other))


def _most(first: Scores, other: Scores) -> tuple[ImageChange, ...]:
    pairs: Sequence[ImageChange] = [
        ImageChange(before.name, before.miou, after.miou)
        for before, after in zip(first.per_image, other.per_image, strict=True)
        if abs(after.miou - before.miou) > 0  # not NaN
    ]
    return tuple(heapq.nsmallest(_MOST, pairs, key=lambda one: (-abs(one.after - one.before), one.name)))


def _json(change: Change) -> dict[str, Any]:
    ends = [percent(change.interval.low), percent(change.interval.high)]
    return {"difference": percent(change.value), "interval": None if None in ends else ends}
