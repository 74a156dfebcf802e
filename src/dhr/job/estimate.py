"""Time, memory and disk of the stages of a run: measured in rehearsals of a few photographs, and multiplied."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dhr.data.samples import DataSet, Sample, in_random_order
from dhr.errors import DataError
from dhr.job.fingerprint import Size
from dhr.job.left import Work
from dhr.job.multiplied import Scaled, StageEstimate, multiplied
from dhr.job.rehearsal import Rehearsal, rehearse
from dhr.job.settings import RunConfig
from dhr.sources.classifier import FILE

_SIDES = (128, 256)
"""Longer sides, in pixels, of small copies that are rehearsed first; so large networks never take long."""
_CLOSE = 1.5
"""A copy is rehearsed only if the whole size is at least this many times its size."""


@dataclass(frozen=True)
class Estimate:
    """The cost of a run."""

    stages: tuple[StageEstimate, ...]
    disk_mb: float
    """Files of the output folder."""
    drafts_mb: float
    """Further files, which `dhr update` uses."""
    photographs: int
    """Photographs that were measured."""
    measuring: float
    """Seconds that the measurement took."""
    side: int
    """Longer side of the copies that were measured, in pixels; 0 if the whole size was measured."""

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
    """No rehearsal is begun that would most likely end later. The smallest copy is always measured."""
    share: float = math.inf
    """The same, as a share of the time that the whole work is expected to take."""


def estimate(
    data: DataSet, sizes: Mapping[str, Size], config: RunConfig, works: Sequence[Work], limits: Limits
) -> Estimate:
    """Rehearse the run, and multiply.

    A small copy of one photograph is rehearsed twice, because kernels are compiled the first time. Larger copies and
    more photographs follow while there is time. If the whole size is not reached, its cost is extrapolated.

    Args:
        data: photographs.
        sizes: the size of each photograph that can be read, by name.
        config: settings of the run.
        works: the stages with their work.

    Raises:
        DhrError: the run cannot work.
    """
    some = drawn([one for one in data.samples if one.name in sizes and one.tags], sizes, limits.photographs)
    if not some:
        raise DataError("none of the photographs with tags that were tried can be read")
    files = "files" in config.kinds  # maps have the size of their photographs
    some, spent = _usable(data, some, config) if files else (some, 0.0)
    longest = min(max(sizes[some[0].name]), config.image.long_side)
    sides = [side for side in _SIDES if side * _CLOSE <= longest and not files] + [longest]
    if not files:
        spent = rehearse(data, some[:1], replace(shrunk(config, sides[0], longest), recursion=False)).seconds
    runs: list[Scaled] = []
    for side in sides:
        many = 1
        if runs:
            expected = sum(multiplied(work, runs).seconds for work in works)
            seconds = min(limits.seconds, limits.share * expected)
            many = _affordable(runs[-1].cost, works, seconds - spent, (side / runs[-1].side) ** 2)
        if not many:
            break
        smaller = shrunk(config, side, longest)
        cost = rehearse(data, some[: many if side == longest else 1], smaller)
        runs.append(Scaled(smaller, config, side, longest, cost))
        spent += cost.seconds
    last = runs[-1]
    side = 0 if last.side == longest else last.side
    disk, drafts = _disk(works, last.cost, config)
    measured, costs = last.cost.photographs, tuple(_costs(works, runs, config))
    return Estimate(costs, round(disk / 1e6, 1), round(drafts / 1e6, 1), measured, round(spent, 1), side)


def _usable(data: DataSet, some: list[Sample], config: RunConfig) -> tuple[list[Sample], float]:
    """Rehearse the first photograph whose files of maps can be used; return it with all after it, and the seconds.

    Raises:
        DhrError: the run cannot work with any of them.
    """
    while True:
        try:
            return some, rehearse(data, some[:1], replace(config, recursion=False)).seconds
        except DataError:  # a run leaves this photograph out
            if len(some) == 1:
                raise
            some = some[1:]


def _costs(works: Sequence[Work], runs: Sequence[Scaled], config: RunConfig) -> Iterator[StageEstimate]:
    """Yield the cost of each stage. For masks without a draft the cost of the survey is added."""
    survey, cost = next((work for work in works if work.name == "survey"), None), runs[-1].cost
    for work in works:
        made = multiplied(replace(work, amount=work.fresh) if work.name == "survey" else work, runs)
        if work.name == "masks" and survey is not None and cost.draft_bytes and config.work_bytes():
            kept = config.work_bytes() * cost.photographs // cost.draft_bytes  # drafts
            fresh = multiplied(replace(survey, amount=max(work.fresh, work.amount - kept), photographs=0), runs)
            made = replace(
                made, seconds=made.seconds + fresh.seconds, least=made.least + fresh.least, most=made.most + fresh.most
            )  # fmt: skip
        yield made


def _disk(works: Sequence[Work], cost: Rehearsal, config: RunConfig) -> tuple[float, float]:
    """Return the bytes of the output, and of the drafts that are kept."""
    amounts = {work.name: work.amount for work in works}
    left = max((work.amount for work in works if work.unit == "photographs"), default=0)
    drafts = min(cost.draft_bytes / cost.photographs * amounts.get("masks", 0), config.work_bytes())
    return cost.item_bytes / cost.photographs * left + sum(cost.trained_bytes.values()), float(drafts)


def drawn(samples: Sequence[Sample], sizes: Mapping[str, Size], most: int) -> list[Sample]:
    """Draw photographs that stand for all: they are sorted by size and cut into equal parts, and each part gives one.

    The one in the middle comes first, so that the first few stand for all as well.
    """
    ranked = sorted(in_random_order(samples), key=lambda one: sizes[one.name][0] * sizes[one.name][1])
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
    if out is None or config.classifier.file is not None or not {*config.kinds} & {"classifier", "irn"}:
        return config
    file = out / FILE
    return replace(config, classifier=replace(config.classifier, file=file)) if file.is_file() else config


def _affordable(small: Rehearsal, works: Sequence[Work], seconds: float, dearer: float) -> int:
    """Return how many photographs can be rehearsed in these seconds, at a size that takes ``dearer`` times as long."""
    each = sum(small.clock.spent(work.name) for work in works) / small.photographs
    return max(0, int((seconds - (small.seconds - each)) / max(dearer * each, 1e-9)))
