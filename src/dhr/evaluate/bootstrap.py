"""How much scores owe to which photographs happened to be in the data set: a bootstrap whose memory does not grow.

A resampling draws as many photographs as there are, with replacement. How often it draws one of many is Poisson
distributed with mean 1, all but independently of the others; so each photograph is added to each resampling's sums as
often as a Poisson number says, and is forgotten (Hanley and MacGibbon 2006; Chamandy et al. 2012, "Estimating
Uncertainty for Massive Data Streams"). The numbers depend on the seed and on the photograph's place among all, so that
several sets of masks of the same photographs are resampled alike, and their differences have intervals of their own.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dhr.evaluate.counts import COLUMNS
from dhr.evaluate.measures import Measures, measures

ENDS = (0.025, 0.975)
"""Where an interval begins and ends among the resamplings: 95 % lie within it."""

FEWEST = 5
"""A score of fewer photographs (or pairs of photograph and class) than this has no interval: nothing can be said."""

_BLOCK = 64  # photographs that are added at once: one product of matrices


@dataclass(frozen=True)
class Interval:
    """Where the score may as well have been, with other photographs of the same kind: fractions; NaN if unknown."""

    low: float
    high: float


class Bootstrap:
    """Sums of ``resamples`` resamplings: resamples x classes x 12 numbers, however many photographs there are."""

    def __init__(self, classes: int, resamples: int, seed: int) -> None:
        self._classes, self._resamples, self._seed = classes, resamples, seed
        self._sums = np.zeros((resamples, classes * len(COLUMNS)))
        self._waiting: list[Float64[np.ndarray, " n"]] = []
        self._blocks = 0

    def add(self, sums: Float64[np.ndarray, "classes 12"]) -> None:
        """Add the next photograph (:func:`~dhr.evaluate.counts.class_sums`)."""
        self._waiting.append(sums.ravel())
        if len(self._waiting) == _BLOCK:
            self._sums += self._block()
            self._waiting.clear()
            self._blocks += 1

    def measures(self) -> Measures:
        """The scores of each resampling: ``(resamples,)`` and ``(resamples, classes)``.

        Of a class that a resampling lacks nothing is known: NaN.
        """
        sums = (self._sums + self._block()) if self._waiting else self._sums
        found = measures(sums.reshape(self._resamples, self._classes, len(COLUMNS)))
        lacking = sums.reshape(self._resamples, self._classes, len(COLUMNS))[:, :, 0] == 0  # (B, C)
        return Measures(found.whole, {name: np.where(lacking, np.nan, one) for name, one in found.by_class.items()})

    def _block(self) -> Float64[np.ndarray, "b n"]:
        random = np.random.default_rng((self._seed, self._blocks))
        # A line a photograph, so that those that a last block lacks do not matter to the others.
        weights = random.poisson(1.0, (len(self._waiting), self._resamples)).astype(np.float64)
        sums: Float64[np.ndarray, "b n"] = weights.T @ np.stack(self._waiting)
        return sums


def interval(values: Float64[np.ndarray, " b"]) -> Interval:
    """The middle 95 % of the values (:data:`ENDS`); NaN are left out.

    >>> interval(np.arange(1001.0))
    Interval(low=25.0, high=975.0)
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(known, ENDS)
    return Interval(float(low), float(high))
