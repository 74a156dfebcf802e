"""The work that is left of a run, by stage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dhr.data.samples import DataSet
from dhr.job.data_job import DataJob, stage_names
from dhr.job.folder import OutputFolder
from dhr.job.settings import RunConfig
from dhr.job.survey import CALIBRATED, chosen


@dataclass(frozen=True)
class LeftStage:
    """A stage with work left."""

    name: str
    photographs: int
    why: str


@dataclass(frozen=True)
class Work:
    """The work of a stage, counted in photographs or crops."""

    name: str
    amount: int
    """Photographs or crops that are left; 0 if the stage is finished, or not needed."""
    unit: str
    photographs: int
    """Photographs of the stage."""
    batch: int = 1
    """Crops per step of a training."""
    fresh: int = 0
    """Photographs of the survey or the masks without a draft: they go through the networks in this stage."""

    @property
    def long(self) -> int:
        """Photographs that would take as long through the networks; one with a draft takes about a tenth."""
        return self.fresh + (self.amount - self.fresh) // 10 if self.name in ("survey", "masks") else self.amount


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


def work_of(
    config: RunConfig, left: Sequence[LeftStage], data: DataSet, folder: OutputFolder | None = None
) -> tuple[Work, ...]:
    """Return the work of all stages of a run; a given classifier has no work.

    Args:
        folder: the output folder, which may hold drafts of an interrupted run.
    """
    counts = {one.name: one.photographs for one in left}
    seen = min(counts.get("survey", 0), len(chosen(data.samples)))
    kept = 0 if folder is None else len(folder.all_survey_cells)
    drafts = max(seen, kept)
    made = {"classifier": Work("classifier", 0, "crops", 0)} if config.classifier.file is not None else {}
    for name in stage_names(config):
        count = counts.get(name, 0)
        made[name] = _training(name, count, config) or Work(name, count, "photographs", count)
    if "calibration" in made:
        looked_at = min(counts.get("calibration", 0), len(chosen(data.samples, CALIBRATED)))
        made["calibration"] = Work("calibration", looked_at, "photographs", looked_at)
    if "survey" in made:
        made["survey"] = Work("survey", seen, "photographs", seen, fresh=max(0, seen - kept))
        made["masks"] = replace(made["masks"], fresh=max(0, made["masks"].amount - drafts))
    return tuple(made.values())


def _training(name: str, count: int, config: RunConfig) -> Work | None:
    """Return the work of a training on so many photographs; None if the stage is not a training."""
    if name in ("classifier", "affinity"):
        training: Any = getattr(config, name)
        return Work(name, training.epochs * count, "crops", count, training.batch)
    if name == "student":
        student = config.student_training
        return Work(name, student.steps * student.batch if count else 0, "crops", count, student.batch)
    return None
