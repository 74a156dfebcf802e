"""Read tables as spreadsheets save them (CSV and its relatives, ``.xlsx``): rows of texts with their lines."""

import csv
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dhr.data.classes import read_text
from dhr.errors import ConfigError, DataError
from dhr.files import open_regular
from dhr.words import one_line

MAX_XML = 50_000_000
"""Bytes that the sheets of an ``.xlsx`` may unpack to; some 300,000 lines of tags."""

_SEPARATORS = ",;\t|"
_ROWS, _COLUMNS = 1 << 20, 1 << 10  # of a sheet: as many rows as spreadsheets have
_CHUNK = 1 << 20
_REFUSED = (b"<!DOCTYPE", b"<!ENTITY", b"\0")  # entities could unpack to anything; bytes 0: text that hides them


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table."""

    number: int
    """Where it ends in the file, from 1."""
    cells: list[str]
    unknown: frozenset[int] = frozenset()
    """Columns of cells that would have to be evaluated, or are errors."""


@dataclass(frozen=True)
class Table:
    """A table whose first row with content names its columns."""

    header: list[str]
    line: int
    """Last line of the header, from 1."""
    rows: list[Line]
    """The others; blank ones are left out."""
    separator: str = ","


def read_table(path: Path) -> Table:
    """Read ``.xlsx``, or text whose fields are separated by commas, semicolons, tabs or bars, as those of its header.

    Raises DataError if the file cannot be read, is damaged, or unpacks to too much; ConfigError if a package for
    ``.xlsx`` is not installed.
    """
    return _xlsx(path) if path.suffix.lower() == ".xlsx" else _csv(path)


def open_table(path: Path) -> tuple[Line, Iterator[Line]]:
    """Return the header of a table, and its rows one by one; raises as :func:`read_table`, also while rows are read."""
    if path.suffix.lower() == ".xlsx":
        table = _xlsx(path)
        return Line(table.line, table.header), iter(table.rows)
    head, rows, _ = _csv_rows(path)
    return head, rows


def _csv(path: Path) -> Table:
    head, rows, separator = _csv_rows(path)
    return Table(head.cells, head.number, [*rows], separator)


def _csv_rows(path: Path) -> tuple[Line, Iterator[Line], str]:
    """Return the header of a text, its rows one by one, and the mark between its fields."""
    text = read_text(path)
    if "\0" in text:
        line = 1 + text[: text.index("\0")].count("\n")
        raise DataError(f"{path} line {line}: expected text, got a byte 0; save it as CSV in UTF-8")
    given = re.match(r"sep=(.)(\r\n|\r|\n)", text)  # a line of spreadsheet programs for each other
    start = 0 if given is None else given.end()
    header = next((one for one in _text_lines(text, start) if one.strip("\r\n")), "")
    separator = given[1] if given else next((mark for mark in _SEPARATORS if mark in header), ",")

    def rows() -> Iterator[Line]:
        lines = _text_lines(text, start)
        reader = csv.reader(lines, strict=True, skipinitialspace=True, delimiter=separator)
        skipped = 0 if given is None else 1
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield Line(reader.line_num + skipped, [cell.strip() for cell in cells])
        except csv.Error as error:
            where = reader.line_num + skipped
            raise DataError(f"{path} line {where}: not valid CSV ({error}); look for a stray quote") from error

    found = rows()
    return next(found, Line(1, [])), found, separator


def _text_lines(text: str, start: int) -> Iterator[str]:
    """Yield the lines of a text with their ends, from a position on."""
    return (found[0] for found in re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+").finditer(text, start))


def _xlsx(path: Path) -> Table:
    try:
        import openpyxl
    except ImportError as error:
        raise ConfigError(
            f"{path}: .xlsx needs the package openpyxl: pip install 'dhr[formats]', or save it as tags.csv in UTF-8"
        ) from error
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about things that are not read
            _bound(path, file)
            book = openpyxl.load_workbook(file, read_only=True, keep_links=False)
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
            tables = {sheet.title: table for sheet in sheets if (table := _sheet(sheet)) is not None}
    except (DataError, MemoryError):
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # openpyxl raises any exception for a damaged file
        reason = one_line(error, 120)
        raise DataError(
            f"{path}: not an .xlsx spreadsheet ({reason}); save it again, or as tags.csv in UTF-8"
        ) from error
    if len(tables) > 1:
        names = " and ".join(map(repr, list(tables)[:4]))
        raise DataError(f"{path}: expected one sheet with content, got {names}; keep the one with the tags")
    return next(iter(tables.values()), Table([], 1, []))


def _bound(path: Path, file: IO[bytes]) -> None:
    """Refuse an archive that unpacks to too much, or whose XML defines entities, before any of it is parsed."""
    with zipfile.ZipFile(file) as archive:
        parts = [part for part in archive.infolist() if part.filename.lower().endswith((".xml", ".rels"))]
        if sum(part.file_size for part in parts) > MAX_XML:
            raise DataError(f"{path}: it unpacks to more than {MAX_XML // 10**6} MB; save it as tags.csv in UTF-8")
        for part in parts:
            with archive.open(part) as content:
                last = b""
                while chunk := content.read(_CHUNK):
                    if any(mark in last + chunk for mark in _REFUSED):
                        raise DataError(
                            f"{path}: {part.filename!r} is not as spreadsheets write it; save it as tags.csv"
                        )
                    last = chunk[-10:]
    file.seek(0)


def _sheet(sheet: Any) -> Table | None:
    """Return the table of a sheet; None if it is empty."""
    sheet.reset_dimensions()  # the size in the file may be anything
    head = next(_lines(sheet, _COLUMNS), None)
    if head is None:
        return None
    while head.cells and not head.cells[-1]:
        head.cells.pop()
    _, *rows = _lines(sheet, len(head.cells) + 1)
    return Table(head.cells, head.number, rows)


def _lines(sheet: Any, columns: int) -> Iterator[Line]:
    for number, row in enumerate(sheet.iter_rows(max_row=_ROWS, max_col=columns), start=1):
        if all(cell.value is None for cell in row):  # a far row comes with all the blank ones before it
            continue
        texts = [_text(cell) for cell in row]
        if any(text != "" for text in texts):
            unknown = frozenset(column for column, text in enumerate(texts) if text is None)
            yield Line(number, [text or "" for text in texts], unknown)


def _text(cell: Any) -> str | None:
    """Return the text of a cell; None if it would have to be evaluated."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type in ("f", "e"):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
