"""One file of rows of a job: the rows of a unit, or of several joined ones; its metadata tell which."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any

from dhr.data.parquet import arrow
from dhr.data.samples import ClassTable
from dhr.engine.manifest import Unit
from dhr.files import inside, write_atomic
from dhr.parsing import Fields, as_whole, parse_json
from dhr.results.names import PartName
from dhr.results.part import REMEDY, Part, PartError
from dhr.results.places import ROWS
from dhr.results.row import PARQUET, SCHEMA, Row, rows_of, rows_table
from dhr.words import one_line

KEY = b"dhr.units"
"""Key of the facts on the units of a file, in its metadata."""
_LARGEST = 1 << 40  # numbers of units and of rows
_UNITS = 1 << 20  # units of a file


@dataclass(frozen=True)
class Facts:
    """The rows of a unit in one file, in short."""

    number: int
    """Of the unit."""
    start: int
    """Its first row in the manifest."""
    stop: int
    """The row after its last one."""
    masks: int
    """Rows with a mask in this file."""
    failed: int
    """Rows with a reason in this file."""
    vanished: int
    """Masks in which a tagged class has no pixel."""


@dataclass(frozen=True)
class About:
    """The content of a file, in short."""

    settings: str
    """Digest of the run's identity."""
    units: tuple[Facts, ...]

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """The entry of the file's metadata."""
        found = {"settings": self.settings, "units": [astuple(one) for one in self.units]}
        return {KEY: json.dumps(found, separators=(",", ":")).encode()}

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(one.masks + one.failed for one in self.units)


def part_path(out: Path, name: PartName) -> Path:
    """Return the place of a file of rows."""
    return inside(out, f"{ROWS}/{name}")


def write_part(path: Path, unit: Unit, rows: Sequence[Row], classes: ClassTable, settings: str) -> Facts:
    """Write rows of a unit in the place of earlier ones; a reader finds the old file or the new one.

    Raises:
        OutputError: the disk refuses.
    """
    pa = arrow()
    made = [row.record for row in rows if row.record is not None]
    vanished = sum(bool(record.vanished) for record in made)
    facts = Facts(unit.number, unit.start, unit.stop, len(made), len(rows) - len(made), vanished)
    table = rows_table(rows, classes)
    table = table.replace_schema_metadata({**table.schema.metadata, **About(settings, (facts,)).metadata})

    def write(file: IO[bytes]) -> None:
        pa.parquet.write_table(table, file, **PARQUET)

    write_atomic(path, write)
    return facts


def about(part: Part) -> About:
    """Return the facts on an open file.

    Raises:
        PartError: they do not fit its rows, or it is not that of a job.
    """
    try:
        found = Fields(parse_json(part.metadata[KEY].decode()), "units")
        made = About(found.text("settings"), tuple(_facts(one) for one in found.entries("units", _UNITS)))
        if not made.units or made.rows != part.starts[-1]:
            raise ValueError(f"expected {made.rows} rows, found {part.starts[-1]}")
    except (ValueError, KeyError) as error:
        raise PartError(f"it does not tell its units ({one_line(error)}); {REMEDY}") from error
    return made


def read_about(path: Path) -> About:
    """Return the facts on a file; raises :class:`~dhr.results.part.PartError`."""
    with closing(Part(path)) as part:
        return about(part)


def read_unit(path: Path, unit: int, settings: str, masks: bool = True) -> list[Row]:
    """Return the rows of a unit in a file.

    Args:
        path: the file.
        unit: its number.
        settings: digest of the run's identity.
        masks: whether to read the masks too.

    Raises:
        PartError: the file cannot be used, or is one of another run.
    """
    columns = [name for name in SCHEMA.names if masks or name != "mask"]
    with closing(Part(path)) as part:
        found, stop = about(part), 0
        if found.settings != settings:
            raise foreign()
        for one in found.units:
            start, stop = stop, stop + one.masks + one.failed
            if one.number == unit:
                return [row for table in _tables(part, start, stop, columns) for row in _rows(table, part.classes)]
        return []


def foreign() -> PartError:
    """Return the error for the file of another run."""
    return PartError("its rows are those of another run; delete it, or move it to its run")


def _tables(part: Part, start: int, stop: int, columns: Sequence[str]) -> Iterator[Any]:
    """Yield the rows from ``start`` to ``stop``, by row group."""
    for group in range(part.groups):
        first, last = int(part.starts[group]), int(part.starts[group + 1])
        low, high = max(start, first), min(stop, last)
        if low < high:
            yield part.read(group, columns).slice(low - first, high - low)


def _rows(table: Any, classes: ClassTable) -> list[Row]:
    try:
        return rows_of(table, classes)
    except ValueError as error:
        raise PartError(f"a row is damaged ({one_line(error)}); {REMEDY}") from error


def _facts(values: Any) -> Facts:
    if not isinstance(values, list) or len(values) != len(Facts.__match_args__):
        raise ValueError("expected six numbers per unit")
    return Facts(*(as_whole(one, 0, _LARGEST, "units") for one in values))
