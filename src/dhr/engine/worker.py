"""A worker: it holds the networks of a job, and makes the masks of one unit after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dhr.data.manifest import Row as Photo
from dhr.data.samples import ClassTable, Problem
from dhr.engine.held import Held
from dhr.engine.known import KnownRows
from dhr.engine.manifest import Manifest, Unit, UnitReader
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


@dataclass(frozen=True)
class Assignment:
    """The work of all workers of a job."""

    work: Work
    again: Mapping[int, Held] = field(default_factory=dict)
    """The units of which there are rows, by number."""
    dead: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """Photographs that are not to be opened, with reasons, by the number of their unit."""


class Worker:
    """An actor of Ray, which :class:`~dhr.engine.pool.Guarded` holds."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment, self.work = assignment, assignment.work
        self.reader = UnitReader(self.work.manifest)
        self.masks = self.work.opened()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Make the rows of units, and return facts on them."""
        return {"facts": [self._made(unit) for unit in Unit.of(batch)]}

    def known(self, unit: Unit) -> KnownRows:
        """Return the rows of a unit that were written before."""
        held = self.assignment.again.get(unit.number, Held.nothing(unit))
        return KnownRows.read(self.work.out, held, self.work.settings)

    def _made(self, unit: Unit) -> Any:
        """Make the masks of a unit."""
        there, dead = self.known(unit), self.assignment.dead.get(unit.number, {})
        photographs = [
            (name, Problem(name, dead[name]) if name in dead else one) for name, one in self.reader.read(unit)
        ]
        made = self.masks.rows(photographs, there.rows)
        if made is not None:
            there.write(made, self.work.classes, self.work.settings)
        rows = there.rows if made is None else made
        masks = [row.record for row in rows if row.record is not None]
        failed = [[row.id, row.reason] for row in rows if row.record is None]
        return {
            "unit": unit.number,
            "masks": len(masks),
            "failed": unit.rows - len(masks),
            "vanished": sum(bool(record.vanished) for record in masks),
            "new": len(masks) - sum(row.record is not None for row in there.rows),
            "reasons": failed[:_REASONS],
        }
