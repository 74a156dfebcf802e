"""The cost of a stage: that of its rehearsal, multiplied."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dhr.job.left import Work
from dhr.job.rehearsal import STUDENT_BATCH, Rehearsal
from dhr.job.settings import RunConfig

_LEAST_SPREAD, _MOST_SPREAD = 0.2, 0.6
"""Bounds of the uncertainty, as a share of the time."""
_POWERS = (0.6, 1.1)
"""Range of the power with which time grows with the pixels. Constant parts lower it; attention alone has 2."""
_INNER = {"calibration": "ratios", "survey": "discriminants", "student": "USS features"}
"""Parts of stages that report their own progress; they take longer with more photographs."""
_OPTIMISER = 6
"""Most copies of its weights that a training holds: gradients, two moments, and all of these while they are written."""


@dataclass(frozen=True)
class StageEstimate:
    """The cost of a stage. All numbers are 0 if its work is done."""

    name: str
    amount: int
    unit: str
    seconds: float = 0.0
    least: float = 0.0
    """Lower end of the range of the seconds."""
    most: float = 0.0
    memory_mb: float = 0.0
    """Largest resident memory of the process."""
    gpu_memory_mb: float = 0.0


@dataclass(frozen=True)
class Scaled:
    """A rehearsal of smaller copies."""

    config: RunConfig
    whole: RunConfig
    side: int
    longest: int
    cost: Rehearsal

    def share(self, work: Work) -> float:
        """Return the share of the pixels of a photograph, or of a crop."""
        if work.unit == "photographs":
            return (self.side / self.longest) ** 2
        group = "student_training" if work.name == "student" else work.name
        mine, its = (int(getattr(config, group).crop) for config in (self.config, self.whole))
        return (mine / its) ** 2 if mine < its else 1.0

    def per(self, work: Work) -> float:
        """Return the seconds per photograph or crop: the mean; of a training the median, as one step writes a file."""
        rates = self.rates(work)
        return (statistics.mean if work.unit == "photographs" else statistics.median)(rates) if rates else 0.0

    def rates(self, work: Work) -> list[float]:
        """Return the seconds per photograph or crop, of each step."""
        return [rate / (STUDENT_BATCH if work.name == "student" else 1) for rate in self.cost.clock.rates(work.name)]


def multiplied(work: Work, runs: Sequence[Scaled]) -> StageEstimate:
    """Multiply the cost of a stage."""
    last = runs[-1]
    row, clock = last.cost.stages.get(work.name), last.cost.clock
    if not work.amount or row is None:
        return StageEstimate(work.name, work.amount, work.unit)
    inner = clock.spent(_INNER.get(work.name, ""))
    per, spread, share = last.per(work), _spread(last.rates(work)), last.share(work)
    things = clock.count(work.name) * (STUDENT_BATCH if work.name == "student" else 1)
    once = max(0.0, (row.seconds or 0.0) - per * things - inner)  # such as a checkpoint
    besides = work.photographs * inner / last.cost.photographs + once
    low, high = _powers(work, runs)
    least, most = (1 - spread) * per / share**low, (1 + spread) * per / share**high
    middle = per if share == 1 else math.sqrt(least * most)
    middle, least, most = (round(work.amount * one + besides, 3) for one in (middle, least, most))
    return StageEstimate(work.name, work.amount, work.unit, middle, least, most, *_memory(work, last))


def _powers(work: Work, runs: Sequence[Scaled]) -> tuple[float, float]:
    """Return the least and the greatest power by which the time of a stage may grow with the pixels.

    Small copies show a low power, because part of their time does not depend on the size.
    """
    if len(runs) == 1:
        return _POWERS
    small, large = runs[-2:]
    low, high = _POWERS
    if min(small.per(work), large.per(work)) > 0 and large.share(work) > small.share(work):
        power = math.log(large.per(work) / small.per(work)) / math.log(large.share(work) / small.share(work))
        low = min(max(power, low), high)
    return low, high


def _spread(rates: Sequence[float]) -> float:
    """Return the uncertainty of a mean, as a share of it: twice its standard error, within bounds."""
    if len(rates) < 2 or not sum(rates):
        return (_LEAST_SPREAD + _MOST_SPREAD) / 2
    error = statistics.stdev(rates) / math.sqrt(len(rates)) / statistics.mean(rates)
    return min(max(2 * error, _LEAST_SPREAD), _MOST_SPREAD)


def _memory(work: Work, run: Scaled) -> tuple[float, float]:
    """Return the memory of a stage; that of a whole batch or image is extrapolated from the measured part."""
    row, models = run.cost.stages[work.name], run.cost.stages.get("models")
    before = 0.0 if models is None else models.peak_memory_mb or 0.0
    times = 1 / run.share(work)
    if work.unit != "photographs":
        before += _OPTIMISER * run.cost.trained_bytes.get(work.name, 0) / 1e6
        times *= work.batch / (STUDENT_BATCH if work.name == "student" else max(1, run.cost.photographs // 2))
    peak, gpu = row.peak_memory_mb or 0.0, row.peak_gpu_memory_mb or 0.0
    return round(peak + (times - 1) * max(0.0, peak - before), 1), round(times * gpu, 1)
