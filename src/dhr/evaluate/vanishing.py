"""Counts which classes vanish from masks, and beside which other classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from numpy.typing import NDArray

from dhr.data.samples import VOID, ClassTable
from dhr.evaluate.scores import percent, share
from dhr.ops.adjacency import Regions

LOW_RECALL = 0.1
"""A class with less of its pixels found has all but vanished."""

_SMALLEST = 200  # a class counts from 1 / 200 of the labelled pixels on, 0.5 %, as in `dhr evaluate`


@dataclass(frozen=True)
class Rate:
    """Photographs with a class, and how many masks lost it."""

    appearances: int
    vanished: int
    """No pixel of the mask carries the class."""
    low: int
    """Under :data:`LOW_RECALL` of its pixels carry it; those that vanished among them."""

    def to_json(self) -> dict[str, Any]:
        """Counts, and shares in percent, ``None`` without an appearance."""
        return {
            "appearances": self.appearances,
            "vanished": self.vanished,
            "low": self.low,
            "vanished_percent": percent(share(self.vanished, self.appearances)),
            "low_percent": percent(share(self.low, self.appearances)),
        }


class Vanishing:
    """Running sums; class i first, its companion j second."""

    def __init__(self, classes: ClassTable) -> None:
        self._classes = classes
        count = len(classes.names)
        self.compared: int = 0
        """Photographs with a mask to compare."""
        self._together = np.zeros((3, count, count), np.int64)  # appearances, vanished, low
        self._touching = np.zeros((3, count, count), np.int64)
        self._alone = np.zeros((3, count), np.int64)  # no other class in the photograph
        self._apart = np.zeros((3, count), np.int64)  # with others, none of which it touches
        self._among = np.zeros((3, count), np.int64)  # touches another

    def add(self, truth: UInt8[NDArray[Any], "h w"], pred: UInt8[NDArray[Any], "h w"], regions: Regions) -> None:
        """Count one photograph; ``regions`` are those of its ground truth."""
        count = len(self._classes.names)
        pixels = np.bincount(truth.reshape(-1), minlength=256)
        hits = np.bincount(truth[truth == pred], minlength=256)[:count]
        anywhere = np.bincount(pred.reshape(-1), minlength=256)[:count] > 0
        labelled = int(pixels.sum() - pixels[VOID])
        present = pixels[:count] > 0
        present[: self._classes.foreground.start] = False
        touches: Bool[NDArray[Any], "classes classes"] = np.zeros((count, count), bool)
        np.logical_or.at(touches, regions.labels, regions.touches[:, :count])
        self.compared += 1
        for label in np.flatnonzero(present & (_SMALLEST * pixels[:count] >= labelled)):
            lost = np.array([1, not anywhere[label], hits[label] < LOW_RECALL * pixels[label]], np.int64)
            others = present.copy()
            others[label] = False
            self._together[:, label] += np.outer(lost, others)
            self._touching[:, label] += np.outer(lost, touches[label])
            kind = self._among if touches[label].any() else self._apart if others.any() else self._alone
            kind[:, label] += lost

    @property
    def alone(self) -> Rate:
        """Classes that are the only one of their photograph."""
        return _rate(self._alone.sum(1))

    @property
    def apart(self) -> Rate:
        """Classes that share their photograph with others, but do not touch them."""
        return _rate(self._apart.sum(1))

    @property
    def touching(self) -> Rate:
        """Classes that touch another."""
        return _rate(self._among.sum(1))

    def pairs(self) -> list[tuple[str, str, Rate, Rate]]:
        """Class, companion, how the class fares in the photographs with both, and where both touch.

        Those of the most appearances with low recall come first.
        """
        names = self._classes.names
        found = [
            (names[i], names[j], _rate(self._together[:, i, j]), _rate(self._touching[:, i, j]))
            for i, j in np.argwhere(self._together[0] > 0)
        ]
        return sorted(found, key=lambda pair: (-pair[2].low, -pair[2].vanished, pair[2].appearances, pair[:2]))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        whole = self._alone + self._apart + self._among
        return {
            "compared": self.compared,
            "low_recall": 100 * LOW_RECALL,
            "alone": self.alone.to_json(),
            "apart": self.apart.to_json(),
            "touching": self.touching.to_json(),
            "classes": {
                name: {"all": _rate(whole[:, index]).to_json(), "alone": _rate(self._alone[:, index]).to_json()}
                for index, name in enumerate(self._classes.names)
                if whole[0, index]
            },
            "pairs": [
                {"class": first, "companion": second, "together": both.to_json(), "touching": near.to_json()}
                for first, second, both, near in self.pairs()
            ],
        }


def _rate(counts: Int64[NDArray[Any], "3"]) -> Rate:
    return Rate(*(int(value) for value in counts))
