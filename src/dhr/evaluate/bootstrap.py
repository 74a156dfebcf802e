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
"""A score of fewer photographs than this has no interval: nothing can be said. Pairs of one photograph and its classes
count once, as they are drawn together."""

_RATES = ("vanished",)  # shares of events, which a few photographs may lack

_BLOCK = 64  # photographs that are added at once: one product of matrices


@dataclass(frozen=True)
class Interval:
    """Where the score may as well have been, with other photographs of the same kind: fractions; NaN if unknown."""

    low: float
    high: float


NO_INTERVAL = Interval(float("nan"), float("nan"))
"""Of a score that has none."""


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


def interval(name: str, values: Float64[np.ndarray, " b"], photographs: int, difference: bool = False) -> Interval:
    """The middle 95 % of the values (:data:`ENDS`) of a score in the resamplings; NaN are left out.

    A rate of events (``vanished``) that no photograph shows is 0 in all resamplings, which does not make it 0 for sure.
    Where all are equal, it may lie as far off as a rate whose events n photographs lack by a chance of 2.5 %,
    1 - 0.025^(1/n): the exact bound of Clopper and Pearson (1934), of which 3 / n (Hanley and Lippman-Hand 1983, "If
    nothing goes wrong, is everything all right?") is the one-sided kin. The same if all show the event.

    Args:
        name: of the score (:data:`~dhr.evaluate.scores.WHOLE`, :data:`~dhr.evaluate.scores.BY_CLASS`).
        values: of the resamplings.
        photographs: those that the score is of; with fewer than :data:`FEWEST` the interval is unknown.
        difference: whether the values are differences of two scores of the same photographs, -1..1.

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
