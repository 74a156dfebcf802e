"""Write manifests."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dhr.data.manifest.columns import GROUP, is_manifest, schema_of
from dhr.data.parquet import arrow, is_parquet, open_parquet
from dhr.data.samples import ClassTable
from dhr.errors import DataError, OutputError
from dhr.files import check_output, write_output


@dataclass(frozen=True, slots=True)
class Entry:
    """One photograph, as a manifest names it."""

    id: str
    uri: str
    """Absolute, or relative to the manifest's folder."""
    tags: tuple[str, ...]
    """Names of classes."""
    size: tuple[int, int] | None = None
    """Height and width of the upright photograph."""
    split: str | None = None
    truth: str | None = None
    """A mask of class ids, as ``uri``."""


def write_manifest(path: Path, classes: ClassTable, entries: Iterable[Entry]) -> int:
    """Write a manifest, atomically, and return the number of its rows; equal entries give equal bytes.

    Args:
        path: the file.
        classes: the class table.
        entries: taken one by one; their ids are different.

    Raises:
        OutputError: it cannot be written.
        ConfigError: pyarrow is not installed.
    """
    pa, rows = arrow(), 0
    schema = schema_of(classes)

    def write(file: IO[bytes]) -> None:
        nonlocal rows
        options = {"compression": "zstd", "use_dictionary": ["tags", "split"], "write_page_index": False}
        with pa.parquet.ParquetWriter(file, schema, write_page_checksum=True, **options) as writer:
            for group in _groups(entries):
                writer.write_table(_table(pa, schema, group), row_group_size=GROUP)
                rows += len(group)

    write_output(path, write)
    return rows


def check_place(path: Path) -> None:
    """Check, before long work, that a manifest can be written at ``path``.

    Raises:
        OutputError: something else is there, or it cannot be written.
    """
    check_output(path)
    if not path.exists() or not path.is_file():
        return
    found = False
    if is_parquet(path):
        try:
            with open_parquet(path) as table:
                found = is_manifest(table.schema)
        except DataError:  # it is damaged
            found = False
    if not found:
        raise OutputError(f"{path} exists, and is not a manifest that dhr wrote; choose another --file, or delete it")


def _groups(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    left = iter(entries)
    while group := list(itertools.islice(left, GROUP)):
        yield group


def _table(pa: Any, schema: Any, group: list[Entry]) -> Any:
    columns = {
        "id": [one.id for one in group],
        "uri": [one.uri for one in group],
        "tags": [list(one.tags) for one in group],
        "width": [None if one.size is None else one.size[1] for one in group],
        "height": [None if one.size is None else one.size[0] for one in group],
        "split": [one.split for one in group],
        "truth": [one.truth for one in group],
    }
    return pa.Table.from_pydict(columns, schema=schema)
