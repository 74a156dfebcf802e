"""Masks and records as rows of Parquet files, read where they are."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from threading import Lock

import pyarrow as pa

from dhr.data.image_files import Content
from dhr.data.numbering import Numbering, numbering_of
from dhr.data.samples import ClassTable
from dhr.errors import DataError, ItemError
from dhr.records.item import ItemRecord
from dhr.records.members import parse_record
from dhr.records.problem import Problem
from dhr.records.run import RunRecord, read_run
from dhr.results.index import Expected, Index, indexed
from dhr.results.part import OpenParts, Part, PartError
from dhr.results.places import parts_in
from dhr.results.protocol import Record, Tags
from dhr.results.row import SCHEMA, Row, columns_of, members_of, rows_of, settings_digest
from dhr.words import counted

_KEPT = 64_000_000  # bytes of row groups that are kept in memory
_ROW = tuple(name for name in SCHEMA.names if name != "settings")


class RowMasks:
    """The rows of a run: masks and records at once.

    Only an index stays in memory, and the row groups that were read last. Parts and rows that cannot be used are
    ``problems``; the others are used.

    Args:
        folder: the folder of the Parquet files, such as ``OUT/rows``.

    Raises:
        DataError: there are no rows that can be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths = parts_in(folder)
        run = _run_beside(folder)
        self._index: Index = indexed(self._paths, _expected(run))
        self._parts = OpenParts(self._paths)
        self._groups = OrderedDict[tuple[int, int], pa.Table]()
        self._bytes = 0
        self._lock = Lock()
        self._problems = (*self._index.problems, *_missing(folder, run, self._index))
        if self._index.classes is None or (not len(self) and (self._problems or not self._paths)):
            first = f": {self._problems[0].reason}" if self._problems else ""
            raise DataError(f"{folder}: expected Parquet files of rows, found none that can be used{first}")
        self.classes: ClassTable = self._index.classes

    @property
    def folder(self) -> Path:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self._folder

    @property
    def records(self) -> "RowMasks":
        """See :class:`~dhr.results.protocol.Masks`."""
        return self

    @property
    def problems(self) -> Sequence[Problem]:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self._problems

    @property
    def nbytes(self) -> int:
        """Memory that grows with the number of rows, bytes."""
        return self._index.nbytes

    def __len__(self) -> int:
        return len(self._index.rows)

    def row(self, name: str) -> Row | None:
        """Read the row of a photograph; None if there is none with a mask.

        Raises:
            ItemError: it is damaged.
        """
        for number, place in self._index.candidates(name):
            try:
                table, inside = self._group(number, place)
                if table["id"][inside].as_py() == name:
                    return _checked(table.slice(inside, 1), self.classes)
            except (PartError, ValueError) as error:
                raise ItemError(f"{self._paths[number]}: the row of {name!r} cannot be used: {error}") from error
        return None

    def names(self) -> Iterator[str]:
        """See :class:`~dhr.results.protocol.Records`."""
        for _, table in self._each(("id",)):
            yield from [] if isinstance(table, PartError) else table["id"].to_pylist()

    def record(self, name: str) -> ItemRecord | None:
        """See :class:`~dhr.results.protocol.Records`."""
        try:
            row = self.row(name)
        except ItemError:
            return None
        return None if row is None else row.record

    def each(self, kind: type[Record], *, lenient: bool = False) -> Iterator[tuple[str, Record | Problem]]:
        """See :class:`~dhr.results.protocol.Records`; in the order of the rows."""
        columns = columns_of({one.name for one in fields(kind)})  # type: ignore[arg-type]
        for path, table in self._each(("id", *columns)):
            if isinstance(table, PartError):
                yield str(path), Problem(str(path), str(table))
                continue
            for name, members in zip(table["id"].to_pylist(), members_of(table, self.classes), strict=True):
                try:
                    yield name, parse_record(kind, members, lenient=lenient)
                except ValueError as error:
                    yield name, Problem(name, f"its row in {path} is damaged: {error}")

    def tables(self, columns: Sequence[str]) -> Iterator[tuple[Path, pa.Table]]:
        """Yield columns of the rows, one row group at a time, each with its file; damaged ones are left out."""
        found = self._each(columns)
        return ((path, table) for path, table in found if not isinstance(table, PartError))

    def rows(self) -> Iterator[Row | Problem]:
        """Read all rows with their masks in their order, one row group at a time."""
        for path, table in self._each(_ROW):
            if isinstance(table, PartError):
                yield Problem(str(path), str(table))
                continue
            for place, name in enumerate(table["id"].to_pylist()):
                try:
                    yield _checked(table.slice(place, 1), self.classes)
                except ValueError as error:
                    yield Problem(name, f"its row in {path} is damaged: {error}")

    def failures(self) -> Iterator[Problem]:
        """Yield the photographs that have a reason and no mask."""
        for _, table in self._each(("id", "reason"), failed=True):
            if not isinstance(table, PartError):
                pairs = zip(table["id"].to_pylist(), table["reason"].to_pylist(), strict=True)
                yield from (Problem(name, reason) for name, reason in pairs if reason and not self.has(name))

    def listed(self) -> tuple[Mapping[str, str], Sequence[Problem]]:
        """See :class:`~dhr.results.protocol.Masks`."""
        return {name: name for name in self.names()}, self.problems

    def at(self, place: str) -> Content:
        """See :class:`~dhr.results.protocol.Masks`."""
        return self.mask(place)

    def has(self, name: str) -> bool:
        """See :class:`~dhr.results.protocol.Masks`."""
        return next(self._index.candidates(name), None) is not None

    def mask(self, name: str) -> Content:
        """See :class:`~dhr.results.protocol.Masks`."""
        row = self.row(name)
        if row is None or row.mask is None or row.record is None:
            raise ItemError(f"{self._folder}: expected a row of {name!r}, found none; make its mask first")
        return Content(f"{self._folder}: {name}", row.mask)

    def state(self, name: str) -> str:
        """See :class:`~dhr.results.protocol.Masks`."""
        record = self.record(name)
        return "" if record is None else f"d{record.mask[:16]}"

    def digest(self, name: str) -> str:
        """See :class:`~dhr.results.protocol.Masks`."""
        row = self.row(name)
        if row is None or row.record is None:
            raise ItemError(f"{self._folder}: expected a row of {name!r}, found none; make its mask first")
        return row.record.mask

    def numbering(self, classes: ClassTable, examples: Iterable[tuple[Path | Content, Tags]]) -> Numbering:
        """See :class:`~dhr.results.protocol.Masks`; no mask is opened, because rows hold class ids."""
        return numbering_of(classes, self.classes, self._folder, self._folder)

    def _group(self, number: int, place: int) -> tuple[pa.Table, int]:
        """Return the row group with a row of a part, and the place of the row in it; raises PartError."""
        group, inside = self._parts.use(number, lambda part: part.group_of(place))
        with self._lock:
            if (table := self._groups.get((number, group))) is not None:
                self._groups.move_to_end((number, group))
                return table, inside
        table = self._parts.use(number, lambda part: part.read(group, _ROW))
        with self._lock:
            if (number, group) not in self._groups:
                self._groups[number, group] = table
                self._bytes += table.nbytes
            while self._bytes > _KEPT and len(self._groups) > 1:
                self._bytes -= self._groups.popitem(last=False)[1].nbytes
        return table, inside

    def _each(self, columns: Sequence[str], failed: bool = False) -> Iterator[tuple[Path, pa.Table | PartError]]:
        """Yield columns of each row group, of the rows that count, or of all other rows; or why it cannot be read."""
        for number, path in enumerate(self._paths):
            first, last = self._index.starts[number : number + 2]
            live = self._index.live[first:last] != failed
            if not live.any():
                continue
            try:
                with closing(Part(path)) as part:  # of its own: other threads must not wait for it
                    if part.starts[-1] != len(live):
                        raise PartError("it changed while it was used; begin again")
                    for group in range(part.groups):
                        kept = live[part.starts[group] : part.starts[group + 1]]
                        if kept.any():
                            yield path, part.read(group, columns).filter(pa.array(kept))
            except PartError as error:
                yield path, error


def opened_rows(folder: Path) -> RowMasks:
    """Open a folder of rows; the index is kept while the files are the same; raises as :class:`RowMasks`."""
    files = [*parts_in(folder), folder.parent / "run.json"]
    return _opened(folder, tuple(_state(path) for path in files))


@lru_cache(2)
def _opened(folder: Path, state: tuple[tuple[str, int, int], ...]) -> RowMasks:
    return RowMasks(folder)


def _state(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return path.name, 0, -1
    return path.name, status.st_mtime_ns, status.st_size


def _checked(table: pa.Table, classes: ClassTable) -> Row:
    """Return a row whose mask is the one of its record; raises ValueError."""
    (row,) = rows_of(table, classes)
    if row.record is None or row.mask is None or hashlib.sha256(row.mask).hexdigest() != row.record.mask:
        raise ValueError("its mask is missing, or is not that of its record; delete the file and continue the run")
    return row


def _run_beside(folder: Path) -> RunRecord | None:
    path = folder.resolve().parent / "run.json"
    try:
        return read_run(path) if path.is_file() else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: expected the record of a run; it is damaged ({reason})") from error


def _expected(run: RunRecord | None) -> Expected:
    if run is None:
        return Expected()
    classes = None if run.classes is None else ClassTable(run.classes, bool(run.background))
    return Expected(settings_digest(run.identity), classes)


def _missing(folder: Path, run: RunRecord | None, index: Index) -> list[Problem]:
    """Tell of rows that are gone with their file."""
    masks = 0 if run is None or run.status != "finished" else run.counts.get("masks", 0)
    if index.problems or len(index.rows) >= masks:
        return []
    reason = (
        f"expected the {counted(masks, 'mask')} of run.json, found {counted(len(index.rows), 'row')}: a file is "
        "missing; copy it again, or continue the run"
    )
    return [Problem(str(folder), reason)]
