"""A job whose masks are rows: its unfinished units go to workers, and their facts are counted."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dhr.data.samples import Problem
from dhr.engine.cluster import Share
from dhr.engine.manifest import Unit, Units
from dhr.engine.part import Facts, read_facts
from dhr.engine.pool import mapped
from dhr.engine.worker import Work, Worker
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

    def add(self, facts: Facts, new: int = 0) -> None:
        """Count a unit."""
        self.masks, self.failed = self.masks + facts.masks, self.failed + facts.failed
        self.vanished, self.new = self.vanished + facts.vanished, self.new + new


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
    tally, todo, total = Tally(), list[Unit](), 0
    for unit in Units(size).run(work.manifest):
        total += unit.rows
        facts = read_facts(work.out, unit, work.settings)
        if facts is None or facts.failed:
            todo.append(unit)
        else:
            tally.add(facts)
    if todo:
        job.changes = True
        job.save()
    job.progress(Step(stage, tally.masks, total))
    done = tally.masks
    for found in mapped(ray, part, Worker, work, [asdict(unit) for unit in todo]) if todo else ():
        reasons, new = found.pop("reasons"), found.pop("new")
        found.pop("unit")
        facts = Facts(**found)
        tally.add(facts, new)
        done += facts.masks + facts.failed
        room = _NAMED - len(tally.problems)
        tally.problems += [Problem(name, reason) for name, reason in reasons[:room]]
        job.progress(Step(stage, done, total, note=f"{tally.failed} failed" if tally.failed else ""))
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
