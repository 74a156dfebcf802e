"""The work that is left of a run, by stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dhr.data.samples import DataSet
from dhr.job.data_job import DataJob, stage_names
from dhr.job.settings import RunConfig
from dhr.job.survey import chosen


@dataclass(frozen=True)
class LeftStage:
    """A stage with work left."""

    name: str
    photographs: int
    why: str


@dataclass(frozen=True)
class Work:
    """The work of a stage, in things that take equally long."""

    name: str
    amount: int
    """Photographs or crops that are left; 0 if the stage is finished, or not needed."""
    unit: str
    photographs: int
    """Photographs of the stage."""
    epochs: int = 1
    """Passes of a training over the photographs."""
    batch: int = 1
    """Crops per step of a training."""


def left_stages(job: DataJob, why: str | None = None, again: Sequence[str] = ()) -> list[LeftStage]:
    """Return the stages of a run with work left, after its scan.

    Args:
        why: the reason to make the stages ``again`` that are made again.
    """
    samples = len(job.usable.samples)
    final, first = (len(items.unfinished(job.usable)) for items in (job.final, job.first))
    found = []
    for name in job.chain if final else ():
        count = {"masks": first, "second masks": final}.get(name, 0 if job.is_made(name) else samples)
        if count:
            found.append(LeftStage(name, count, why if why and name in again else "not made yet"))
    return found


def all_stages(config: RunConfig, data: DataSet) -> list[LeftStage]:
    """Return the stages of a run in a new folder."""
    return [LeftStage(name, len(data.samples), "not made yet") for name in stage_names(config)]


def work_of(config: RunConfig, left: Sequence[LeftStage], data: DataSet) -> tuple[Work, ...]:
    """Return the work of all stages of a run; a classifier that is given has no work."""
    counts = {one.name: one.photographs for one in left}
    given = (Work("classifier", 0, "crops", 0),) if config.classifier.file is not None else ()
    return (*given, *(_work(name, counts.get(name, 0), config, data) for name in stage_names(config)))


def _work(name: str, count: int, config: RunConfig, data: DataSet) -> Work:
    if name in ("classifier", "affinity"):
        training: Any = getattr(config, name)
        return Work(name, training.epochs * count, "crops", count, training.epochs, training.batch)
    if name == "student":
        student = config.student_training
        return Work(name, student.steps * student.batch if count else 0, "crops", count, 1, student.batch)
    if name == "survey":
        count = min(count, len(chosen(data.samples)))
    return Work(name, count, "photographs", count)
