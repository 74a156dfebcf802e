"""Read a manifest, one file or a folder of them, as a data set."""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np
import xxhash

from dhr.data.arrow_texts import texts_of
from dhr.data.classes import enumeration
from dhr.data.listing import is_hidden, mask_key, printable
from dhr.data.manifest.columns import COLUMNS, MARK, check_columns, class_table
from dhr.data.manifest.dataset import ManifestDataSet
from dhr.data.manifest.row import Row
from dhr.data.manifest.rows import RowReader
from dhr.data.parquet import ParquetTable, description, is_parquet, open_parquet
from dhr.data.places import no_split
from dhr.data.problems import summary
from dhr.data.samples import ClassTable, Problem
from dhr.data.stored import Draft, Reader
from dhr.errors import DataError
from dhr.progress import Step

_TEXTS = ("id", "uri", "tags", "split", "truth")
_SPLITS = 1_000
_NAMED = 4  # rows with the same id that a message names


def files_of(root: Path) -> list[Path]:
    """Return the files of a manifest: itself, or all Parquet files in its folder, by name."""
    if not root.is_dir():
        return [root]
    return sorted(path for path in root.glob("*.parquet") if not is_hidden(path.name) and not path.name.startswith("_"))


def fits_manifest(root: Path) -> bool:
    """Tell whether this is a Parquet file, or a folder in which dhr wrote a manifest; needs no package."""
    files = files_of(root)
    if not files or not root.is_dir():
        return bool(files) and is_parquet(root)
    return MARK in description(files[0])


def read_manifest(draft: Draft) -> ManifestDataSet:
    """Read a manifest.

    Raises:
        DataError: it is damaged, lacks a column or its class table, has no such split, or no usable row.
        ConfigError: pyarrow is not installed.
    """
    files = files_of(draft.root)
    if not files:
        raise DataError(f"{draft.root}: expected a Parquet file in it, found none; check the path")
    with ExitStack() as stack:
        tables = [stack.enter_context(open_parquet(path, _TEXTS)) for path in files]
        classes = _classes(tables)
        split = _split(draft, tables)
        reader = RowReader(classes, draft.root if draft.root.is_dir() else draft.root.parent, str(draft.root))
        listed = _Listed(tables)
        for number, found in _rows(draft, tables, reader, split):
            listed.add(number, found)
    rows, problems = listed.unique()
    problems = [*draft.problems, *problems]
    if not rows:
        where = f"{draft.root}" + ("" if split is None else f" in split {split!r}")
        raise DataError(f"{where}: no usable photograph; {summary(problems, 3) or 'it has no rows'}")
    return ManifestDataSet(classes, rows, problems, (*draft.notes, *reader.notes))


def _classes(tables: Sequence[ParquetTable]) -> ClassTable:
    """Return the class table, which all files share."""
    first = class_table(tables[0].schema, str(tables[0].path))
    for table in tables:
        check_columns(table.schema, str(table.path))
        if class_table(table.schema, str(table.path)) != first:
            raise DataError(
                f"{table.path}: its class table is not that of {tables[0].path.name}; write both with the same classes"
            )
    return first


def _split(draft: Draft, tables: Sequence[ParquetTable]) -> str | None:
    """Return the split to read, by its name in the manifest; None for all rows."""
    if draft.split is None:
        return None
    known: set[str] = set()
    for table in tables:
        for batch in table.batches(["split"]) if "split" in table.schema.names else ():
            known |= {one for one in texts_of(batch.column("split")).texts if one}
            if len(known) > _SPLITS:
                raise DataError(f"{table.path}: it has over {_SPLITS} splits; name few")
    if not known:
        raise no_split(draft.root, draft.split, ())
    return draft.choose(sorted(known))[0]


def _rows(
    draft: Draft, tables: Sequence[ParquetTable], reader: RowReader, split: str | None
) -> Iterator[tuple[int, Row | Problem]]:
    """Yield the rows with their number in the whole manifest, from 0; those of other splits are left out."""
    done, whole = 0, sum(table.rows for table in tables)
    for table in tables:
        first = done
        for batch in table.batches(COLUMNS):
            kept = None
            if split is not None:
                column = texts_of(batch.column("split")) if "split" in batch.schema.names else None
                kept = None if column is None else [column.texts[one] == split for one in column.of]
            for offset, found in enumerate(reader.read(batch, done - first + 1, str(table.path))):
                if kept is None or kept[offset]:
                    yield done + offset, found
            done += batch.num_rows
            draft.progress(Step("open", done, whole))


@dataclass
class _Listed:
    """The rows that were read; of each id that occurs again, where."""

    tables: Sequence[ParquetTable]
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    numbers: "array[int]" = field(default_factory=lambda: array("Q"))
    """The number of each row."""
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    """A hash of each id, as masks' names are compared."""

    def add(self, number: int, found: Row | Problem) -> None:
        if isinstance(found, Problem):
            self.problems.append(found)
            return
        self.rows.append(found)
        self.numbers.append(number)
        self.keys.append(xxhash.xxh64_intdigest(mask_key(found.name).encode("utf-8", "surrogatepass")))

    def unique(self) -> tuple[list[Row], list[Problem]]:
        """Return the rows with an id of their own, and all problems; rows that share an id are left out."""
        keys = np.frombuffer(self.keys, np.uint64) if self.keys else np.empty(0, np.uint64)
        values, counts = np.unique(keys, return_counts=True)
        if (counts < 2).all():
            return self.rows, self.problems
        same: dict[str, list[int]] = defaultdict(list)
        for index in np.flatnonzero(np.isin(keys, values[counts > 1])).tolist():
            same[mask_key(self.rows[index].name)].append(index)
        again = {index: group[:_NAMED] for group in same.values() if len(group) > 1 for index in group}
        starts = [0, *accumulate(table.rows for table in self.tables)]
        for index, group in sorted(again.items()):
            others = enumeration([self._place(one, starts) for one in group if one != index], most=3, quoted=False)
            reason = f"its id {printable(self.rows[index].name)!r} is also in {others}; give each its own"
            self.problems.append(Problem(self.rows[index].source, f"{self._place(index, starts)}: {reason}"))
        return [row for index, row in enumerate(self.rows) if index not in again], self.problems

    def _place(self, index: int, starts: Sequence[int]) -> str:
        file = bisect_right(starts, self.numbers[index]) - 1
        return f"{self.tables[file].path} row {self.numbers[index] - starts[file] + 1}"


MANIFEST = Reader(
    "a Parquet file that `dhr manifest` wrote, or a folder of such files",
    fits_manifest,
    read_manifest,
)
