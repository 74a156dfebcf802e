"""The work that a run would do; nothing is written."""

from dataclasses import dataclass
from pathlib import Path

from dhr.data.samples import DataSet, Problem
from dhr.job.changes import Call, refuse_settings
from dhr.job.data_job import DataJob
from dhr.job.folder import OutputFolder
from dhr.job.job import same_kind
from dhr.job.left import LeftStage, left_stages
from dhr.job.run import Origin, describe_run
from dhr.job.settings import RunConfig
from dhr.job.settle import decision
from dhr.progress import Progress, silent


@dataclass(frozen=True)
class DryRun:
    """The stages that a run would make, and the files that it would move."""

    stages: tuple[LeftStage, ...]
    """Empty if all stages are finished."""
    changes: str | None
    """Differences of photographs, tags and classes from the last call, and their consequences."""
    gone: tuple[str, ...]
    """Photographs that are gone; their files would be put aside."""
    corrected: tuple[str, ...]
    """Photographs with the mask of a person, which stays."""
    outdated: tuple[str, ...]
    """Photographs with a correction that is not used."""
    skipped: tuple[Problem, ...]
    """Photographs that cannot be used."""
    rejected: tuple[str, ...] = ()
    """Photographs that were rejected in review, and are left out."""


def dry_run(
    data: DataSet,
    out: Path,
    config: RunConfig,
    *,
    redo: str | None = None,
    keep_classifier: bool = False,
    progress: Progress = silent,
) -> DryRun:
    """Return the work that :func:`~dhr.job.run.run` would do with the same arguments.

    Photographs are read, as a run reads them; models are not built.

    Raises:
        DataError: no photograph can be read.
        OutputError: ``out`` holds something else, or a run with other settings.
        ConfigError: a setting cannot work.
    """
    device, call, folder = config.find_device(), Call(redo, keep_classifier), OutputFolder(Path(out))
    before = folder.read()
    folder = folder.with_shards(before, ())
    now = describe_run(data, config, device, Origin(), before)
    job = DataJob(
        folder=folder, device=device, before=before, record=same_kind(now, before, out), progress=progress,
        leads=False, data=data, config=config,
    )  # fmt: skip
    refuse_settings(job, call)
    job.scan()
    decided = decision(job, call)
    job.begin_again(decided.stages)
    job.learn()
    corrected, edited = _corrected(job), job.learns
    if edited:
        job.begin_again(edited)
        job.forget_masks()
        _corrected(job)
    why = _why(decided.note or (str(job.teaching) if edited else None), redo)
    return DryRun(
        stages=tuple(left_stages(job, why, (*decided.stages, *edited))),
        changes=decided.note,
        gone=tuple(job.final.gone([sample.name for sample in data.samples])),
        corrected=tuple(corrected),
        outdated=tuple(sorted(job.usable.decisions.outdated)),
        skipped=tuple(job.problems),
        rejected=tuple(sample.name for sample in job.usable.rejected),
    )


def _corrected(job: DataJob) -> list[str]:
    """Look at the masks of people, and return the names of their photographs."""
    for items in {id(one): one for one in (job.first, job.final)}.values():
        items.person.acts = False
        for sample in (*job.usable.samples, *job.usable.rejected):
            items.settle(items.present(sample, job.usable))
    return sorted(job.final.person.given_back)


def _why(note: str | None, redo: str | None) -> str | None:
    """Return why stages are made again: the first part of the note, as the rest lists these stages."""
    return note.partition("; ")[0] if note else "asked for by --redo" if redo else None
