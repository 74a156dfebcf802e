"""Confidence intervals of scores for the choice of photographs: a bootstrap whose memory does not grow.

A resampling draws as many photographs as there are, with replacement. In a large data set, the number of times that a
photograph is drawn is Poisson distributed with mean 1 and nearly independent of the others. So each photograph is added
to the sums of each resampling a Poisson number of times, and need not be kept (Hanley and MacGibbon 2006; Chamandy et
al. 2012, "Estimating Uncertainty for Massive Data Streams"). The numbers depend on the seed and on the place of the
photograph, so several sets of masks of the same photographs get the same resamplings, and their differences have
intervals too.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dhr.evaluate.counts import COLUMNS
from dhr.evaluate.measures import Measures, measures

ENDS = (0.025, 0.975)
"""Quantiles of the resamplings at the ends of an interval: 95 % lie within it."""

FEWEST = 5
"""A score of fewer photographs than this has no interval. Pairs of a photograph with its classes count once, because
they are drawn together."""

_RATES = ("vanished",)  # shares of events, which may happen in no photograph

_BLOCK = 64  # photographs that are added together, as one product of matrices


@dataclass(frozen=True)
class Interval:
    """The likely range of a score with other photographs of the same kind: fractions; NaN if unknown."""

    low: float
    high: float


NO_INTERVAL = Interval(float("nan"), float("nan"))
"""Interval of a score without an interval."""


class Bootstrap:
    """Sums of ``resamples`` resamplings: resamples x classes x 12 numbers, for any number of photographs."""

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
        """Compute the scores of each resampling: ``(resamples,)`` and ``(resamples, classes)``.

        A class that a resampling lacks has NaN.
        """
        sums = (self._sums + self._block()) if self._waiting else self._sums
        found = measures(sums.reshape(self._resamples, self._classes, len(COLUMNS)))
        lacking = sums.reshape(self._resamples, self._classes, len(COLUMNS))[:, :, 0] == 0  # (B, C)
        return Measures(found.whole, {name: np.where(lacking, np.nan, one) for name, one in found.by_class.items()})

    def _block(self) -> Float64[np.ndarray, "b n"]:
        random = np.random.default_rng((self._seed, self._blocks))
        # One line per photograph, so a last, shorter block does not change the others.
        weights = random.poisson(1.0, (len(self._waiting), self._resamples)).astype(np.float64)
        sums: Float64[np.ndarray, "b n"] = weights.T @ np.stack(self._waiting)
        return sums


def interval(name: str, values: Float64[np.ndarray, " b"], photographs: int, difference: bool = False) -> Interval:
    """Return the middle 95 % of the values (:data:`ENDS`) of a score in the resamplings, without NaN.

    A rate of events (``vanished``) without an event in any photograph is 0 in all resamplings, but the true rate may be
    higher. If all resamplings are equal, the interval extends to the exact bound of Clopper and Pearson (1934),
    1 - 0.025^(1/n): with this rate, n photographs have no event with a probability of 2.5 %. Its one-sided
    approximation is 3 / n (Hanley and Lippman-Hand 1983). The same holds if all photographs show the event.

    Args:
        name: name of the score (:data:`~dhr.evaluate.scores.WHOLE`, :data:`~dhr.evaluate.scores.BY_CLASS`).
        values: of the resamplings.
        photographs: number of photographs of the score; below :data:`FEWEST` the interval is unknown.
        difference: whether the values are differences of two scores, -1..1.

    >>> interval("miou", np.arange(1001.0), 20)
    Interval(low=25.0, high=975.0)
    >>> interval("vanished", np.zeros(1000), 20)
    Interval(low=0.0, high=0.16843347098308536)
    """
    known = values[~np.isnan(values)]
    if photographs < FEWEST or not known.size:
        return NO_INTERVAL
    low, high = (float(end) for end in np.quantile(known, ENDS))
    if name in _RATES and known.min() == known.max():
        off = 1 - ENDS[0] ** (1 / photographs)
        low, high = max(low - off, -1.0 if difference else 0.0), min(high + off, 1.0)
    return Interval(low, high)
