"""Read ``classes.txt`` and ``supercategories.csv``."""

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dhr.data.background import BACKGROUND as BACKGROUND
from dhr.data.background import is_background
from dhr.data.class_list import names_in
from dhr.data.samples import VOID, ClassTable
from dhr.errors import DataError
from dhr.files import read_regular


def read_classes(path: Path) -> ClassTable:
    """Read ``classes.txt``: one name per line, the first has id 0; see :func:`~dhr.data.class_list.names_in`.

    A first line ``background`` (in any case, with or without ``_`` around it) makes class 0 the background: it is in
    every photograph and is never tagged.

    Raises DataError if the file is missing or has no class, over 255 classes, a name twice, lines that are not names, a
    name that tags cannot hold, or a background that is not in the first line.
    """
    lines, notes = names_in(path, read_text(path))
    first_line: dict[str, int] = {}
    for number, name in enumerate(lines, start=1):
        where = f"{path} line {number}"
        if ";" in name or re.search(r"[\x00-\x1f\x7f-\x9f]", name):
            raise DataError(
                f"{where}: expected a class name without ';' and control characters, got {name!r}; rename it"
            )
        if name in first_line:
            raise DataError(f"{where}: class {name!r} is already in line {first_line[name]}; remove or rename one")
        if is_background(name) and number > 1:
            raise DataError(
                f"{where}: {name!r} must be the first line, for class 0; move it there, or rename the class"
            )
        first_line[name] = number
    background = bool(lines) and is_background(lines[0])
    if len(lines) <= background:
        raise DataError(
            f"{path}: expected class names, one per line, got {'only the background' if background else 'none'}"
        )
    if len(lines) > VOID:
        raise DataError(
            f"{path}: expected at most {VOID} classes ({VOID} is void in masks), got {len(lines)}; merge some"
        )
    return ClassTable(names=tuple(lines), background=background, notes=tuple(notes))


def with_supers(classes: ClassTable, path: Path) -> ClassTable:
    """Add the super-classes of a CSV file with columns ``class`` and ``supercategory``; other columns are ignored.

    Classes that the table lacks are ignored too; the background may be missing. Raises DataError if the file cannot be
    read, lacks a column or a class, or puts a class into two super-classes.
    """
    found: dict[str, str] = {}
    rows = csv.DictReader(read_text(path).splitlines(), skipinitialspace=True, restval="")
    try:
        if not {"class", "supercategory"} <= set(rows.fieldnames or ()):
            raise DataError(
                f"{path} line 1: expected columns class,supercategory, got {','.join(rows.fieldnames or ())!r}"
            )
        for row in rows:
            name, upper = row["class"].strip(), row["supercategory"].strip()
            if not upper or found.setdefault(name, upper) != upper:
                raise DataError(
                    f"{path} line {rows.line_num}: expected one super-class of {name!r}, got {upper!r}; correct it"
                )
    except csv.Error as error:
        raise DataError(f"{path} line {rows.line_num}: not valid CSV ({error}); correct it") from error
    if classes.background:
        found.setdefault(classes.names[0], BACKGROUND)
    missing = [name for name in classes.names if name not in found]
    if missing:
        raise DataError(f"{path}: no super-class of {enumeration(missing)}; add a line for each, or remove the file")
    return replace(classes, supers=tuple(found[name] for name in classes.names))


def class_file(root: Path) -> ClassTable | None:
    """Read ``classes.txt`` of a folder, and ``supercategories.csv`` if it exists; None without ``classes.txt``."""
    path, supers = root / "classes.txt", root / "supercategories.csv"
    if not path.is_file():
        return None
    classes = read_classes(path)
    return with_supers(classes, supers) if supers.is_file() else classes


MAX_TEXT = 2_000_000_000
"""Largest text file, bytes; COCO's largest file of annotations has a quarter of it."""


def read_text(path: Path, most: int = MAX_TEXT) -> str:
    """Read a UTF-8 file, with or without byte-order mark, in Unicode's composed form (NFC), as names are compared.

    UTF-16 is read too if it has a byte-order mark; other encodings cannot be recognised. Raises DataError if the file
    is missing, not a regular file, larger than ``most`` bytes, unreadable, or not UTF-8.
    """
    try:
        content = read_regular(path, most)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return unicodedata.normalize("NFC", content.decode("utf-16" if wide else "utf-8-sig"))
    except UnicodeDecodeError as error:
        line = 1 + len(re.findall(rb"\r\n|\r|\n", content[: error.start]))
        raise DataError(
            f"{path} line {line}: expected UTF-8 text, byte {error.start} is not; save it as UTF-8 (spreadsheets: as "
            "'CSV UTF-8')"
        ) from error


def enumeration(names: Iterable[str], most: int = 8, quoted: bool = True, total: int | None = None) -> str:
    """List some names for a message; ``total`` is their number if not all of them are given.

    >>> enumeration(["cat", "dog", "owl"], most=2)
    "'cat', 'dog' and 1 more"
    """
    names = list(names)
    count = len(names) if total is None else total
    more = f" and {count - most} more" if count > most else ""
    return ", ".join(repr(name) if quoted else name for name in names[:most]) + more
