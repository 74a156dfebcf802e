"""The file of rows of a unit: one Parquet file, whose name is the unit's number."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from dhr.data.parquet import arrow
from dhr.data.samples import ClassTable
from dhr.engine.manifest import Unit
from dhr.errors import DataError
from dhr.files import inside, open_regular, write_atomic
from dhr.parsing import Fields, parse_json
from dhr.results.places import ROWS
from dhr.results.row import PARQUET, Row, rows_of, rows_table

KEY = b"dhr.unit"
"""Key of the facts on a unit in the metadata of its file."""
_LARGEST = 1 << 20  # rows


@dataclass(frozen=True)
class Facts:
    """The content of a unit's file, in short."""

    settings: str
    """Digest of the run's identity."""
    start: int
    stop: int
    masks: int
    failed: int
    """Rows without a mask."""
    vanished: int
    """Masks in which a tagged class has no pixel."""


def part_path(out: Path, unit: int) -> Path:
    """Return the place of the rows of a unit."""
    return inside(out, f"{ROWS}/part-{unit:06d}.parquet")


def write_part(out: Path, unit: Unit, rows: Sequence[Row], classes: ClassTable, settings: str) -> Facts:
    """Write the rows of a unit in the place of earlier ones; a reader finds the old file or the new one.

    Raises:
        OutputError: the disk refuses.
    """
    pa = arrow()
    with_mask = [row for row in rows if row.record is not None]
    vanished = sum(bool(row.record and row.record.vanished) for row in with_mask)
    facts = Facts(settings, unit.start, unit.stop, len(with_mask), len(rows) - len(with_mask), vanished)
    table = rows_table(rows, classes)
    table = table.replace_schema_metadata({**table.schema.metadata, KEY: json.dumps(asdict(facts)).encode()})

    def write(file: IO[bytes]) -> None:
        pa.parquet.write_table(table, file, **PARQUET)

    write_atomic(part_path(out, unit.number), write)
    return facts


def read_facts(out: Path, unit: Unit, settings: str) -> Facts | None:
    """Return the facts on the file of a unit; None if it is missing, damaged or of another run."""
    pa = arrow()
    try:
        with open_regular(part_path(out, unit.number)) as file:
            metadata: Mapping[bytes, bytes] = pa.parquet.read_schema(file).metadata or {}
        found = Fields(parse_json(metadata[KEY].decode()), "unit")
        numbers = {name: found.whole(name, 0, 1 << 60) for name in ("start", "stop")}
        numbers |= {name: found.whole(name, 0, _LARGEST) for name in ("masks", "failed", "vanished")}
        facts = Facts(found.text("settings"), **numbers)
    except (OSError, ValueError, KeyError, pa.ArrowException, DataError):
        return None
    fits = (facts.settings, facts.start, facts.stop, facts.masks + facts.failed)
    return facts if fits == (settings, unit.start, unit.stop, unit.rows) else None


def read_part(out: Path, unit: Unit, classes: ClassTable) -> list[Row]:
    """Return the rows of a unit's file, whose facts fit.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    pa = arrow()
    try:
        with open_regular(part_path(out, unit.number)) as file:
            return rows_of(pa.parquet.read_table(file, use_threads=False), classes)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
