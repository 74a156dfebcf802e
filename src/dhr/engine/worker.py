"""A worker: it holds the networks of a job, and makes the masks of one unit after another."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dhr.data.manifest import Row as Photo
from dhr.data.samples import ClassTable, Problem
from dhr.engine.manifest import Manifest, Unit, UnitReader
from dhr.engine.part import Facts, read_facts, read_part, write_part
from dhr.errors import DhrError
from dhr.results.row import Row

_REASONS = 20  # failed photographs of a unit that are reported; the rows have them all


@runtime_checkable
class Masks(Protocol):
    """Networks that make the masks of units."""

    def rows(self, photographs: Sequence[tuple[str, Photo | Problem]], known: Sequence[Row]) -> list[Row] | None:
        """Return a row for each photograph of a unit, in their order; None if there is nothing new.

        Args:
            photographs: all rows of the unit in the manifest, with their ids.
            known: rows of an earlier call. Those with a mask stay; the others are tried again.
        """
        ...


@runtime_checkable
class Work(Protocol):
    """All that a worker needs, beside files that all machines share."""

    @property
    def out(self) -> Path:
        """The output folder."""
        ...

    @property
    def manifest(self) -> Manifest:
        """The photographs."""
        ...

    @property
    def classes(self) -> ClassTable:
        """Those of the masks."""
        ...

    @property
    def settings(self) -> str:
        """Digest of the job's identity, which each row holds."""
        ...

    def opened(self) -> Masks:
        """Open the networks on this machine.

        Raises:
            DhrError: this machine has another version of dhr, or other files.
        """
        ...


class Worker:
    """An actor of Ray. A failure to begin is raised with the first unit, because Ray keeps it as an exception there."""

    def __init__(self, work: Work) -> None:
        self.work, self.reader = work, UnitReader(work.manifest)
        self.masks: Masks | None = None
        self.failure: DhrError | None = None
        try:
            self.masks = work.opened()
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
        out, classes, settings = self.work.out, self.work.classes, self.work.settings
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
