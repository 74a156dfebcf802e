"""Lists of image-level labels as the field passes them around: ``cls_labels.json``, text, and why not ``.npy``."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from dhr.data.classes import read_text
from dhr.data.json_text import read_json
from dhr.data.listing import Names, printable
from dhr.data.samples import ClassTable, Problem
from dhr.data.tags import TagLine, TagReader, merge
from dhr.errors import DataError

LABEL_FILES = ("cls_labels.json", "cls_labels.txt", "cls_labels.npy")
"""File names of image-level labels, in the order in which they are looked for."""


def read_image_labels(path: Path, classes: ClassTable) -> dict[str, TagLine]:
    """Tags of each photograph, by name, usable or not.

    JSON is ``{"labels": {name: [label, ...]}}`` or the inner object alone, text a line ``name label label``. Labels are
    names, or numbers that count the classes without the background from 0.

    Raises:
        DataError: the file cannot be read as a whole.
    """
    if path.suffix == ".npy":
        raise DataError(
            f"{path}: NumPy files of labels hold pickles, which can run any program and are not read; if you trust the "
            "file, convert it: python -c \"import json, numpy; d = numpy.load('cls_labels.npy', allow_pickle=True)"
            ".item(); json.dump({(f'{k:010d}'[:4] + '_' + f'{k:010d}'[4:]) if isinstance(k, int) else str(k): "
            "numpy.flatnonzero(v).tolist() for k, v in d.items()}, open('cls_labels.json', 'w'))\""
        )
    return _of_json(path, classes) if path.suffix == ".json" else _of_text(path, classes)


def tags_of_labels(
    path: Path, classes: ClassTable, names: Names, problems: list[Problem] | None
) -> Callable[[str], tuple[tuple[int, ...], str | None]]:
    """What a list says of each photograph of ``names``: its tags, or why there are none.

    Entries that match no photograph become ``problems``, unless they are not wanted.

    Raises:
        DataError: as :func:`read_image_labels`.
    """
    lines = read_image_labels(path, classes)
    of: dict[str, list[TagLine]] = defaultdict(list)
    for line, (files, reason) in zip(lines.values(), names.find_all(list(lines)), strict=True):
        for file in files:
            of[file].append(line)
        if reason and problems is not None:
            problems.append(Problem(printable(line.image), f"{path} entry {line.line}: {reason}"))

    def tags_of(file: str) -> tuple[tuple[int, ...], str | None]:
        if file not in of:
            return (), f"no labels in {path}; add them"
        if broken := next((line for line in of[file] if line.reason), None):
            return (), f"{path} entry {broken.line}: {broken.reason}"
        tags, reason = merge(of[file])
        return tags, f"{path} {reason}" if reason else None

    return tags_of


def _of_text(path: Path, classes: ClassTable) -> dict[str, TagLine]:
    found: dict[str, TagLine] = {}
    read = TagReader(classes)
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        name, labels = words[0], [int(word) if word.isascii() and word.isdigit() else word for word in words[1:]]
        found[name] = _line(number, name, labels, read, classes, found.get(name))
    return found


def _of_json(path: Path, classes: ClassTable) -> dict[str, TagLine]:
    value = read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object {{name: [label, ...]}}, got a {type(value).__name__}; write it so")
    labels = value.get("labels", value)
    if isinstance(labels, dict) and "labels" in value and "classes" in value:
        expected = [classes.names[index] for index in classes.foreground]
        if value["classes"] != expected:
            raise DataError(
                f"{path}: its classes are not those of the data set, {len(expected)} names from {expected[0]!r} to "
                f"{expected[-1]!r} in this order; correct them"
            )
    if not isinstance(labels, dict):
        raise DataError(f"{path}: expected labels as an object {{name: [label, ...]}}; write it so")
    found = {}
    read = TagReader(classes)
    for number, (name, given) in enumerate(labels.items(), start=1):
        found[name] = _line(number, name, given if isinstance(given, list) else None, read, classes, None)
    return found


def _line(
    number: int, name: str, labels: object, read: TagReader, classes: ClassTable, before: TagLine | None
) -> TagLine:
    if before is not None:
        return TagLine(number, name, (), f"{name!r} is already in line {before.line}; remove one")
    start, end = classes.foreground.start, classes.foreground.stop
    tags: list[str] = []
    for label in labels if isinstance(labels, list) else [None]:
        if isinstance(label, str):
            tags.append(label)
        elif isinstance(label, int) and not isinstance(label, bool) and 0 <= label < end - start:
            tags.append(classes.names[start + label])
        else:
            wanted = f"names or numbers 0..{end - start - 1}, which count the classes without the background"
            return TagLine(number, name, (), f"expected labels as {wanted}, got {label!r}")
    return read(number, name, tags)
