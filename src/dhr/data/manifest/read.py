"""Read a manifest, one file or a folder of them, as a data set."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import accumulate
from pathlib import Path

from dhr.data.arrow_texts import texts_of
from dhr.data.listing import is_hidden
from dhr.data.manifest.columns import COLUMNS, MARK, check_columns, class_table
from dhr.data.manifest.dataset import ManifestDataSet
from dhr.data.manifest.row import Row
from dhr.data.manifest.rows import RowReader
from dhr.data.manifest.unique import Listed
from dhr.data.parquet import ParquetTable, description, is_parquet, open_parquet
from dhr.data.places import no_split
from dhr.data.problems import summary
from dhr.data.samples import ClassTable, Problem
from dhr.data.stored import Draft, Reader
from dhr.errors import DataError
from dhr.progress import Step

_TEXTS = ("id", "uri", "tags", "split", "truth")
_SPLITS = 1_000


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
        listed = Listed(partial(_place, tables))
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
            numbers = range(done - first + 1, done - first + 1 + batch.num_rows)
            for offset, found in enumerate(reader.read(batch, numbers, str(table.path))):
                if kept is None or kept[offset]:
                    yield done + offset, found
            done += batch.num_rows
            draft.progress(Step("open", done, whole))


def _place(tables: Sequence[ParquetTable], number: int) -> str:
    starts = [0, *accumulate(table.rows for table in tables)]
    file = bisect_right(starts, number) - 1
    return f"{tables[file].path} row {number - starts[file] + 1}"


MANIFEST = Reader(
    "a Parquet file that `dhr manifest` wrote, or a folder of such files",
    fits_manifest,
    read_manifest,
)
