"""Make the class table of a data set in VOC's format: from a file, VOC's own, or the names of its objects."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dhr.data.background import BACKGROUND, is_background
from dhr.data.benchmarks import benchmark
from dhr.data.class_names import class_of, one_spelling, table_of
from dhr.data.classes import class_file, enumeration, read_text
from dhr.data.labels import Storage, plain
from dhr.data.palette import palette
from dhr.data.samples import VOID, ClassTable
from dhr.errors import DataError

_LABEL_MAP, _CLASS_NAMES = "labelmap.txt", "class_names.txt"
CLASS_FILES = ("classes.txt", _LABEL_MAP, _CLASS_NAMES)
"""Files that name the classes, in the order in which they are looked for."""

_IGNORED = "__ignore__"
_VOID_COLOUR = tuple(int(part) for part in palette()[VOID])
_OWN = 10  # of VOC's 20 classes: a set that names as many is VOC, and another name in it is a mistake


@dataclass(frozen=True)
class VocTable:
    """The classes, and how masks store them."""

    classes: ClassTable
    storage: Storage | None
    """None if the numbers of the classes are unknown."""
    source: str
    """The place that explains the class ids, for messages."""
    note: str | None = None
    """A decision without a file, or about one."""

    @property
    def listed_in(self) -> str:
        """Return the file that a class could be added to."""
        return self.source if self.source in CLASS_FILES else "a file classes.txt that lists all classes"


def voc_table(folders: Sequence[Path], names: Iterable[str]) -> VocTable:
    """Make the class table, by the first of :data:`CLASS_FILES` in ``folders``, else by the ``names`` of objects.

    Without a file it is VOC's own if all ``names`` are VOC's (or most of VOC's classes are among them), or if there are
    none; else a background and ``names`` in the order of the alphabet. Raises DataError if a file cannot be read, or
    the names cannot be classes.
    """
    read = {name: _read_all(folders, name) for name in CLASS_FILES}
    own, label_map, class_names = (read[name] for name in CLASS_FILES)
    if own is not None:
        return _coloured(own, label_map)
    if (from_file := label_map or class_names) is not None:
        return from_file
    spelled = [class_of(name) for name in names if not is_background(name)]
    known, voc = set(spelled), benchmark("voc")
    voc_names = set(voc.classes.names)
    if known <= voc_names or len(known & voc_names) >= _OWN:
        return VocTable(voc.classes, Storage(voc.classes, voc.stored, voc.void, own_palette=True), "VOC's 20 classes")
    found_names = one_spelling(spelled)
    classes = table_of(found_names, folders[0])
    note = (
        f"classes are those of the annotations in the order of the alphabet, {enumeration(found_names, most=5)}, after "
        "a background; write classes.txt to fix their numbers"
    )
    return VocTable(classes, None, "the names in the annotations", note)


def _read_all(folders: Sequence[Path], name: str) -> VocTable | None:
    """Read the tables of all files ``name``, which must have the same classes."""
    found = {path: _READ[name](path) for folder in folders if (path := folder / name).is_file()}
    first = next(iter(found), None)
    if first is None:
        return None
    if other := next((path for path, table in found.items() if table.classes != found[first].classes), None):
        raise DataError(f"{other}: its classes are not those of {first}; open one folder at a time")
    return found[first]


def _classes(path: Path) -> VocTable:
    classes = class_file(path.parent)
    assert classes is not None
    return VocTable(classes, plain(classes), path.name)


def _coloured(table: VocTable, label_map: VocTable | None) -> VocTable:
    """Add colours and stored numbers of a label map that has the same classes, in any order."""
    if label_map is None or label_map.storage is None:
        return table
    of = {name: index for index, name in enumerate(label_map.classes.names)}
    order = [of.get(BACKGROUND if is_background(name) else name) for name in table.classes.names]
    if None in order:
        return replace(table, note="labelmap.txt does not have all classes of classes.txt, so only the latter counts")
    ids = [index for index in order if index is not None]
    colours = label_map.classes.colours
    classes = table.classes if colours is None else replace(table.classes, colours=tuple(colours[one] for one in ids))
    stored = tuple(label_map.storage.stored[one] for one in ids)
    void = tuple(sorted({*label_map.storage.void} - {*stored}))
    return VocTable(classes, Storage(classes, stored, void, label_map.storage.own_palette), label_map.source)


def _label_map(path: Path) -> VocTable:
    """Read lines ``label:r,g,b:parts:actions`` of CVAT and datumaro; masks store numbers of lines, or colours."""
    names: list[str] = []
    numbers: list[int] = []
    colours: list[tuple[int, int, int] | None] = []
    void = {VOID}
    lines = [
        (number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]  # fmt: skip
    backgrounds = [at for at, (_, line) in enumerate(lines) if is_background(_name(line))]
    if len(backgrounds) > 1:
        raise DataError(f"{path} line {lines[backgrounds[1]][0]}: expected one background, got a second; remove it")
    first = 0 if backgrounds else 1  # without a background, 0 is a pixel without a label
    for place, (number, line) in enumerate(lines, start=first):
        name, colour = _name(line), _colour(path, number, line)
        if name.casefold() == "ignored" and colour == _VOID_COLOUR:  # VOC's own label of void
            void.add(place)
            continue
        names.append(name)
        numbers.append(place)
        colours.append(colour)
    classes = table_of([name for name in names if not is_background(name)], path)
    at = names.index(_name(lines[backgrounds[0]][1])) if backgrounds else None
    order = [index for index in range(len(names)) if index != at]
    stored = (0 if at is None else numbers[at], *(numbers[index] for index in order))
    given = ((0, 0, 0) if at is None else colours[at], *(colours[index] for index in order))
    known = tuple(colour for colour in given if colour is not None)
    if len(known) == len(given):
        classes = replace(classes, colours=known)
    return VocTable(classes, Storage(classes, stored, tuple(sorted(void - {*stored})), own_palette=True), path.name)


def _name(line: str) -> str:
    return class_of(line.rsplit(":", 3)[0])


def _colour(path: Path, number: int, line: str) -> tuple[int, int, int] | None:
    parts = line.rsplit(":", 3)
    channels = [part.strip() for part in parts[1].split(",")] if len(parts) == 4 else ["?"]
    if channels == [""]:
        return None
    if len(channels) != 3 or not all(re.fullmatch(r"\d{1,3}", one, re.ASCII) and int(one) <= VOID for one in channels):
        raise DataError(f"{path} line {number}: expected label:red,green,blue:parts:actions, got {line!r}; correct it")
    red, green, blue = (int(one) for one in channels)
    return red, green, blue


def _class_names(path: Path) -> VocTable:
    """Read one name per line, ``_background_`` first, as labelme2voc writes it; masks store line numbers from 0."""
    names = [name for line in read_text(path).splitlines() if (name := class_of(line)) and name != _IGNORED]
    given = bool(names) and is_background(names[0])
    if misplaced := [name for name in names[given:] if is_background(name)]:
        raise DataError(f"{path}: expected {misplaced[0]!r} once, in the first line, for number 0; correct it")
    classes = table_of(names[given:], path)
    note = None if given else f"{path.name} has no _background_, so its classes count from 1 and 0 is the background"
    storage = Storage(classes, tuple(range(len(classes.names))), own_palette=True)
    return VocTable(classes, storage, path.name, note)


_READ = dict(zip(CLASS_FILES, (_classes, _label_map, _class_names), strict=True))
