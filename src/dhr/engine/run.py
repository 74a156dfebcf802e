"""A run with Ray: the networks are fitted in one task, then workers make the masks, unit after unit."""

import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dhr.data.manifest import ManifestDataSet
from dhr.engine.cluster import Share, cluster, share
from dhr.engine.config import RunEngine
from dhr.engine.deaths import readable
from dhr.engine.fit import FitCall, Fitted, engine_config, fit, is_fitted
from dhr.engine.manifest import Manifest, Units
from dhr.engine.networks import FittedWork
from dhr.engine.pool import in_task
from dhr.engine.report import is_outdated, write_page
from dhr.engine.rows_job import Tally, make_rows, record_counts
from dhr.engine.sample import drawn
from dhr.errors import WorkerError
from dhr.job.drafts import group_size
from dhr.job.job import Job
from dhr.job.run import Origin, Outcome
from dhr.job.settings import RunConfig
from dhr.progress import Progress, silent
from dhr.records.run import RunRecord
from dhr.words import counted

_NAMED = 5  # photographs in a note


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
            work = FittedWork(call.out.resolve(), config, manifest, fitted.record, fitted.digests, fitted.looked_at)
            size = group_size(torch.device(str(fitted.record.identity.settings["device"])))
            tally = make_rows(ray, part, work, job, "masks", size)
            outcome = _ended(job, fitted, tally)
        if is_outdated(call.out):
            write_page(ray, call.out, manifest, progress)
        return outcome


def _before(before: RunRecord | None) -> RunRecord:
    """Return the record of the folder until the task has described the job."""
    return replace(before or RunRecord(), rows=True, status="running")


def _fitted(ray: Any, part: Share, call: Call, manifest: Manifest, progress: Progress) -> Fitted:
    """Fit the networks in a task of Ray, and wait for it."""
    sample = ManifestDataSet(manifest.classes, ())
    if not is_fitted(call.out):
        Units(manifest.rows + 1).run(manifest)  # an id that occurs twice is found before the networks are fitted
        sample = drawn(manifest, call.engine.fit_on)
    digest = f"{manifest.digest} {call.engine.fit_on or ''}".strip()
    task = FitCall(call.out.resolve(), call.config, call.origin, digest, tuple(sys.argv))
    try:
        found = in_task(ray, part.fit, partial(fit, task, sample), progress)
    except WorkerError:
        kept = readable(ray, sample)
        if len(kept.samples) == len(sample.samples):
            raise
        found = in_task(ray, part.fit, partial(fit, task, kept), progress)
        lost = sorted({one.name for one in sample.samples} - {one.name for one in kept.samples})
        note = (
            f"{counted(len(lost), 'photograph')} ended the process that read them, so nothing was learned from them: "
            f"{', '.join(lost[:_NAMED])}{' and others' if lost[_NAMED:] else ''}."
        )
        found = replace(found, record=replace(found.record, notes=(*found.record.notes, note)))
    assert isinstance(found, Fitted)
    return found


def _ended(job: Job, fitted: Fitted, tally: Tally) -> Outcome:
    """Return the result, and write it into the record."""
    learned = f"Classifier and survey learned from {counted(fitted.photographs, 'photograph')}, drawn by class."
    notes = tuple(dict.fromkeys((learned, *fitted.record.notes, *job.notes)))
    job.notes = [*notes]
    record_counts(job, tally)
    rows = job.record.stages
    return Outcome(job.folder.root, tally.masks, tally.new, tuple(job.problems), rows, tally.vanished, notes)
