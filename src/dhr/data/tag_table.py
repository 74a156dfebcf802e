"""Find the columns of a table that hold names of photographs and their tags."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.classes import enumeration
from dhr.data.images import SUFFIXES
from dhr.data.spreadsheet import Line, Table
from dhr.errors import DataError

IMAGE_HEADERS = {
    *(f"{what}{end}" for what in ("image", "img", "photo", "photograph", "picture", "pic")
      for end in ("", "s", "name", "names", "file", "files", "filename", "filenames", "path", "paths", "id")),
    *("file", "files", "filename", "filenames", "filepath", "filepaths", "path", "paths", "name"),
}  # fmt: skip
"""Headers of names of photographs, without blanks, ``_`` and ``-``, in lower case."""

TAG_HEADERS = {
    **dict.fromkeys(("tag", "tags", "tagname", "tagnames"), "tag"),
    **dict.fromkeys(("label", "labels", "labelname", "labelnames"), "label"),
    **dict.fromkeys(("class", "classes", "classname", "classnames"), "class"),
    **dict.fromkeys(("category", "categories", "categoryname", "categorynames"), "category"),
    **dict.fromkeys(("keyword", "keywords"), "keyword"),
}
"""Headers of tags, written alike, and the word that they are forms of. A number may follow: ``tag1``, ``tag2``."""

_TRUE = frozenset({"1", "1.0", "true", "t", "yes", "y", "x", "\u2713", "\u2714"})
_FALSE = frozenset({"0", "0.0", "false", "f", "no", "n", "-"})
_INDEX = re.compile(r"(unnamed:\s*\d+(_level_\d+)?|index|id|#|no\.?|nr\.?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """The content of a row: a photograph and its tags."""

    line: int
    image: str
    cells: Sequence[str] = ()
    """Texts of tags, which may be several each."""
    tags: Sequence[str] = ()
    """Names of tags."""
    wrong: str | None = None
    """Why the row cannot be used."""


def rows_of(path: Path, table: Table, known: Callable[[str], bool], notes: list[str]) -> list[Row]:
    """Return the rows of a table, by the columns that its header names.

    One column holds names of photographs. Tags are in one or several columns, or each class has a column with 1 (or
    `true`, `yes`, `x`) if it is in the photograph. Other columns are ignored; ``notes`` names those that could hold
    tags. Raises DataError if the header has no such columns, or several for one thing.
    """
    header = [unicodedata.normalize("NFC", name) for name in table.header]
    image = _image_column(path, table, header)
    columns = _tag_columns(path, table, header, notes)
    if columns:
        return [_texts(row, table, image, columns) for row in table.rows]
    flags = _flag_columns(table, header, image, known)
    if not flags:
        raise _no_header(path, table)
    explicit = any(_cell(row, column).casefold() in _FALSE for row in table.rows for column in flags)
    return [_flagged(row, table, header, image, flags, explicit) for row in table.rows]


def _image_column(path: Path, table: Table, header: Sequence[str]) -> int:
    found = [column for column, name in enumerate(header) if _plain(name) in IMAGE_HEADERS]
    exact = [column for column in found if header[column].casefold() == "image"]
    if len(exact) == 1:
        return exact[0]
    if not found:
        raise _no_header(path, table)
    if len(found) > 1:
        names = enumeration(header[column] for column in found)
        raise DataError(
            f"{path} line {table.line}: expected one column of names of photographs, got {names}; rename the right one "
            "`image`"
        )
    return found[0]


def _tag_columns(path: Path, table: Table, header: Sequence[str], notes: list[str]) -> list[int]:
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(header):
        if word := TAG_HEADERS.get(re.sub(r"\d+$", "", _plain(re.sub(r"\.\d+$", "", name)))):
            groups.setdefault(word, []).append(column)
    exact = any(name.casefold() == "tags" for name in header)
    if len(groups) > 1 and not exact:
        names = enumeration(header[column] for columns in groups.values() for column in columns)
        raise DataError(
            f"{path} line {table.line}: expected one column of tags, got {names}; rename the right one `tags`"
        )
    if len(groups) > 1:
        others = [header[column] for word, columns in groups.items() if word != "tag" for column in columns]
        notes.append(f"{path}: tags are read from the column 'tags' alone, not from {enumeration(others)}")
    return groups.get("tag", []) if len(groups) > 1 else next(iter(groups.values()), [])


def _flag_columns(table: Table, header: Sequence[str], image: int, known: Callable[[str], bool]) -> list[int]:
    """Find columns named after a class, and others that hold only yes and no."""
    found = []
    for column, name in enumerate(header):
        if column == image or _INDEX.fullmatch(name):
            continue
        cells = {_cell(row, column).casefold() for row in table.rows} - {""}
        if known(name) or (cells and cells <= _TRUE | _FALSE):
            found.append(column)
    return found


def _texts(row: Line, table: Table, image: int, columns: Sequence[int]) -> Row:
    cells = [_cell(row, column) for column in columns]
    wrong = _wrong(row, table, [image, *columns])
    return Row(row.number, _cell(row, image), cells=[cell for cell in cells if cell], wrong=wrong)


def _flagged(row: Line, table: Table, header: Sequence[str], image: int, flags: Sequence[int], explicit: bool) -> Row:
    wrong, tags = _wrong(row, table, [image, *flags]), []
    cells = {column: _cell(row, column) for column in flags}
    for column, cell in cells.items():
        if cell.casefold() in _TRUE:
            tags.append(header[column])
        elif cell and cell.casefold() not in _FALSE:
            wrong = wrong or f"expected 0 or 1 in the column {header[column]!r}, got {cell!r}; correct it"
    if explicit and not any(cells.values()):
        wrong = wrong or "the columns of its classes are empty; write 0 or 1"
    return Row(row.number, _cell(row, image), tags=tags, wrong=wrong)


def _wrong(row: Line, table: Table, columns: Sequence[int]) -> str | None:
    unknown = [table.header[column] for column in columns if column in row.unknown]
    if unknown:
        return (
            f"the cell in the column {unknown[0]!r} is a formula or an error, which is not evaluated; paste its value"
        )
    if any(row.cells[len(table.header) :]):
        if table.separator == ";":
            return "more fields than the header; join tags by commas, or put them in quotes"
        quotes = "quote names with commas" if table.separator == "," else "put them in quotes"
        return f"more fields than the header; join tags by ';', {quotes}"
    return None


def _cell(row: Line, column: int) -> str:
    return row.cells[column] if column < len(row.cells) else ""


def _plain(header: str) -> str:
    return re.sub(r"[\s_-]+", "", header.casefold())


def _no_header(path: Path, table: Table) -> DataError:
    got = table.separator.join(table.header)[:200]
    begins = not table.header or Path(table.header[0]).suffix.lower() in SUFFIXES  # with a photograph
    remedy = "write it above the rows" if begins else "call the column of photographs image, and that of tags tags"
    return DataError(f"{path} line {table.line}: expected the header image,tags, got {got!r}; {remedy}")
