"""A manifest in units: groups of consecutive rows, each the work of one task."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from jaxtyping import UInt64

from dhr.data.arrow_texts import texts_of
from dhr.data.listing import mask_key
from dhr.data.manifest import Row, RowReader, check_columns, class_table
from dhr.data.manifest.columns import COLUMNS
from dhr.data.manifest.read import files_of
from dhr.data.parquet import ParquetTable, arrow, open_parquet
from dhr.data.samples import ClassTable, Problem
from dhr.errors import DataError
from dhr.files import digest_regular
from dhr.words import printable

_TEXTS = ("id", "uri", "tags", "split", "truth")


@dataclass(frozen=True)
class Manifest:
    """The files of a manifest; it holds no row, so that it can be sent to any worker."""

    root: Path
    """The file or folder, absolute."""
    files: tuple[tuple[str, int], ...]
    """Path and number of rows of each file."""
    classes: ClassTable
    digest: str
    """Of the content of all files, and of the split."""
    split: str | None = None
    tagged: bool = True
    """Whether tags are used; else rows with wrong tags are as good as others."""

    @staticmethod
    def open(root: Path, split: str | None, tagged: bool = True) -> "Manifest":
        """Look at the files of a manifest.

        Raises:
            DataError: there is none, or it is damaged.
        """
        root = root.resolve()
        whole, files, classes = hashlib.sha256(f"{split}".encode()), list[tuple[str, int]](), list[ClassTable]()
        for path in files_of(root):
            with open_parquet(path) as table:
                check_columns(table.schema, str(path))
                classes.append(class_table(table.schema, str(path)))
                files.append((str(path), table.rows))
                if split is not None and "split" not in table.schema.names:
                    raise DataError(f"{path}: --split {split}: expected a column 'split', found none; leave it out")
            whole.update(digest_regular(path).encode())
        if not files or any(one != classes[0] for one in classes):
            raise DataError(f"{root}: expected Parquet files with one class table; write them with `dhr manifest`")
        return Manifest(root, tuple(files), classes[0], f"sha256:{whole.hexdigest()}", split, tagged)

    @property
    def rows(self) -> int:
        """The number of rows, of all splits."""
        return sum(rows for _, rows in self.files)

    def reader(self) -> RowReader:
        """Return the reader of its rows."""
        folder = self.root if self.root.is_dir() else self.root.parent
        return RowReader(self.classes, folder, str(self.root), self.tagged)

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """Yield all rows, some thousand at a time, each time with the number of the first."""
        first = 0
        for path, _ in self.files:
            with open_parquet(Path(path), _TEXTS) as table:
                for batch in table.batches(columns):
                    yield first, batch
                    first += batch.num_rows

    def named(self, names: Collection[str]) -> list[Row]:
        """Return the rows with some ids, as far as they can be used."""
        found, reader = list[Row](), self.reader()
        for first, batch in self.batches(COLUMNS) if names else ():
            ids = texts_of(batch.column("id"))
            wanted = [place for place, text in enumerate(ids.texts) if text in names]
            rows = np.flatnonzero(np.isin(ids.of, wanted) & in_split(batch, self.split))
            kept = batch.take(rows)
            found += [one for one in reader.read(kept, (first + 1 + rows).tolist()) if isinstance(one, Row)]
        return found


@dataclass(frozen=True)
class Unit:
    """Consecutive rows of a manifest."""

    number: int
    start: int
    stop: int
    """The row after its last one."""
    rows: int
    """Its rows of the split."""

    @classmethod
    def of(cls, batch: Mapping[str, np.ndarray]) -> list["Unit"]:
        """Read units from columns, as Ray hands them to actors."""
        columns = [batch[one.name].tolist() for one in fields(cls)]
        return [cls(*values) for values in zip(*columns, strict=True)]


@dataclass
class Units:
    """Divides a manifest into units; also checks that ids are different."""

    size: int
    """Rows of a unit."""
    found: list[Unit] = field(default_factory=list)
    _hashes: list[UInt64[np.ndarray, " n"]] = field(default_factory=list)

    def run(self, manifest: Manifest) -> list[Unit]:
        """Return the units of a manifest.

        It takes 8 bytes of memory per row while it works.

        Raises:
            DataError: two rows have the same id, or there is no row.
        """
        start = last = count = 0
        for first, batch in manifest.batches(["id", "split"]):
            kept = np.flatnonzero(in_split(batch, manifest.split))
            self._hashes.append(_hashed(batch)[kept])
            for row in kept.tolist():
                count, last = count + 1, first + row + 1
                if count == self.size:
                    self.found.append(Unit(len(self.found), start, last, count))
                    start, count = last, 0
        if count:
            self.found.append(Unit(len(self.found), start, last, count))
        if not self.found:
            where = "" if manifest.split is None else f" of split {manifest.split!r}"
            raise DataError(f"{manifest.root}: expected photographs, found no row{where}; check the manifest")
        _refuse_twice(manifest, np.concatenate(self._hashes))
        self._hashes.clear()
        return self.found


def in_split(batch: Any, split: str | None) -> Any:
    """Return for each row whether it belongs to a split; all do if there is none."""
    if split is None:
        return np.ones(batch.num_rows, bool)
    column = texts_of(batch.column("split"))
    return np.array([text == split for text in column.texts])[column.of]


def _hashed(batch: Any) -> UInt64[np.ndarray, " n"]:
    ids = texts_of(batch.column("id"))
    texts = [xxhash.xxh3_64_intdigest(mask_key(text or "").encode("utf-8", "surrogateescape")) for text in ids.texts]
    found: UInt64[np.ndarray, " n"] = np.array(texts, np.uint64)[ids.of]
    return found


def _refuse_twice(manifest: Manifest, hashes: UInt64[np.ndarray, " n"]) -> None:
    """Refuse ids that occur more than once."""
    hashes.sort()
    twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    if not len(twice):
        return
    seen: dict[str, int] = {}
    for first, batch in manifest.batches(["id", "split"]):
        suspects = np.isin(_hashed(batch), twice) & in_split(batch, manifest.split)
        ids = texts_of(batch.column("id"))
        for row in np.flatnonzero(suspects).tolist():
            name = ids.texts[ids.of[row]] or ""
            before = seen.setdefault(mask_key(name), first + row)
            if before != first + row:
                raise DataError(
                    f"{manifest.root}: the id {name[:80]!r} of row {first + row + 1} is also in row "
                    f"{before + 1}; give each photograph an id of its own"
                )


class UnitReader:
    """Reads the rows of units, one unit after another; the files stay open, with the last group of rows."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest, self.reader = manifest, manifest.reader()
        self._stack = ExitStack()
        self._open: dict[str, ParquetTable] = {}
        self._last: tuple[tuple[str, int], Any] | None = None

    def read(self, unit: Unit) -> list[tuple[str, Row | Problem]]:
        """Return the rows of a unit, each with its id, or why it cannot be used."""
        found: list[tuple[str, Row | Problem]] = []
        for first, table in self._tables(unit.start, unit.stop):
            kept = in_split(table, self.manifest.split)
            ids = texts_of(table.column("id"))
            rows = self.reader.read(table, range(first + 1, first + 1 + table.num_rows))
            for row, one in enumerate(rows):
                if kept[row]:
                    name = printable(ids.texts[ids.of[row]] or "")[:200] or f"row {first + row + 1}"
                    found.append((one.name if isinstance(one, Row) else name, one))
        return found

    def alone(self, unit: Unit) -> list[Unit]:
        """Return each row of a unit as a unit of the same number, in the order of :meth:`read`."""
        found = []
        for first, table in self._tables(unit.start, unit.stop):
            rows = (np.flatnonzero(in_split(table, self.manifest.split)) + first).tolist()
            found += [Unit(unit.number, row, row + 1, 1) for row in rows]
        return found

    def _tables(self, start: int, stop: int) -> Iterator[tuple[int, Any]]:
        """Yield parts of groups of rows that cover the rows from ``start`` to ``stop``."""
        first = 0
        for path, rows in self.manifest.files:
            if first < stop and start < first + rows:
                about = self._table(path).file.metadata
                for group in range(about.num_row_groups):
                    count = about.row_group(group).num_rows
                    low, high = max(start, first), min(stop, first + count)
                    if low < high:
                        yield low, self._group(path, group).slice(low - first, high - low)
                    first += count
            else:
                first += rows

    def _table(self, path: str) -> ParquetTable:
        if path not in self._open:
            self._open[path] = self._stack.enter_context(open_parquet(Path(path), _TEXTS))
        return self._open[path]

    def _group(self, path: str, group: int) -> Any:
        if self._last is None or self._last[0] != (path, group):
            table = self._table(path)
            columns = [name for name in COLUMNS if name in table.schema.names]
            try:
                read = table.file.read_row_group(group, columns=columns, use_threads=False)
            except (OSError, arrow().ArrowException) as error:
                raise DataError(f"{path}: it was changed or damaged while the job was at work ({error})") from error
            self._last = ((path, group), read)
        return self._last[1]
