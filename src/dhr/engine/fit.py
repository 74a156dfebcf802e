"""Fits all that the masks of a large data set need, on a sample of its photographs: the plain stages of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dhr.data.manifest import ManifestDataSet
from dhr.data.samples import Problem
from dhr.errors import ConfigError
from dhr.files import digest_regular, write_json
from dhr.job import stages
from dhr.job.data_job import DataJob
from dhr.job.folder import OutputFolder
from dhr.job.job import Stage, go
from dhr.job.run import Origin, describe_run
from dhr.job.settings import RunConfig
from dhr.parsing import MAX_RECORDS, Fields, load_json
from dhr.progress import Progress
from dhr.records.run import RunRecord


@dataclass(frozen=True)
class FitCall:
    """A call of :func:`fit`."""

    out: Path
    config: RunConfig
    origin: Origin
    digest: str
    """Of the manifest, and of the way in which the sample is drawn."""
    command: tuple[str, ...]


@dataclass(frozen=True)
class Fitted:
    """All that the masks depend on, beside the photographs."""

    record: RunRecord
    """The record of the job, after fitting."""
    digests: dict[str, str]
    """Digests of the fitted files, by their names in the output folder."""
    looked_at: frozenset[str]
    """Photographs of the sample from which the survey learned; their batches are apart."""
    photographs: int
    """Their number in the sample."""
    problems: tuple[Problem, ...] = ()
    """Photographs of the sample that cannot be used."""


def engine_config(config: RunConfig) -> RunConfig:
    """Return the settings of a run with an engine.

    Raises:
        ConfigError: they ask for files that rows cannot hold.
    """
    if config.doubtful > 0:
        raise ConfigError("--doubtful writes a second mask per photograph, which rows do not hold; leave it out")
    if config.features is not None:
        raise ConfigError("--features is for one machine; leave it out with --engine ray")
    if config.recursion:
        raise ConfigError("--recursion is for one machine; leave it out, and train a student on the rows: dhr train")
    if "files" in config.kinds:
        raise ConfigError("maps of other programs (wss.kind files) are for one machine; leave out --engine ray")
    return replace(config, stages=False, work_space="0")


def is_fitted(out: Path) -> bool:
    """Return whether the networks of a folder were fitted by an earlier call."""
    return _read(OutputFolder(out)) is not None


def fit(call: FitCall, sample: ManifestDataSet, progress: Progress) -> Fitted:
    """Fit classifier, calibration and survey, unless an earlier call has; the files are those of a plain run.

    The record is returned, and written by the caller.

    Args:
        call: the output folder, and the settings.
        sample: the photographs to learn from; empty if an earlier call has fitted all.
        progress: called as the work goes on.

    Raises:
        OutputError: the folder holds another run.
        DhrError: as :func:`dhr.job.run.run`.
    """
    device = call.config.find_device()
    describe = partial(_described, call, sample)
    with DataJob.open(
        call.out, describe, device, leads=False, data=sample, config=call.config, progress=progress
    ) as job:
        job.refuse_other(replace(job.record.identity, data=call.digest))
        identity = job.record.identity
        known = _read(job.folder)
        if known is None:
            go(job, [stages.models()])
            job.scan()
            job.record = replace(job.record, identity=identity)
            go(job, _stages(job))
            _write(job)
            job.folder.remove_partial("survey")
            known = _read(job.folder)
        assert known is not None
        record = replace(job.record, identity=identity, batch=known.whole("batch", 1, 1 << 20), notes=tuple(job.notes))
        looked_at = frozenset(known.texts("looked_at", 10_000_000))
        digests = {name: digest_regular(job.folder.root / name) for name in known.texts("files", 100)}
        return Fitted(record, digests, looked_at, known.whole("photographs", 0, 1 << 40), tuple(job.problems))


def _stages(job: DataJob) -> Sequence[Stage[DataJob]]:
    """Return the stages of a run but that of the masks that it ends with."""
    fitted = [stages.training(fitting) for fitting in job.built.source.fittings]
    return [*fitted, stages.calibration(), stages.survey()]


def _described(call: FitCall, sample: ManifestDataSet, before: RunRecord | None) -> RunRecord:
    made = describe_run(sample, call.config, call.config.find_device(), call.origin, before)
    return replace(made, rows=True, command=call.command)


def _write(job: DataJob) -> None:
    """Write what the workers need to know of the fit, when all files are there."""
    folder = job.folder
    files = [folder.fitted(fitting.file) for fitting in job.built.source.fittings]
    files += [folder.calibration, folder.survey]
    there = [path.relative_to(folder.root).as_posix() for path in files if path.is_file()]
    seen = stages.looked_at(job, job.usable)
    facts = {"files": there, "looked_at": [one.name for one in seen], "batch": job.batch.whole}
    write_json(_place(folder), {**facts, "photographs": len(job.usable.samples)}, indent=None)


def _read(folder: OutputFolder) -> Fields | None:
    """Return the facts of a finished fit; None if it is not finished, or its record is damaged."""
    try:
        found = Fields(load_json(_place(folder), MAX_RECORDS), "fit")
        names = found.texts("files", 100)
        if any(Path(name).name != name for name in names):
            raise ValueError("files: expected names of files in the output folder")
        found.texts("looked_at", 10_000_000), found.whole("batch", 1, 1 << 20), found.whole("photographs", 0, 1 << 40)
    except (OSError, ValueError):
        return None
    return found if all((folder.root / name).is_file() for name in names) else None


def _place(folder: OutputFolder) -> Path:
    return folder.fitted("work/fit.json")
