"""A job whose masks are rows: its unfinished units go to workers, and their facts are counted."""

from dataclasses import dataclass, field, replace
from typing import Any

from dhr.data.samples import Problem
from dhr.engine.cluster import Share
from dhr.engine.deaths import surviving
from dhr.engine.held import Held, held
from dhr.engine.join import join_all
from dhr.engine.manifest import Units
from dhr.engine.worker import Assignment, Work
from dhr.files import inside, remove_temporaries
from dhr.job.job import Job
from dhr.job.meter import measured
from dhr.progress import Step
from dhr.results.places import ROWS
from dhr.words import counted

_NAMED = 1000  # failed photographs that run.json names; the rows have them all


@dataclass
class Tally:
    """Counts over the units of a job."""

    masks: int = 0
    failed: int = 0
    vanished: int = 0
    new: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, masks: int, failed: int, vanished: int, new: int = 0) -> None:
        """Count a unit."""
        self.masks, self.failed = self.masks + masks, self.failed + failed
        self.vanished, self.new = self.vanished + vanished, self.new + new


def make_rows(ray: Any, part: Share, work: Work, job: Job, stage: str, size: int) -> Tally:
    """Have the workers make all units that are not finished, and record what it took.

    Args:
        ray: the package, connected.
        part: of the cluster.
        work: what the workers need.
        job: holds the folder; its record is written before the first unit.
        stage: its name in record and progress.
        size: rows of a unit.
    """
    job.changes = job.before is None or job.before.status == "running"
    job.save()
    remove_temporaries(inside(work.out, ROWS))
    with measured(job.device) as cost:
        tally = _made(ray, part, work, job, stage, size)
    if job.changes:
        job.put(cost.added(job.stage(stage), stage))
    job.problems += tally.problems
    if tally.failed > len(tally.problems):
        left = tally.failed - len(tally.problems)
        job.notes.append(
            f"{counted(left, 'more photograph')} without a mask; the column `reason` of the rows names all."
        )
    return tally


def _made(ray: Any, part: Share, work: Work, job: Job, stage: str, size: int) -> Tally:
    tally, todo = Tally(), list[Held]()
    for one in held(work.out, Units(size).run(work.manifest), work.settings):
        if one.whole:
            tally.add(one.masks, 0, one.vanished)
        else:
            todo.append(one)
    done = tally.masks
    total = done + sum(one.unit.rows for one in todo)
    if todo:
        job.changes = True
        job.save()
    job.progress(Step(stage, done, total))
    known = {one.unit.number: one for one in todo if one.target.layer > 1 or one.others}
    units = [one.unit for one in todo]
    for found in surviving(ray, part, Assignment(work, known), units):
        tally.add(found["masks"], found["failed"], found["vanished"], found["new"])
        done += found["masks"] + found["failed"]
        room = _NAMED - len(tally.problems)
        tally.problems += [Problem(name, reason) for name, reason in found["reasons"][:room]]
        job.progress(Step(stage, done, total, note=f"{tally.failed} failed" if tally.failed else ""))
    join_all(ray, work.out, job.progress)
    return tally


def record_counts(job: Job, tally: Tally) -> None:
    """Put counts, and the seconds of all stages, into the record."""
    counts = {
        "photographs": tally.masks + tally.failed,
        "masks": tally.masks,
        "skipped": tally.failed,
        "with a vanished class": tally.vanished,
    }
    seconds = round(sum(row.seconds or 0.0 for row in job.record.stages), 3)
    job.record = replace(job.record, counts=counts, seconds=seconds)
