"""The run: photographs and tags in, masks out. The next call continues an interrupted run, with the same result."""

import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import dhr
from dhr.data.samples import DataSet, Problem
from dhr.job import stages
from dhr.job.announce import announce
from dhr.job.changes import Call, refuse_settings
from dhr.job.data_job import DataJob
from dhr.job.job import Stage, go
from dhr.job.notes import learned_note, unused_note
from dhr.job.settings import RunConfig, plain
from dhr.job.settle import settle
from dhr.parsing import as_number
from dhr.progress import Progress, silent
from dhr.records.run import DataRecord, Identity, RunRecord, StageRecord
from dhr.tensors import read_tensors

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "numba", "pillow")


@dataclass(frozen=True)
class Outcome:
    """The result of a run."""

    out: Path
    masks: int
    """Finished masks in the output folder."""
    new: int
    """Masks that this call made."""
    skipped: tuple[Problem, ...]
    stages: tuple[StageRecord, ...]
    """Seconds and peak memory by stage."""
    vanished: int
    """Masks in which a tagged class has no pixel."""
    notes: tuple[str, ...] = ()
    """Facts on the masks, one sentence each."""


@dataclass(frozen=True)
class Origin:
    """Facts on a call, for `run.json`."""

    preset: str = "default"
    """Name of the settings."""
    data: DataRecord | None = None
    """The data folder; None for a data set in memory."""


def run(
    data: DataSet,
    out: Path,
    config: RunConfig,
    *,
    origin: Origin = Origin(),
    redo: str | None = None,
    keep_classifier: bool = False,
    progress: Progress = silent,
) -> Outcome:
    """Make a mask for every photograph of ``data`` in the folder ``out``.

    In a folder that holds a run, only missing files are made. If photographs, tags or classes changed, their masks are
    made again, and everything that was trained on them. See docs/design.md, "Runs that go on".

    Args:
        data: photographs with tags; ground truth is never read.
        out: a new or empty folder, or one that holds a run.
        config: all settings.
        origin: facts on the call, for run.json only.
        redo: the first stage that is made again, one of :data:`~dhr.job.changes.ORDER`; needed if settings changed.
        keep_classifier: keep all trained networks although photographs or tags changed.
        progress: called as the work goes on.

    Raises:
        DataError: no photograph can be read.
        OutputError: ``out`` cannot be written, holds something else, or a run with other settings.
        WeightsError: a model's weights cannot be had.
        ConfigError: a setting cannot work.
    """
    device, call = config.find_device(), Call(redo, keep_classifier)
    describe = partial(describe_run, data, config, device, origin)
    names = (sample.name for sample in data.samples)
    with DataJob.open(out, describe, device, names, data=data, config=config, progress=progress) as job:
        job.tentative = job.before is None or not job.before.identity.settings
        refuse_settings(job, call)
        if job.before is None:
            go(job, [stages.models()])
        go(job, [stages.photographs(partial(settle, call=call))])
        if job.final.unfinished(job.usable):
            job.changes = True
            go(job, [stages.models(), stages.map_files()])
        todo = len(job.final.unfinished(job.usable))
        ready = len(job.usable.samples) - todo
        if todo:
            announce(job)
            go(job, work(job))
        return _ended(job, ready)


def work(job: DataJob) -> list[Stage[DataJob]]:
    """Return the stages of a run after its scan."""
    fitted = [stages.training(fitting) for fitting in job.built.source.fittings]
    student = [stages.student(), stages.second_masks()] if job.config.recursion else []
    return [*fitted, stages.calibration(), stages.survey(), stages.masks(), *student]


def describe_run(
    data: DataSet, config: RunConfig, device: torch.device, origin: Origin, before: RunRecord | None
) -> RunRecord:
    """Return the record of a run that begins, in the folder of the run ``before`` if there is one."""
    known: Mapping[str, Any] = {} if before is None else before.identity.settings
    return RunRecord(
        Identity(dhr.__version__, _libraries(), config.identity(device, known)),
        dhr=dhr.__version__,
        command=tuple(sys.argv),
        preset=origin.preset,
        seed=config.seed,
        device=_describe(device),
        classes=tuple(data.classes.names),
        background=data.classes.background,
        data=origin.data,
        directory=str(Path.cwd()),
        settings=plain(asdict(config)),
        versions={"python": platform.python_version(), **_libraries()},
        batch=None if before is None else before.batch,
    )


def _ended(job: DataJob, ready: int) -> Outcome:
    """Return the result of a run, and write it into the record; ``ready`` masks were finished before."""
    if job.changes and not job.config.work_bytes():
        job.folder.remove_partial("survey")
    if job.models is not None and (store := job.models.uss.store) is not None:
        job.record = replace(job.record, features=job.models.uss.account())
        job.notes += _damaged(store.damaged)
    _count_changes(job)
    samples = job.usable.samples
    masks = len(samples) - len(job.final.unfinished(job.usable))
    vanished = sum(job.final.known.get(sample.name, False) for sample in samples)
    rows = job.record.stages
    counts = {
        "photographs": masks + len(job.problems) + len(job.usable.rejected),
        "masks": masks,
        "skipped": len(job.problems),
        "with a vanished class": vanished,
    }
    job.record = replace(job.record, counts=counts, seconds=round(sum(row.seconds or 0.0 for row in rows), 3))
    notes = tuple(dict.fromkeys(job.notes))
    return Outcome(job.folder.root, masks, masks - ready, tuple(job.problems), rows, vanished, notes)


def _count_changes(job: DataJob) -> None:
    """Record how many masks changed after the run has learned from corrections."""
    taught, changed = job.record.taught, job.final.changed
    if taught is None or taught.changed is not None or job.final.unfinished(job.usable):
        return
    taught = replace(taught, changed=len(changed), pixels=sum(changed.values()))
    job.record = replace(job.record, taught=taught)
    mended = {name for name, one in job.corrections.items() if one.certain}
    sizes = [seen.height * seen.width for name, seen in job.usable.seen.items() if name not in mended]
    job.notes += [learned_note(taught, sizes), *unused_note(_trust(job))]


def _trust(job: DataJob) -> float:
    """Return the trust of the survey, 0..1; 0 without one, because no photograph could be used."""
    if job.survey is not None:
        return job.survey.trust
    try:  # an earlier call made the last mask
        tensors, _ = read_tensors(job.folder.survey)
        return as_number(float(tensors["trust"]), 0, 1, "trust")
    except (OSError, ValueError, KeyError):
        return 0.0


def _damaged(kept: tuple[str, ...] | list[str]) -> list[str]:
    """Report damaged features of the store in one line."""
    more = f"; {len(kept) - 1} more were damaged, too" if len(kept) > 1 else ""
    return [f"{kept[0]}; computed again{more}"] if kept else []


def _libraries() -> dict[str, str]:
    """Return the versions of the libraries that the bytes of a mask depend on."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"
