"""A student on a manifest with Ray: workers segment its photographs, as rows."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from dhr.engine.cluster import cluster, share
from dhr.engine.config import Engine
from dhr.engine.manifest import Manifest
from dhr.engine.pool import in_task
from dhr.engine.predictions import Described, StudentWork, describe
from dhr.engine.report import is_outdated, write_page
from dhr.engine.rows_job import make_rows, record_counts
from dhr.job.drafts import group_size
from dhr.job.job import Job
from dhr.job.predict_config import PredictConfig
from dhr.job.run import Outcome
from dhr.progress import Progress, silent
from dhr.records.run import RunRecord


@dataclass(frozen=True)
class PredictCall:
    """A call of :func:`predict`."""

    student: Path
    data: Path
    """A manifest: a file, or a folder of files."""
    out: Path
    config: PredictConfig
    engine: Engine
    tagged: bool = False
    """Whether a photograph gets only its tagged classes and the background."""


def predict(call: PredictCall, progress: Progress = silent) -> Outcome:
    """Segment every photograph of a manifest, as rows in ``out/rows``; the next call continues.

    Raises:
        DhrError: as :func:`dhr.job.predict.predict`; or the cluster cannot be used.
    """
    manifest, student = Manifest.open(call.data, None, call.tagged), call.student.resolve()
    with cluster(call.engine.address) as ray:
        part = share(ray, call.engine.workers, call.config.device)
        opened = partial(describe, student, call.config, manifest.digest, call.tagged)
        about = in_task(ray, part.each, opened, progress)
        assert isinstance(about, Described)
        with Job.open(call.out, partial(_described, about), torch.device("cpu"), progress=progress) as job:
            job.refuse_other(about.identity)
            work = StudentWork(call.out.resolve(), student, about.config, manifest, job.record)
            size = group_size(torch.device(str(about.identity.settings["device"])))
            tally = make_rows(ray, part, work, job, "predict", size)
            record_counts(job, tally)
            notes = tuple(dict.fromkeys(job.notes))
            stages = job.record.stages
            made = Outcome(job.folder.root, tally.masks, tally.new, tuple(job.problems), stages, tally.vanished, notes)
        if is_outdated(call.out):
            write_page(ray, call.out, manifest, progress)
        return made


def _described(about: Described, before: RunRecord | None) -> RunRecord:
    names, background = tuple(about.classes.names), about.classes.background
    now = RunRecord(about.identity, kind="predict", dhr=about.identity.dhr, classes=names, background=background)
    return replace(now, rows=True, status="running", batch=about.batch if before is None else before.batch)
