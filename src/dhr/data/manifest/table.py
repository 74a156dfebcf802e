"""Read chosen columns of a table: CSV and its relatives, ``.xlsx``, Parquet."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhr.data.arrow_texts import one_chunk, texts_of
from dhr.data.classes import enumeration
from dhr.data.manifest.columns import is_text, is_text_list, kind_of
from dhr.data.parquet import arrow, is_parquet, open_parquet
from dhr.data.spreadsheet import open_table
from dhr.errors import DataError

Cell = str | tuple[str, ...] | None
"""A text, a list of texts, or nothing."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table."""

    number: int
    """From 1; of a text, the line of the file."""
    cells: tuple[Cell, ...]
    wrong: str | None = None
    """Why it cannot be used."""


def lines_of(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    """Yield the rows of a table with the cells of some columns, in the order of ``columns``; rows are not kept.

    Raises:
        DataError: the table cannot be read, or lacks a column.
        ConfigError: a package that it needs is not installed.
    """
    yield from _parquet(path, columns) if is_parquet(path) else _text(path, columns)


def _text(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    head, rows = open_table(path)
    header = [unicodedata.normalize("NFC", name) for name in head.cells]
    places = [_place(path, header, unicodedata.normalize("NFC", name)) for name in columns]
    for row in rows:
        wrong = None
        if any(row.cells[len(header) :]):
            wrong = "it has more fields than the header; put fields with separators in quotes"
        elif unknown := [header[place] for place in places if place in row.unknown]:
            wrong = f"the cell in the column {unknown[0]!r} is a formula or an error; paste its value"
        cells = (row.cells[place] if place < len(row.cells) else "" for place in places)
        yield Line(row.number, tuple(cell or None for cell in cells), wrong)


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Line]:
    types, number = arrow().types, 0
    with open_parquet(path, columns) as table:
        for name in columns:
            _place(path, table.schema.names, name)
            kind = table.schema.field(name).type
            if not (is_text(kind) or is_text_list(kind) or types.is_integer(kind)):
                raise DataError(
                    f"{path}: expected texts or lists of texts in the column {name!r}, got {kind_of(kind)}; convert"
                )
        for batch in table.batches(tuple(dict.fromkeys(columns))):
            values = [_cells(one_chunk(batch.column(name))) for name in columns]
            for cells in zip(*values, strict=True):
                number += 1
                yield Line(number, cells)


def _cells(column: Any) -> list[Cell]:
    if is_text(column.type):
        texts = texts_of(column)
        return [(texts.texts[code] or "").strip() or None for code in texts.of]
    if not is_text_list(column.type):
        return [None if value is None else str(value) for value in column.to_pylist()]
    offsets, missing = column.offsets.to_pylist(), column.is_null().to_pylist()
    start = offsets[0] if offsets else 0
    texts = texts_of(column.values.slice(start, (offsets[-1] if offsets else 0) - start))
    spans = [(offsets[row] - start, offsets[row + 1] - start) for row in range(len(missing))]
    return [
        None if null else tuple((texts.texts[code] or "").strip() for code in texts.of[first:last])
        for (first, last), null in zip(spans, missing, strict=True)
    ]


def _place(path: Path, header: Sequence[str], name: str) -> int:
    if header.count(name) != 1:
        there = enumeration(header, most=12) or "none"
        many = "two of this name" if name in header else f"the columns {there}"
        raise DataError(f"{path}: expected a column {name!r}, got {many}; name the right one, or rename it")
    return header.index(name)
