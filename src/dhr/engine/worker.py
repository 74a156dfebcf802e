"""A worker: it holds the networks of a run, and makes the masks of one unit after another."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dhr
from dhr.data.manifest import ManifestDataSet
from dhr.engine.manifest import Manifest, Unit, UnitReader
from dhr.engine.masks import UnitMasks
from dhr.engine.part import Facts, read_facts, read_part, write_part
from dhr.errors import ConfigError, DhrError, OutputError
from dhr.files import digest_regular
from dhr.flow.halving import BatchSize
from dhr.job.folder import OutputFolder
from dhr.job.mender_models import opened_maker
from dhr.job.opened_run import OpenedRun
from dhr.job.settings import RunConfig
from dhr.records.run import RunRecord
from dhr.results.row import Row, settings_digest

_REASONS = 20  # failed photographs of a unit that are reported; the rows have them all


@dataclass(frozen=True)
class Work:
    """All that a worker needs, beside the files in the output folder."""

    out: Path
    config: RunConfig
    manifest: Manifest
    record: RunRecord
    """The record of the job, after fitting."""
    digests: Mapping[str, str]
    """Digests of the fitted files in the output folder."""
    looked_at: frozenset[str]

    @property
    def settings(self) -> str:
        """Digest of the run's identity, which each row holds."""
        return settings_digest(self.record.identity)


class Worker:
    """An actor of Ray. A failure to begin is raised with the first unit, because Ray keeps it as an exception there."""

    def __init__(self, work: Work) -> None:
        self.work, self.reader = work, UnitReader(work.manifest)
        self.masks: UnitMasks | None = None
        self.failure: DhrError | None = None
        try:
            self.masks = opened(work)
        except DhrError as error:
            self.failure = error

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Make the rows of units, and return facts on them."""
        if self.failure is not None:
            raise self.failure
        columns = ("number", "start", "stop", "rows")
        units = [Unit(*map(int, one)) for one in zip(*(batch[name] for name in columns), strict=True)]
        return {"facts": [self._made(unit) for unit in units]}

    def _made(self, unit: Unit) -> dict[str, Any]:
        assert self.masks is not None
        out, classes, settings = self.work.out, self.work.manifest.classes, self.work.settings
        facts, known = read_facts(out, unit, settings), list[Row]()
        if facts is not None:
            try:
                known = read_part(out, unit, classes)
            except (OSError, ValueError):  # it is damaged: all is made again
                facts = None
        rows = self.masks.rows(self.reader.read(unit), known)
        if rows is not None:
            facts = write_part(out, unit, rows, classes, settings)
        assert isinstance(facts, Facts)
        failed = [[row.id, row.reason] for row in rows or known if row.record is None]
        new = facts.masks - sum(row.record is not None for row in known)
        return {"unit": unit.number, "new": new, **asdict(facts), "reasons": failed[:_REASONS]}


def opened(work: Work) -> UnitMasks:
    """Build the networks of a run on this machine.

    Raises:
        DhrError: this machine has another version of dhr, lacks a file, or has one with another content.
    """
    check(work)
    config = replace(work.config, device=work.config.device if torch.cuda.is_available() else "cpu")
    device = config.find_device()
    wanted = str(work.record.identity.settings.get("device"))
    if device.type != wanted:
        raise ConfigError(f"a worker has the device {device.type}, but the networks were fitted on {wanted}; add "
                          f"--device {wanted}, or another --out")  # fmt: skip
    data = ManifestDataSet(work.manifest.classes, ())
    maker = opened_maker(OpenedRun(OutputFolder(work.out), work.record, data, config))
    size = BatchSize(work.record.batch or 1, lambda line: None)
    return UnitMasks(maker, work.settings, work.looked_at, size)


def check(work: Work) -> None:
    """Compare this machine's program and files with those of the driver.

    Raises:
        ConfigError: the version of dhr is another.
        OutputError: a fitted file is missing, or has another content.
    """
    if dhr.__version__ != work.record.identity.dhr:
        raise ConfigError(
            f"a worker has dhr {dhr.__version__}, the job was started with {work.record.identity.dhr}; install the "
            "same version on all machines"
        )
    for name, digest in work.digests.items():
        path = work.out / name
        try:
            found = digest_regular(path)
        except OSError as error:
            raise OutputError(
                f"a worker cannot read {path} ({error.strerror or error}); --out must be on a disk that all share"
            ) from error
        if found != digest:
            raise OutputError(f"a worker has another {path} than the job; --out must be on a disk that all share")
