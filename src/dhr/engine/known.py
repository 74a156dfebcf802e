"""The rows of a unit that were written before, and the writing of those that were not."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dhr.data.samples import ClassTable
from dhr.engine.held import Held
from dhr.engine.part import part_path, read_unit, write_part
from dhr.errors import OutputError
from dhr.results.part import PartError
from dhr.results.row import Row


@dataclass(frozen=True)
class KnownRows:
    """The rows of a unit that are there."""

    held: Held
    target: Path
    """The file for new rows."""
    own: Sequence[Row]
    """The rows in this file."""
    others: Mapping[str, Row]
    """The rows in other files, without their masks, by id."""

    @classmethod
    def read(cls, out: Path, held: Held, settings: str) -> "KnownRows":
        """Read the rows of a unit.

        Raises:
            OutputError: a file that holds other units too is damaged.
        """
        target, others, own = part_path(out, held.target), list[Row](), list[Row]()
        with suppress(PartError):  # it is missing or damaged: its rows are made again
            own = read_unit(target, held.unit.number, settings)
        for path in (part_path(out, name) for name in held.others):
            try:
                others += read_unit(path, held.unit.number, settings, masks=False)
            except PartError as error:
                raise OutputError(f"{path}: {error}") from error
        others.sort(key=lambda row: row.record is not None)
        return cls(held, target, own, {row.id: row for row in others})

    @property
    def rows(self) -> list[Row]:
        """All rows, each id once: the one with a mask, if there is one."""
        found = {row.id: row for row in self.own}
        return list((found | {name: row for name, row in self.others.items() if counts(row, found.get(name))}).values())

    def write(self, rows: Sequence[Row], classes: ClassTable, settings: str) -> None:
        """Write those rows of the unit that the other files do not hold; raises OutputError."""
        if wanted := [row for row in rows if counts(row, self.others.get(row.id))]:
            write_part(self.target, self.held.unit, wanted, classes, settings)


def counts(row: Row, before: Row | None) -> bool:
    """Return whether a row counts more than another one: a mask counts more than a reason."""
    return before is None or (row.record is not None and before.record is None)
