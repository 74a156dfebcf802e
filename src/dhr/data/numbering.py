"""Match the classes of a folder of masks by name with those of a data set.

Numbers alone are ambiguous: a table with a background counts from 1 what a table without one counts from 0.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int16, UInt8

from dhr.data.class_names import class_of
from dhr.data.classes import enumeration, read_classes
from dhr.data.image_files import Content
from dhr.data.labels import Storage, plain, read_labels
from dhr.data.palettes import MOST, Reading, reading
from dhr.data.samples import VOID, ClassTable
from dhr.data.stored import Draft
from dhr.errors import DataError, ItemError
from dhr.records.run import read_run

_INNER = ("stages", "first")  # folders between a run's record and its masks


def class_table_of(folder: Path) -> ClassTable | None:
    """Return the class table of a folder of masks, if one is known.

    It is ``classes.txt`` in the folder, else beside it, else ``classes`` and ``background`` of the ``run.json`` of the
    run that made the masks. Raises DataError if such a file is damaged.
    """
    found = _found(folder)
    return None if found is None else found[0]


@dataclass(frozen=True)
class Numbering:
    """The numbers that the masks of a folder use for the classes of a data set."""

    classes: ClassTable
    """Of the data set."""
    own: ClassTable
    """Of the folder; that of the data set where none is known."""
    ids: tuple[int, ...]
    """Class id of each of ``own``; :data:`~dhr.data.samples.VOID` or ``rest`` for a background that the data set does
    not have, -1 for a class that it does not have."""
    source: str
    """The file that names them, for messages."""
    notes: tuple[str, ...] = ()
    """Notes for the user, a sentence each."""
    examples: tuple[tuple[Path | Content, tuple[int, ...] | None], ...] = ()
    """A few masks, with the tags of their photographs where these are known: they tell whether colours count
    (:func:`~dhr.data.palettes.reading`)."""
    folder: Path | None = None
    """The masks, for messages."""

    @property
    def key(self) -> str:
        """Identify the numbering: others read the same file differently."""
        return f"{self.ids} {self._storage.own_palette}"

    def read(self, path: Path | Content, shape: tuple[int, int] | None = None) -> UInt8[np.ndarray, "h w"]:
        """Return class ids of the data set, and :data:`~dhr.data.samples.VOID`; see
        :func:`~dhr.data.labels.read_labels`.

        Raises ItemError if the mask cannot be read, or shows a class that the data set does not have.
        """
        labels = read_labels(path, self._storage, shape, self.source)
        if self.ids == tuple(range(len(self.ids))):
            return labels
        pixels = np.bincount(labels.ravel(), minlength=VOID + 1)[: len(self.ids)]
        lacking = np.flatnonzero((pixels > 0) & (np.array(self.ids) < 0))
        if lacking.size:
            name = self.own.names[lacking[0]]
            raise ItemError(
                f"{path}: expected classes of the data set, got {name!r} of {self.source} in {pixels[lacking[0]]} "
                "pixels; rename the class in one of the two tables, or take it out of the mask"
            )
        found: UInt8[np.ndarray, "h w"] = self._table.astype(np.uint8)[labels]
        return found

    @property
    def all_notes(self) -> tuple[str, ...]:
        """Return the notes, and how masks are read whose numbers and colours differ; opens the examples."""
        note = None if self.folder is None else self._reading.note(self.folder)
        return self.notes if note is None else (*self.notes, note)

    @cached_property
    def _storage(self) -> Storage:
        return replace(plain(self.own), own_palette=self._reading.colours)

    @cached_property
    def _reading(self) -> Reading:
        back = {number: index for index, number in enumerate(self.ids)}
        evidence = [
            (path, None if tags is None else frozenset(back.get(tag, -1) for tag in tags))
            for path, tags in self.examples
        ]
        return reading(evidence, replace(plain(self.own), own_palette=True))

    @cached_property
    def _table(self) -> Int16[np.ndarray, "256"]:
        table = np.full(VOID + 1, VOID, np.int16)
        table[: len(self.ids)] = self.ids
        return table


@dataclass(frozen=True, slots=True)
class MatchedMask:
    """A ground-truth mask in a folder whose classes are matched by name."""

    file: str
    """Its path, as text: a Path takes five times the memory."""
    numbering: Numbering

    @property
    def mask_file(self) -> Path:
        """The file."""
        return Path(self.file)

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """Read the mask; see :meth:`Numbering.read`."""
        return self.numbering.read(Path(self.file), shape)


def numbering(
    classes: ClassTable,
    folder: Path,
    masks: Iterable[tuple[Path | Content, tuple[int, ...] | None]] = (),
    rest: int = VOID,
) -> Numbering:
    """Match the classes of ``folder`` by name with those of a data set; by number if its table is unknown.

    Names are compared in Unicode's composed form; case counts only if it tells two names apart. ``folder`` need not
    exist. ``masks`` are files of it with the tags of their photographs (None if unknown); some are opened when the
    first mask is read. ``rest`` is the number of a background that the data set does not have. Raises DataError if the
    two share no class, or the folder's table is damaged.
    """
    found, examples = _found(folder) if folder.is_dir() else None, tuple(masks)
    examples = examples[:: max(1, len(examples) // MOST)][:MOST]  # from all parts of the folder
    if found is None:
        return Numbering(classes, classes, tuple(range(len(classes.names))), "classes.txt", (), examples, folder)
    own, path = found
    return numbering_of(classes, own, path, folder, examples, rest)


def numbering_of(
    classes: ClassTable,
    own: ClassTable,
    path: Path,
    folder: Path,
    examples: tuple[tuple[Path | Content, tuple[int, ...] | None], ...] = (),
    rest: int = VOID,
) -> Numbering:
    """Match the classes ``own`` of a folder, which ``path`` names, with those of a data set; see :func:`numbering`."""
    ids = [_index(own, name, index, classes, rest) for index, name in enumerate(own.names)]
    shared = [ids[index] for index in own.foreground if ids[index] >= 0]
    if not shared:
        raise DataError(
            f"{folder}: expected masks of the classes {enumeration(classes.names, 4)}, got those of {path}, "
            f"{enumeration(own.names, 4)}; give the masks of this data set, or put their classes.txt into the folder"
        )
    if classes.colours is not None:
        colours = [classes.colours[index] if 0 <= index < len(classes.colours) else (0, 0, 0) for index in ids]
        own = replace(own, colours=tuple(colours))
    notes = tuple(_notes(classes, own, ids, path, folder))
    source = path.name if path.name == "classes.txt" else str(path)
    return Numbering(classes, own, tuple(ids), source, notes, examples, folder)


def _index(own: ClassTable, name: str, index: int, classes: ClassTable, rest: int) -> int:
    if index == 0 and own.background:
        return 0 if classes.background else rest
    names = [class_of(one) for one in classes.names]
    name = class_of(name)
    if name in names:
        return names.index(name)
    folded, others = [one.casefold() for one in names], Counter(class_of(one).casefold() for one in own.names)
    if folded.count(name.casefold()) == 1 and others[name.casefold()] == 1:
        return folded.index(name.casefold())
    return -1


def _notes(classes: ClassTable, own: ClassTable, ids: Sequence[int], path: Path, folder: Path) -> list[str]:
    notes = []
    known = [(index, number) for index, number in enumerate(ids) if number >= 0]
    if any(index != number for index, number in known):
        notes.append(f"{folder}: its classes are those of {path}, and are matched with the data set's by name")
    if own.background and not classes.background and ids[0] == VOID:
        notes.append(f"{folder}: its background is read as void, because the data set has no background")
    lacking = [own.names[index] for index, number in enumerate(ids) if number < 0]
    if lacking:
        notes.append(f"{folder}: the data set does not have these classes of {path}: {enumeration(lacking, 4)}")
    missing = [classes.names[index] for index in classes.foreground if index not in ids]
    if missing:
        notes.append(f"{folder}: its masks cannot show {enumeration(missing, 4)}, which {path} does not have")
    return notes


def _found(folder: Path) -> tuple[ClassTable, Path] | None:
    place = folder.resolve()
    for path in (folder / "classes.txt", place.parent / "classes.txt"):
        if path.is_file():
            return read_classes(path), path
    place = place.parent
    while place.name in _INNER and not (place / "run.json").is_file():
        place = place.parent
    record = place / "run.json"
    return _of_record(record) if record.is_file() else None


def _of_record(path: Path) -> tuple[ClassTable, Path] | None:
    """Return the table of a run; None for a run of a version that did not write it."""
    try:
        record = read_run(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected the record of a run; it is damaged ({error})") from error
    names, background = record.classes, record.background
    if names is None:
        return None
    if background is None or not all(names) or not background < len(names) <= VOID:
        raise DataError(f"{path}: expected a list of class names, and true or false for the background; it is damaged")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: expected each class once, got a name twice; the file is damaged")
    return ClassTable(names, background), path


def named_masks(
    draft: Draft, classes: ClassTable, tags: Mapping[str, tuple[int, ...] | None]
) -> dict[str, MatchedMask]:
    """Return the masks in ``truth/`` by photograph; ``tags`` holds all photographs, and None for unknown tags."""
    folder = draft.root / "truth"
    files = draft.masks(folder, tags)
    numbers = numbering(classes, folder, [(path, tags[name] or None) for name, path in files.items()])
    draft.notes += numbers.notes
    return {name: MatchedMask(str(path), numbers) for name, path in files.items()}
