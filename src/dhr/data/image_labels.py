"""Read lists of image-level labels as the field shares them: ``cls_labels.json`` and text; ``.npy`` is refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.classes import read_text
from dhr.data.json_text import read_json
from dhr.data.samples import ClassTable
from dhr.data.tags import TagLine, TagReader
from dhr.errors import DataError

LABEL_FILES = ("cls_labels.json", "cls_labels.txt", "cls_labels.npy")
"""File names of image-level labels, in the order in which they are looked for."""


def read_image_labels(path: Path, classes: ClassTable, read: TagReader | None = None) -> dict[str, TagLine]:
    """Return the tags of each photograph, by name, usable or not.

    JSON is ``{"labels": {name: [label, ...]}}`` or the inner object alone; each line of text is ``name label label``.
    Labels are names, numbers that count the classes without the background from 0 (or the file's own ``"classes"``), or
    a 0 or 1 for each of these classes. Raises DataError if the file cannot be read as a whole.
    """
    if path.suffix == ".npy":
        raise DataError(
            f"{path}: NumPy files of labels hold pickles, which can run any program and are not read; if you trust the "
            "file, convert it: python -c \"import json, numpy; d = numpy.load('cls_labels.npy', allow_pickle=True)"
            ".item(); json.dump({(f'{k:010d}'[:4] + '_' + f'{k:010d}'[4:]) if isinstance(k, int) else str(k): "
            "numpy.flatnonzero(v).tolist() for k, v in d.items()}, open('cls_labels.json', 'w'))\""
        )
    read = read or TagReader(classes)
    return _of_json(path, classes, read) if path.suffix == ".json" else _of_text(path, classes, read)


@dataclass(frozen=True)
class _Entry:
    """The labels of a photograph as they are written."""

    number: int
    name: str
    labels: object


def _of_text(path: Path, classes: ClassTable, read: TagReader) -> dict[str, TagLine]:
    entries = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if words := line.split():
            labels = [int(word) if re.fullmatch(r"[0-9]{1,9}", word) else word for word in words[1:]]
            entries.append(_Entry(number, words[0], labels))
    return _lines(path, entries, [classes.names[index] for index in classes.foreground], read)


def _of_json(path: Path, classes: ClassTable, read: TagReader) -> dict[str, TagLine]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object {{name: [label, ...]}}, got a {type(value).__name__}; write it so")
    labels = value.get("labels", value)
    names: list[str] = [classes.names[index] for index in classes.foreground]
    if isinstance(labels, dict) and "labels" in value and "classes" in value:
        own = value["classes"]
        if not isinstance(own, list) or len(own) != len(names) or {str(one) for one in own} != {*names}:
            raise DataError(
                f"{path}: its classes are not those of the data set, {len(names)} names from {names[0]!r} to "
                f"{names[-1]!r}; correct them, or write classes.txt"
            )
        names = [str(one) for one in own]
    if not isinstance(labels, dict):
        raise DataError(f"{path}: expected labels as an object {{name: [label, ...]}}; write it so")
    entries = [_Entry(number, name, given) for number, (name, given) in enumerate(labels.items(), start=1)]
    return _lines(path, entries, names, read)


def _lines(path: Path, entries: Sequence[_Entry], names: Sequence[str], read: TagReader) -> dict[str, TagLine]:
    found: dict[str, TagLine] = {}
    placed = _placed(path, [entry.labels for entry in entries], len(names))
    for entry in entries:
        labels = entry.labels
        if placed and isinstance(labels, list):
            labels = [index for index, there in enumerate(labels) if there]
        before = found.get(entry.name)
        found[entry.name] = (
            _line(entry, labels, read, names)
            if before is None
            else TagLine(entry.number, entry.name, (), f"{entry.name!r} is already in line {before.line}; remove one")
        )
    return found


def _placed(path: Path, rows: Sequence[object], width: int) -> bool:
    """Tell whether all lists have a 0 or 1 for each class, and not numbers of classes; raises DataError if both are
    possible.
    """
    lists = [row for row in rows if isinstance(row, list)]
    if not lists or any(len(row) != width for row in lists) or width == 1:
        return False
    if not all(isinstance(one, int | float) and one in (0, 1) for row in lists for one in row):
        return False
    if all(len(set(row)) == len(row) and all(isinstance(one, int) for one in row) for row in lists):  # of two classes
        raise DataError(
            f"{path}: each list holds 0 and 1, which may be two class numbers, or one flag per class; write names"
        )
    return True


def _line(entry: _Entry, labels: object, read: TagReader, names: Sequence[str]) -> TagLine:
    tags: list[str] = []
    numbers = [label for label in labels if isinstance(label, int)] if isinstance(labels, list) else []
    if len(set(numbers)) < len(numbers):
        return TagLine(entry.number, entry.name, (), f"a number twice among {numbers[:8]}; write each class once")
    for label in labels if isinstance(labels, list) else [None]:
        if isinstance(label, str):
            tags.append(label)
        elif isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(names):
            tags.append(names[label])
        else:
            wanted = f"names or numbers 0..{len(names) - 1}, which count the classes without the background"
            return TagLine(entry.number, entry.name, (), f"expected labels as {wanted}, got {repr(label)[:40]}")
    return read(entry.number, entry.name, tags)
