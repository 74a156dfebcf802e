"""Time, memory and disk of the stages of a run: measured in rehearsals of a few photographs, and multiplied."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dhr.data.samples import DataSet, Sample
from dhr.job.fingerprint import Size, by_name
from dhr.job.left import Work
from dhr.job.rehearsal import STUDENT_BATCH, Rehearsal, rehearse
from dhr.job.settings import RunConfig
from dhr.sources.classifier import FILE

_SIDES = (128, 256)
"""Longer sides, in pixels, of small copies that are rehearsed first; so large networks never take long."""
_CLOSE = 1.5
"""Copies that are less than so many times smaller are skipped."""
_LEAST_SPREAD, _MOST_SPREAD = 0.2, 0.6
"""Bounds of the uncertainty, as a share of the time."""
_POWER = 1.25
"""Greatest power by which the time of a photograph grows with its pixels; attention alone has 2."""
_INNER = {"survey": "discriminants", "student": "USS features"}
"""Parts of stages that have a progress of their own; they take longer with more photographs."""
_OPTIMISER = 6
"""A training holds so many copies of its weights at most: gradients, two moments, and all of it while it is written."""


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
class Estimate:
    """The cost of a run."""

    stages: tuple[StageEstimate, ...]
    disk_mb: float
    """Files of the output folder."""
    photographs: int
    """Photographs that were measured."""
    measuring: float
    """Seconds that the measurement took."""
    side: int
    """Longer side at which they were measured, in pixels, if the whole size would have taken long; else 0."""

    @property
    def seconds(self) -> tuple[float, float]:
        """The range of the whole time."""
        return sum((one.least for one in self.stages), 0.0), sum((one.most for one in self.stages), 0.0)

    @property
    def memory_mb(self) -> float:
        """The largest memory of all stages."""
        return max((one.memory_mb for one in self.stages), default=0.0)

    @property
    def gpu_memory_mb(self) -> float:
        """The largest memory of the GPU of all stages."""
        return max((one.gpu_memory_mb for one in self.stages), default=0.0)


@dataclass(frozen=True)
class Limits:
    """Limits of a measurement."""

    photographs: int
    seconds: float
    """Nothing is begun that would most likely end later. The smallest copy is always measured."""


@dataclass(frozen=True)
class _Scaled:
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
        """Return the mean seconds per photograph or crop."""
        rates = self.rates(work)
        return statistics.mean(rates) if rates else 0.0

    def rates(self, work: Work) -> list[float]:
        """Return the seconds per photograph or crop, of each step."""
        return [rate / (STUDENT_BATCH if work.name == "student" else 1) for rate in self.cost.clock.rates(work.name)]


def estimate(
    data: DataSet, sizes: Mapping[str, Size], config: RunConfig, works: Sequence[Work], limits: Limits
) -> Estimate:
    """Rehearse the run, and multiply.

    A small copy of one photograph is rehearsed twice. The first time compiles what is compiled at the first use. Larger
    copies and more photographs follow as far as the time reaches. If that ends below the whole size, the rest is
    extrapolated.

    Args:
        data: photographs.
        sizes: the size of each photograph that can be read, by name.
        config: settings of the run.
        works: the stages with their work.

    Raises:
        DhrError: the run cannot work.
    """
    some = drawn([one for one in data.samples if one.name in sizes and one.tags], sizes, limits.photographs)
    longest = min(max(sizes[some[0].name]), config.image.long_side)
    files = config.wss.kind == "files"  # maps have the size of their photographs
    sides = [side for side in _SIDES if side * _CLOSE <= longest and not files] + [longest]
    spent = rehearse(data, some[:1], replace(shrunk(config, sides[0], longest), recursion=False)).seconds
    runs: list[_Scaled] = []
    for side in sides:
        many = 1
        if runs:
            many = _affordable(runs[-1].cost, works, limits.seconds - spent, (side / runs[-1].side) ** (2 * _POWER))
        if not many:
            break
        smaller = shrunk(config, side, longest)
        cost = rehearse(data, some[: many if side == longest else 1], smaller)
        runs.append(_Scaled(smaller, config, side, longest, cost))
        spent += cost.seconds
    last = runs[-1]
    left = max((work.amount for work in works if work.unit == "photographs"), default=0)
    disk = last.cost.item_bytes / last.cost.photographs * left + sum(last.cost.trained_bytes.values())
    stages = tuple(_stage(work, runs) for work in works)
    side = 0 if last.side == longest else last.side
    return Estimate(stages, round(disk / 1e6, 1), last.cost.photographs, round(spent, 1), side)


def drawn(samples: Sequence[Sample], sizes: Mapping[str, Size], most: int) -> list[Sample]:
    """Draw photographs that stand for all: one of each part of equal length in the order of their sizes.

    The one in the middle comes first, so that the first few stand for all as well.
    """
    ranked = sorted(by_name(samples), key=lambda one: sizes[one.name][0] * sizes[one.name][1])
    count = min(most, len(ranked))
    places = [(2 * part + 1) * len(ranked) // (2 * count) for part in range(count)]
    return [ranked[place] for place in sorted(places, key=lambda place: abs(2 * place - len(ranked)))]


def shrunk(config: RunConfig, side: int, longest: int) -> RunConfig:
    """Return settings for copies with this longer side; the crops of trainings shrink alike."""
    if side >= longest:
        return config
    smallest = 2 * config.wss.output_stride

    def with_crop(training: Any) -> Any:
        return replace(training, crop=min(training.crop, max(smallest, training.crop * side // longest)))

    return replace(
        config,
        image=replace(config.image, long_side=side),
        classifier=with_crop(config.classifier),
        affinity=with_crop(config.affinity),
        student_training=with_crop(config.student_training),
    )


def trained_in(out: Path | None, config: RunConfig) -> RunConfig:
    """Return settings that use the trained classifier of an output folder, if there is one."""
    if out is None or config.classifier.file is not None or config.wss.kind not in ("classifier", "irn"):
        return config
    file = out / FILE
    return replace(config, classifier=replace(config.classifier, file=file)) if file.is_file() else config


def _affordable(small: Rehearsal, works: Sequence[Work], seconds: float, dearer: float) -> int:
    """Return how many photographs can be rehearsed in these seconds, at a size that is so many times dearer."""
    each = sum(small.clock.spent(work.name) for work in works) / small.photographs
    return max(0, int((seconds - (small.seconds - each)) / max(dearer * each, 1e-9)))


def _stage(work: Work, runs: Sequence[_Scaled]) -> StageEstimate:
    """Multiply the cost of a stage."""
    last = runs[-1]
    row, clock = last.cost.stages.get(work.name), last.cost.clock
    if not work.amount or row is None:
        return StageEstimate(work.name, work.amount, work.unit)
    inner = clock.spent(_INNER.get(work.name, ""))
    once = max(0.0, (row.seconds or 0.0) - clock.spent(work.name) - inner)  # such as a checkpoint
    besides = work.photographs * inner / last.cost.photographs + work.epochs * once
    per, spread, share = last.per(work), _spread(last.rates(work)), last.share(work)
    # Part of the time does not depend on the size, so a line through two sizes is lower than the proportion.
    line = per
    if share < 1 and len(runs) > 1:
        small = runs[-2]
        slope = (per - small.per(work)) / max(share - small.share(work), 1e-9)
        line = per + max(0.0, slope) * (1 - share)
    least = (1 - spread) * line
    most = (1 + spread) * max(line, per / share ** (_POWER if work.unit == "photographs" else 1))
    middle = line if share == 1 else math.sqrt(least * most)
    middle, least, most = (round(work.amount * one + besides, 3) for one in (middle, least, most))
    return StageEstimate(work.name, work.amount, work.unit, middle, least, most, *_memory(work, last))


def _spread(rates: Sequence[float]) -> float:
    """Return the uncertainty of a mean, as a share of it: twice its standard error, within bounds."""
    if len(rates) < 2 or not sum(rates):
        return (_LEAST_SPREAD + _MOST_SPREAD) / 2
    error = statistics.stdev(rates) / math.sqrt(len(rates)) / statistics.mean(rates)
    return min(max(2 * error, _LEAST_SPREAD), _MOST_SPREAD)


def _memory(work: Work, run: _Scaled) -> tuple[float, float]:
    """Return the memory of a stage; that of a whole batch or image is extrapolated from the measured part."""
    row, models = run.cost.stages[work.name], run.cost.stages.get("models")
    before = 0.0 if models is None else models.peak_memory_mb or 0.0
    times = 1 / run.share(work)
    if work.unit != "photographs":
        before += _OPTIMISER * run.cost.trained_bytes.get(work.name, 0) / 1e6
        times *= work.batch / (STUDENT_BATCH if work.name == "student" else max(1, run.cost.photographs // 2))
    peak, gpu = row.peak_memory_mb or 0.0, row.peak_gpu_memory_mb or 0.0
    return round(peak + (times - 1) * max(0.0, peak - before), 1), round(times * gpu, 1)
