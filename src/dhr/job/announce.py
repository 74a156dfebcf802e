"""The first lines of a run: its work, time, memory and disk, and a smaller recipe if it would take long."""

from collections.abc import Iterator, Sequence

import torch

from dhr.errors import DhrError
from dhr.job.advice import advice
from dhr.job.choices import device_of, maps_of, uss_of
from dhr.job.data_job import DataJob
from dhr.job.estimate import Estimate, Limits, estimate, trained_in
from dhr.job.fitted import fitted
from dhr.job.left import Work, left_stages, work_of
from dhr.job.settings import RunConfig
from dhr.progress import PLAN, Step, silent
from dhr.words import counted, duration, megabytes, one_line

LIMITS = Limits(2, 10.0, share=0.02)
"""Limits of the measurement; `dhr plan` measures more."""
_MANY, _CROPS = 200, 4000  # photographs, and crops of trainings: with fewer, a measurement takes too long


def announce(job: DataJob) -> None:
    """Send the first lines to the progress, before the work after the scan begins."""
    if job.progress is silent or not job.leads:
        return
    sizes = [(seen.height, seen.width) for seen in job.usable.seen.values()]
    config = fitted(job.config, len(job.usable.samples), sizes, job.device.type)
    for line in _lines(job, config, work_of(config, left_stages(job), job.data, job.folder)):
        job.progress(Step(PLAN, 0, 0, note=line))


def _lines(job: DataJob, config: RunConfig, works: Sequence[Work]) -> Iterator[str]:
    found = job.usable
    side = min(config.image.long_side, max(max(one.height, one.width) for one in found.seen.values()))
    yield (
        f"{counted(len(found.samples), 'photograph')}, {counted(len(job.data.classes.foreground), 'class', 'classes')}"
        f": {maps_of(config)}, USS features {uss_of(config)}, up to {side} pixels, on {device_of(job.device)}"
    )
    left = [f"{one.name} ({counted(one.amount, one.unit[:-1])})" for one in works if one.amount]
    yield f"Left to do: {', '.join(left)}."
    if is_short(works):
        return
    sizes = {name: (seen.height, seen.width) for name, seen in found.seen.items()}
    try:
        cost = estimate(job.data, sizes, trained_in(job.folder.root, config), works, LIMITS)
    except (DhrError, OSError, MemoryError, torch.OutOfMemoryError) as error:
        yield f"The time could not be measured: {one_line(error)}"
        return
    yield summary(cost)
    yield from advice(config, job.device.type, cost)


def is_short(works: Sequence[Work]) -> bool:
    """Return whether the work is too short for a measurement."""
    crops = sum(one.amount for one in works if one.unit == "crops")
    return crops < _CROPS and all(one.long < _MANY for one in works if one.unit == "photographs")


def summary(cost: Estimate) -> str:
    """Return the cost of a run in a sentence."""
    least, most = cost.seconds
    gpu = f", {megabytes(cost.gpu_memory_mb)} of it on the GPU" if cost.gpu_memory_mb else ""
    how = f"measured on {counted(cost.photographs, 'photograph')}{f' of {cost.side} pixels' if cost.side else ''}"
    return (
        f"About {duration(sum(one.seconds for one in cost.stages))} ({duration(least)} to {duration(most)}), up to "
        f"{megabytes(cost.memory_mb)} of memory{gpu}, {disk_of(cost)}; {how}."
    )


def disk_of(cost: Estimate) -> str:
    """Return the disk space of a run in words."""
    more = f", and {megabytes(cost.drafts_mb)} for drafts" if cost.drafts_mb else ""
    return f"{megabytes(cost.disk_mb)} of disk{more}"
