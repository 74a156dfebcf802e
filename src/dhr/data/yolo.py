"""YOLO's format, as Ultralytics, Roboflow, Label Studio and ``dhr export`` write it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dhr.data.background import is_background
from dhr.data.class_list import names_in
from dhr.data.class_names import class_ids, class_of
from dhr.data.class_record import RECORD, recorded_table
from dhr.data.classes import read_text
from dhr.data.images import SUFFIXES
from dhr.data.listing import key_of, list_files, mask_key, name_of
from dhr.data.names import Entry, Names
from dhr.data.painted import painted
from dhr.data.places import no_split
from dhr.data.samples import ClassTable, Problem, Tagged
from dhr.data.stored import Draft, Found, Reader, StoredDataSet
from dhr.data.yolo_labels import YoloLabels, read_yolo_labels
from dhr.errors import DataError
from dhr.files import open_regular
from dhr.plain_yaml import MAX_BYTES, parse_yaml
from dhr.progress import Step

_HEAD = 1 << 16  # bytes in which a description shows itself
_NAMES = re.compile(rb"^[\"']?names[\"']?\s*:", re.MULTILINE)
_SPLIT = re.compile(rb"^[\"']?(train|val|path)[\"']?\s*:", re.MULTILINE)
_SPLITS = frozenset({"train", "val", "valid", "test"})
_OTHER_KEYS = frozenset({"names", "path", RECORD})
_TEXT = frozenset({".txt"})
_NO_LABELS = ("classes.", "readme", "labels.", "names.")  # how other texts in folders of label files are called


def read_yolo(draft: Draft) -> StoredDataSet:
    """Read photographs and their label files: polygons become ground truth, boxes only tag.

    Class 0 is the background, the others follow in the order of their numbers; ``dhr export`` records a data set
    without background. A photograph without a label file shows no object.
    """
    root, split = draft.root, draft.split
    path = _description(root)
    if path is None:
        raise DataError(
            f"{root}: expected YOLO's data.yaml with 'names' and 'train', or classes.txt with images/ and labels/; "
            "found none"
        )
    listed = path.suffix == ".txt"
    described = {"names": names_in(path, read_text(path))[0], "train": "images"} if listed else _read_yaml(path)
    classes, labels = _classes(path, described)
    texts, closed = _text_files(root)
    folder = _Folder(root, path, list_files(root, SUFFIXES).files, frozenset(texts), closed)
    splits = folder.splits(described)
    if split is not None and split not in splits:
        raise no_split(root, split, list(splits))
    names: dict[str, str] = {}
    for key in splits if split is None else [split]:
        for file, name in folder.photographs(key, splits[key], list(splits), draft.problems):
            names.setdefault(file, name)
    if split is None:
        draft.problems += [Problem(str(root / one), why) for one, why in folder.closed.items()]
        draft.problems += folder.stray_labels(splits)
    if names and not any(folder.label_file(file) for file in names):
        raise DataError(f"{root}: no photograph has a label file, such as {next(iter(names.values()))}.txt in labels/")
    for number, (file, name) in enumerate(names.items(), start=1):
        if reason := folder.closed_label(file):
            draft.found.append(Found(name, root / file, Tagged(reason=reason)))
        else:
            label = folder.label_file(file)
            source = root / (file if label is None else label)
            read = YoloLabels() if label is None else read_yolo_labels(source, labels, "kpt_shape" in described)
            tags = {one.label for one in read.objects}
            truth = painted(source, root / file, read.objects, classes)
            draft.found.append(Found(name, root / file, Tagged(tuple(tags), unread=read.unread), truth))
        draft.progress(Step("open", number, len(names)))
    return draft.finish(classes, f"{path.name} names no photograph")


def _description(root: Path) -> Path | None:
    for path in sorted((*root.glob("*.yaml"), *root.glob("*.yml"))):
        try:
            with open_regular(path) as file:
                head = file.read(_HEAD)
        except OSError:
            continue
        if _NAMES.search(head) and _SPLIT.search(head):
            return path
    table = root / "classes.txt"
    return table if table.is_file() and (root / "images").is_dir() and (root / "labels").is_dir() else None


def _classes(path: Path, described: dict[str, Any]) -> tuple[ClassTable, dict[int, int]]:
    """Return the class table, and the class id of each number in the label files."""
    names = described.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(type(key) is int and isinstance(names[key], str) for key in names):
        raise DataError(
            f"{path}: expected names as a list of texts or a table of numbers and texts; put them in quotes"
        )
    order = {number: class_of(names[number]) for number in sorted(names)}
    given = [name for name in order.values() if not is_background(name)]
    table = recorded_table(described.get(RECORD), given, path)
    ids = class_ids(table, order.values())
    return table, {number: ids[name] for number, name in order.items() if name in ids}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        value = parse_yaml(read_text(path, MAX_BYTES))
    except ValueError as error:
        raise DataError(f"{path}: not valid YAML ({str(error)[:200]}); correct it") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected names and values such as 'train: images/train', got something else")
    return {str(key): part for key, part in value.items()}


def _text_files(root: Path) -> tuple[list[str], dict[str, str]]:
    """Return texts below a folder, and folders that cannot be listed with the reason.

    Unreadable texts are included: without them their photographs would pass for empty ones.
    """
    listing = list_files(root, _TEXT)
    texts, closed = [*listing.files], dict[str, str]()
    for one in listing.problems:
        if (path := Path(one.source)).is_relative_to(root):
            if path.is_dir():
                closed[path.relative_to(root).as_posix()] = one.reason
            elif path.suffix.lower() in _TEXT:
                texts.append(path.relative_to(root).as_posix())
    return texts, closed


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    return [value] if isinstance(value, str) and value.strip() else None


@dataclass(frozen=True)
class _Folder:
    """The files of the data set; descriptions find only these."""

    root: Path
    description: Path
    images: Sequence[str]
    texts: frozenset[str]
    closed: Mapping[str, str]
    """Folders that cannot be listed, and why."""

    def splits(self, described: dict[str, Any]) -> dict[str, list[str]]:
        """Return folders and lists of each split; a description also holds other texts."""
        texts = {key: _texts(value) for key, value in described.items() if key not in _OTHER_KEYS}
        return {
            key: value
            for key, value in texts.items()
            if value is not None and (key in _SPLITS or all(self._place(one) is not None for one in value))
        }

    def photographs(
        self, split: str, entries: Sequence[str], splits: Sequence[str], problems: list[Problem]
    ) -> Iterator[tuple[str, str]]:
        """Yield the files of a split, and the names of the samples."""
        for entry in entries:
            place = self._place(entry)
            if place is None:
                reason = f"{split}: there is no folder of photographs and no list {entry!r}; correct it"
                problems.append(Problem(str(self.description), reason))
            elif place in self.texts:
                yield from self._listed(place, splits, problems)
            else:
                inside = [file for file in self.images if file.startswith(place)]
                yield from ((file, name_of(file[len(place) :], SUFFIXES)) for file in inside)

    def _place(self, entry: str) -> str | None:
        """Return the list, or the folder with a slash, that a description means: the longest end of the path that
        exists.
        """
        parts = [part for part in key_of(entry.strip()).split("/") if part not in ("", ".", "..")]
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            if (found := next((text for text in self.texts if key_of(text) == end), None)) is not None:
                return found
            if (file := next((file for file in self.images if key_of(file).startswith(f"{end}/")), None)) is not None:
                return "/".join(file.split("/")[: len(parts) - start]) + "/"
        return None if parts else ""

    def _listed(self, text: str, splits: Sequence[str], problems: list[Problem]) -> Iterator[tuple[str, str]]:
        names = Names(self.images, f"{self.root.name}/")
        folders = [f"images/{split}/" for split in splits] + [f"{split}/images/" for split in splits] + ["images/"]
        lines = [
            (number, line.strip()) for number, line in enumerate(read_text(self.root / text).splitlines(), start=1)
        ]
        entries = [Entry(line, f"{self.root / text} line {number}", line) for number, line in lines if line]
        for file in names.match(self.root / text, entries, problems):
            within = next((one for one in folders if file.startswith(one)), "")
            yield file, name_of(file[len(within) :], SUFFIXES)

    def label_file(self, image: str) -> str | None:
        """Return the label file of a photograph: in ``labels`` instead of the last ``images`` of its path, or beside
        it.

        Unicode's forms are equal, and so are upper and lower case if only one photograph and one file are meant.
        """
        stem = name_of(image, SUFFIXES)
        own = _label_name(stem)
        alone = len(self._stems[mask_key(stem)]) == 1
        for one in (own, stem):
            alike = self._alike.get(mask_key(f"{one}.txt"), [])
            if same := [text for text in alike if key_of(text) == key_of(f"{one}.txt")] or (alike if alone else []):
                return same[0] if len(same) == 1 or key_of(same[0]) == key_of(f"{one}.txt") else None
        return None

    def closed_label(self, image: str) -> str | None:
        """Explain why it is unknown whether a photograph has a label file; None if it is known."""
        own = _label_name(name_of(image, SUFFIXES))
        return next(
            (f"its label file may lie in {self.root / one}: {why}" for one, why in self.closed.items()
             if own.startswith(f"{one}/")), None,
        )  # fmt: skip

    def stray_labels(self, splits: dict[str, list[str]]) -> list[Problem]:
        """Report label files of no photograph: a renamed photograph must not pass for an empty one."""
        used = {found for file in self.images if (found := self.label_file(file)) is not None}
        folders = {text.rpartition("/")[0] for text in used}
        lists = {self._place(entry) for entries in splits.values() for entry in entries}
        problems = []
        for text in sorted(self.texts - used - lists):
            before, _, file = text.rpartition("/")
            if (before in folders or "labels" in before.split("/")) and not file.lower().startswith(_NO_LABELS):
                reason = f"no photograph is called {file[:-4]!r}; name each label file as its photograph"
                problems.append(Problem(str(self.root / text), reason))
        return problems

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """Group texts by path in lower case and one Unicode form."""
        found = defaultdict(list)
        for text in sorted(self.texts):
            found[mask_key(text)].append(text)
        return dict(found)

    @cached_property
    def _stems(self) -> dict[str, set[str]]:
        """Group paths of photographs without suffix in the same way."""
        found = defaultdict(set)
        for file in self.images:
            stem = name_of(file, SUFFIXES)
            found[mask_key(stem)].add(key_of(stem))
        return dict(found)


def _label_name(stem: str) -> str:
    before, images, after = f"/{stem}".rpartition("/images/")
    return f"{before}/labels/{after}".lstrip("/") if images else stem


YOLO = Reader(
    "data.yaml with names and train, or classes.txt with images/ and labels/",
    lambda root: _description(root) is not None,
    read_yolo,
)
