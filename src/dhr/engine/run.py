"""A run with Ray: the networks are fitted in one task, then workers make the masks, unit after unit."""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from dhr.data.manifest import ManifestDataSet
from dhr.data.samples import Problem
from dhr.engine.cluster import Share, cause, cluster, share
from dhr.engine.config import RunEngine
from dhr.engine.fit import FitCall, Fitted, engine_config, fit, is_fitted
from dhr.engine.manifest import Manifest, Unit, Units
from dhr.engine.part import Facts, read_facts
from dhr.engine.sample import drawn
from dhr.engine.worker import Work, Worker
from dhr.errors import DhrError
from dhr.files import inside, remove_temporaries
from dhr.job.drafts import group_size
from dhr.job.job import Job
from dhr.job.meter import measured
from dhr.job.run import Origin, Outcome
from dhr.job.settings import RunConfig
from dhr.progress import Progress, Step, silent
from dhr.records.run import RunRecord
from dhr.results.places import ROWS
from dhr.words import counted

_NAMED = 1000  # failed photographs that run.json names; the rows have them all


@dataclass(frozen=True)
class Call:
    """A call of :func:`run`."""

    data: Path
    """A manifest: a file, or a folder of files."""
    out: Path
    config: RunConfig
    engine: RunEngine
    split: str | None = None
    origin: Origin = field(default_factory=Origin)


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


def run(call: Call, progress: Progress = silent) -> Outcome:
    """Make a mask for every photograph of a manifest, as rows in ``out/rows``; the next call continues.

    Raises:
        DhrError: as :func:`dhr.job.run.run`; or the cluster cannot be used.
    """
    config, manifest = engine_config(call.config), Manifest.open(call.data, call.split)
    with cluster(call.engine.address) as ray:
        part = share(ray, call.engine.workers, config.device)
        with Job.open(call.out, _before, torch.device("cpu"), progress=progress) as job:
            fitted = _fitted(ray, part, replace(call, config=config), manifest, progress)
            known = job.record.stages if not fitted.record.stages else fitted.record.stages
            job.record = replace(fitted.record, stages=known)
            job.changes = job.before is None or job.before.status == "running"
            job.save()
            remove_temporaries(inside(call.out, ROWS))
            work = Work(call.out.resolve(), config, manifest, fitted.record, fitted.digests, fitted.looked_at)
            with measured(job.device) as cost:
                tally = _made(ray, part, work, job, progress)
            if job.changes:
                job.put(cost.added(job.stage("masks"), "masks"))
            job.problems += tally.problems
            return _ended(job, fitted, tally)


def _before(before: RunRecord | None) -> RunRecord:
    """Return the record of the folder until the task has described the job."""
    return replace(before or RunRecord(), rows=True, status="running")


def _fitted(ray: Any, part: Share, call: Call, manifest: Manifest, progress: Progress) -> Fitted:
    """Fit the networks in a task of Ray, and wait for it."""
    from ray.util.queue import Queue

    sample = ManifestDataSet(manifest.classes, ())
    if not is_fitted(call.out):
        sample = drawn(manifest, call.engine.fit_on)
    digest = f"{manifest.digest} {call.engine.fit_on or ''}".strip()
    task = FitCall(call.out.resolve(), call.config, call.origin, digest, tuple(sys.argv))
    steps = Queue(actor_options={"num_cpus": 0})
    waiting = ray.remote(_fit).options(**part.fit, max_retries=0).remote(task, sample, steps)
    done: list[Any] = []
    try:
        while not done:
            done, _ = ray.wait([waiting], timeout=0.5)
            for step in steps.get_nowait_batch(steps.qsize()):
                progress(step)
        return ray.get(waiting)  # type: ignore[no-any-return]
    except ray.exceptions.RayError as error:
        raise cause(error) from None
    finally:
        steps.shutdown(force=True)


def _fit(call: FitCall, sample: ManifestDataSet, steps: Any) -> Fitted:
    """Fit in a task; the steps go to the driver, at most some per second."""
    return fit(call, sample, _Sender(steps))


@dataclass
class _Sender:
    """Sends progress to the driver, and not more often than can be seen."""

    steps: Any
    last: float = 0.0

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        if now - self.last > 0.5 or step.done == step.total or step.note:
            self.last = now
            self.steps.put(step)


def _made(ray: Any, part: Share, work: Work, job: Job, progress: Progress) -> Tally:
    """Have the workers make all units that are not finished."""
    device = torch.device(str(work.record.identity.settings["device"]))
    tally, todo, total = Tally(), list[Unit](), 0
    for unit in Units(group_size(device)).run(work.manifest):
        total += unit.rows
        facts = read_facts(work.out, unit, work.settings)
        if facts is None or facts.failed:
            todo.append(unit)
        else:
            tally.add(facts)
    if todo:
        job.changes = True
        job.save()
    progress(Step("masks", tally.masks, total))
    done = tally.masks
    for found in _mapped(ray, part, work, todo) if todo else ():
        reasons, new = found.pop("reasons"), found.pop("new")
        found.pop("unit")
        facts = Facts(**found)
        tally.add(facts, new)
        done += facts.masks + facts.failed
        room = _NAMED - len(tally.problems)
        tally.problems += [Problem(name, reason) for name, reason in reasons[:room]]
        progress(Step("masks", done, total, note=f"{tally.failed} failed" if tally.failed else ""))
    return tally


def _mapped(ray: Any, part: Share, work: Work, todo: list[Unit]) -> Iterator[dict[str, Any]]:
    """Yield the facts on each unit, as workers finish them."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = context.print_on_execution_start = False
    units = ray.data.from_items([asdict(unit) for unit in todo], override_num_blocks=len(todo))
    made = units.map_batches(
        Worker,
        fn_constructor_args=(work,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(part.workers, len(todo)), max_tasks_in_flight_per_actor=2),
        **part.each,
    )
    try:
        for row in made.iter_rows():
            yield row["facts"]
    except (ray.exceptions.RayError, DhrError) as error:
        raise cause(error) from None


def _ended(job: Job, fitted: Fitted, tally: Tally) -> Outcome:
    """Return the result, and write it into the record."""
    counts = {
        "photographs": tally.masks + tally.failed,
        "masks": tally.masks,
        "skipped": tally.failed,
        "with a vanished class": tally.vanished,
    }
    if tally.failed > len(tally.problems):
        left = tally.failed - len(tally.problems)
        job.notes.append(
            f"{counted(left, 'more photograph')} without a mask; the column `reason` of the rows names all."
        )
    learned = f"Classifier and survey learned from {counted(fitted.photographs, 'photograph')}, drawn by class."
    notes = tuple(dict.fromkeys((learned, *fitted.record.notes, *job.notes)))
    job.notes = [*notes]
    rows = job.record.stages
    job.record = replace(job.record, counts=counts, seconds=round(sum(row.seconds or 0.0 for row in rows), 3))
    return Outcome(job.folder.root, tally.masks, tally.new, tuple(job.problems), rows, tally.vanished, notes)
