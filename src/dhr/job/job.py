"""One call's work in an output folder, and the stages that it goes through."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch

from dhr.errors import OutputError
from dhr.job.deterministic import make_deterministic
from dhr.job.folder import OutputFolder
from dhr.job.meter import measured
from dhr.job.settings import differences
from dhr.progress import Progress, silent
from dhr.records.members import to_json
from dhr.records.problem import Problem
from dhr.records.run import Identity, RunRecord, StageRecord

ANOTHER = "choose another --out"


@dataclass(kw_only=True)
class Job:
    """All that the stages of a job share."""

    folder: OutputFolder
    device: torch.device
    before: RunRecord | None
    """The record in the folder at the start; None in a new folder."""
    record: RunRecord
    """The present record."""
    progress: Progress = silent
    leads: bool = True
    """Whether this process writes to the folder; of several processes only the first does."""
    changes: bool = True
    """Whether there is work to record; the record of a finished job stays as it is."""
    tentative: bool = False
    """Whether the next call may still have other settings; until then the record does not hold them."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(
        cls,
        out: Path,
        describe: Callable[[RunRecord | None], RunRecord],
        device: torch.device,
        names: Iterable[str] = (),
        **more: Any,
    ) -> Iterator[Self]:
        """Hold the folder for the block, read its record, and write that the job is finished at the end.

        Torch is made deterministic in the whole process, so that results can be repeated byte for byte.

        Args:
            out: a new or empty folder, or one of a job of the same kind.
            describe: makes the record of the job, given the record in the folder or None.
            device: the device of the networks.
            names: names of the photographs; so many that no folder should hold the files of all get shards.
            more: further members of the job.

        Raises:
            OutputError: the folder cannot be written, or belongs to something else.
        """
        make_deterministic()
        folder, leads = OutputFolder(Path(out)), more.get("leads", True)
        with closing(folder.lock()) if leads else nullcontext():
            before = folder.read()
            folder = folder.with_shards(before, names)
            now = replace(same_kind(describe(before), before, out), shards=folder.shards)
            changes = before is None or before.status == "running"
            notes = [*before.notes] if before is not None and changes else []
            job = cls(folder=folder, device=device, before=before, record=now, changes=changes, notes=notes, **more)
            yield job
            if job.changes and job.leads:
                job.folder.remove_partial()
                job.save(status="finished", redo=None)

    def differences(self, now: Identity) -> list[str]:
        """Return each part of the identity that differs from the folder's; unknown parts are ignored."""
        if self.before is None:
            return []
        old, new = (self._parts(one) for one in (self.before.identity, now))
        known = old.keys() & new.keys()  # a job that was killed during its scan has recorded no photographs
        return differences({key: old[key] for key in known}, {key: new[key] for key in known})

    def refuse_other(self, now: Identity) -> None:
        """Take the identity of the job, unless it differs from what the folder holds.

        Raises:
            OutputError: it differs.
        """
        if found := self.differences(now):
            raise OutputError(f"{other_run(self.folder.root, found)}; {ANOTHER}, or restore the old settings or files")
        self.record = replace(self.record, identity=now)

    @staticmethod
    def _parts(identity: Identity) -> dict[str, Any]:
        found = {name: value for name, value in to_json(identity).items() if value not in ("", {})}
        return {"photographs and tags" if name == "data" else name: value for name, value in found.items()}

    def save(self, **facts: Any) -> None:
        """Change the record; write it if this process writes to the folder and there is work to record."""
        self.record = replace(self.record, **facts)
        if self.leads and self.changes:
            skipped, notes = tuple(self.problems), tuple(dict.fromkeys(self.notes))
            self.record = replace(self.record, skipped=skipped, notes=notes)
            known = replace(self.record.identity, settings={}) if self.tentative else self.record.identity
            self.folder.write_record(replace(self.record, identity=known))

    def choose(self, training: str, **values: int) -> None:
        """Record the values of settings that were chosen for a training."""
        self.save(fitted={**self.record.fitted, training: values})

    def stage(self, name: str) -> StageRecord | None:
        """Return the record of a stage; None if it has never begun."""
        return next((row for row in self.record.stages if row.name == name), None)

    def turn(self, name: str) -> int:
        """Return how many times a stage was begun with other photographs or settings, from 1."""
        row = self.stage(name)
        return 1 if row is None else row.turn

    def is_made(self, name: str) -> bool:
        """Return whether a stage is finished according to the record."""
        row = self.stage(name)
        return row is not None and row.made

    def begin_again(self, names: Sequence[str]) -> None:
        """Mark stages as not made; their files then belong to an earlier turn."""
        turn = 1 + max((row.turn for row in self.record.stages), default=1)
        for name in names:
            self.put(replace(self.stage(name) or StageRecord(name), turn=turn, begun=False, made=False))

    def put(self, row: StageRecord) -> None:
        """Replace the record of a stage, or add it."""
        known = [one.name for one in self.record.stages]
        rows = list(self.record.stages)
        if row.name in known:
            rows[known.index(row.name)] = row
        else:
            rows.append(row)
        self.record = replace(self.record, stages=tuple(rows))


_KEPT = ("stages", "redo", "batch", "fitted", "calibration", "survey", "taught")
"""Members of a record that a call that goes on takes over: a finished stage does not find them out again."""

AJob = TypeVar("AJob", bound=Job)


@dataclass(frozen=True)
class Stage(Generic[AJob]):
    """A part of a job that is finished before the next begins."""

    name: str
    """Its name in the record and in the progress."""
    run: Callable[[AJob], None]
    """Does the work; the next call continues interrupted work."""
    done: Callable[[AJob], bool] = lambda job: False
    """Returns whether the work is done already."""


def go(job: AJob, stages: Sequence[Stage[AJob]]) -> None:
    """Run the stages that are not done, and record each."""
    for stage in stages:
        if stage.done(job):
            continue
        with measured(job.device) as cost:
            stage.run(job)
        job.put(cost.added(job.stage(stage.name), stage.name))
        job.save()


def same_kind(now: RunRecord, before: RunRecord | None, out: Path) -> RunRecord:
    """Return the record of a call that continues the job ``before``, if there is one.

    Raises:
        OutputError: that is a job of another kind.
    """
    if before is None:
        return now
    if before.identity.settings and before.kind != now.kind:
        raise OutputError(f"{out} holds results of `dhr {before.kind}`; {ANOTHER}")
    if before.identity.settings and before.rows != now.rows:
        engine = "with" if before.rows else "without"
        raise OutputError(f"{out} holds a run {engine} --engine ray; start it so again, or {ANOTHER}")
    return replace(now, **{name: getattr(before, name) for name in _KEPT})


def other_run(root: Path, found: Sequence[str]) -> str:
    """Name the differences between the job in a folder and the present one."""
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"{root} holds another run: {'; '.join(found[:3])}{more}"
