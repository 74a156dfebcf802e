"""Read one folder per class, the format from which image classifiers are trained."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.background import is_background
from dhr.data.class_names import class_of, one_spelling, table_of
from dhr.data.classes import class_file, enumeration
from dhr.data.images import SUFFIXES
from dhr.data.listing import is_hidden, list_files, name_of
from dhr.data.numbering import named_masks
from dhr.data.places import folders_of, split_of
from dhr.data.samples import ClassTable, Problem, Tagged
from dhr.data.spelling import Spelling
from dhr.data.stored import Draft, Reader, StoredDataSet
from dhr.data.voc_places import has_annotation
from dhr.errors import DataError

_OTHER = ("truth", "splits")
PART_NAMES = frozenset(
    {
        "images", "image", "imgs", "img", "photos", "photographs", "pictures", "jpegimages", "annotations",
        "annotation", "labels", "masks", "mask", "gt", "ground_truth", "groundtruth", "xml", "imagesets",
        "segmentationclass", "segmentationobject",
    }
)  # fmt: skip
"""Folders, in lower case, that hold all photographs or something other than photographs."""
_EMPTY, _FILES, _PHOTOGRAPHS = "empty", "files", "photographs"
_ANYWAY = "; if folder names are the classes nevertheless, choose --format class-folders"
_MOST = 50_000  # files of a folder that are looked at to find a photograph among them


@dataclass(frozen=True)
class _Top:
    """A folder that holds class folders: the data set's own, or that of a split."""

    folder: Path
    classes: tuple[Path, ...]
    """Folders of photographs, and empty ones: a class whose photographs are still to come."""
    others: tuple[Path, ...]
    """Folders of other files only."""


@dataclass(frozen=True)
class ClassFolders:
    """The folders of a data set of class folders."""

    tops: dict[str, _Top]
    """The folder of each split; under the empty name where there is no split."""
    strays: tuple[Path, ...]
    """Folders of photographs that are neither a split nor a class."""

    @property
    def names(self) -> list[str]:
        """Return the classes of all splits, in the order of the alphabet; names that differ only in case count once."""
        return one_spelling(folder.name for top in self.tops.values() for folder in top.classes)

    @property
    def with_photographs(self) -> set[str]:
        """Return the classes that have photographs already, in lower case."""
        folders = [folder for top in self.tops.values() for folder in top.classes]
        return {class_of(folder.name).casefold() for folder in folders if _content(folder) == _PHOTOGRAPHS}


def class_folders(root: Path) -> ClassFolders:
    """Find out what the folders in ``root`` are; a folder that is named as a split never becomes a class.

    Raises DataError if folders named as splits may be classes, or no folder is a class.
    """
    folders = [one for one in folders_of(root) if one.name not in _OTHER and not (one / "run.json").is_file()]
    listed = class_file(root)
    known = () if listed is None else listed.names
    named = [one for one in folders if split_of(one.name) is not None and class_of(one.name) not in known]
    rest = [one for one in folders if one not in named]
    wrapped = [one for one in named if any(_content(inner) == _PHOTOGRAPHS for inner in folders_of(one))]
    if not wrapped:
        if not rest:
            there = f", {enumeration([one.name for one in named])} being names of splits" if named else ""
            above = "; if this is the folder of one class, give the folder above" if not named else ""
            raise DataError(f"{root}: expected a folder of photographs for each class, found none{there}{above}")
        return ClassFolders({"": _top(root, rest)}, tuple(one for one in named if _content(one) == _PHOTOGRAPHS))
    strays = tuple(one for one in rest if _content(one) == _PHOTOGRAPHS)
    if strays and len(wrapped) == 1:
        raise DataError(
            f"{root}: {wrapped[0].name!r} is named as a split and has folders in it, but lies beside "
            f"{enumeration([one.name for one in strays], most=3)}; give it as --data, move it, or list all classes in "
            "classes.txt"
        )
    tops = {one.name: _unwrapped(one) for one in named}
    return ClassFolders({name: _top(one, folders_of(one)) for name, one in tops.items()}, strays)


def _unwrapped(folder: Path) -> Path:
    """Return the folder of a split that holds class folders; archives often add a folder of the same name."""
    inner = folders_of(folder)
    while len(inner) == 1 and split_of(inner[0].name) is not None and folders_of(inner[0]):
        folder, inner = inner[0], folders_of(inner[0])
    return folder


def why_not_class_folders(root: Path) -> str | None:
    """Explain why a folder is not read as class folders without ``--format``; None if it is."""
    try:
        found = class_folders(root)
    except DataError as error:
        return str(error)
    tops = found.tops.values()
    for folder in (one for top in tops for one in (*top.classes, *top.others)):
        if folder.name.casefold() in PART_NAMES:
            return f"{str(folder)!r} is not named like a class{_ANYWAY}"
        if has_annotation(folder):
            return f"{str(folder)!r} has XML annotations in it, which --format voc reads{_ANYWAY}"
    if not found.with_photographs:
        return "no folder has photographs in it"
    if len(found.names) < 2 and not (root / "classes.txt").is_file():
        return f"{found.names[0]!r} is the only folder of photographs{_ANYWAY}"
    return None


def read_class_folders(draft: Draft) -> StoredDataSet:
    """Read ``ROOT/CLASS/*.jpg`` or ``ROOT/SPLIT/CLASS/*.jpg``; the folder's name is the only tag of its photographs.

    Folders inside a class folder belong to that class. Class 0 is the background and the others are the folders' names
    in the order of the alphabet; ``classes.txt`` overrides both. ``truth/CLASS/NAME.png`` may hold masks.
    """
    root = draft.root
    there = class_folders(root)
    splits = [name for name in there.tops if name]
    with_split = draft.split is None and bool(splits)
    chosen = list(there.tops) if draft.split is None else draft.choose(splits)
    classes = class_file(root) or _table(root, there)
    spelling = Spelling(classes.names)
    if all(spelling.find(name) is None for name in there.names):
        raise DataError(
            f"{root}: expected a folder for each class of classes.txt, got {enumeration(there.names)}; rename them"
        )
    _refuse_wrapper(there, listed=(root / "classes.txt").is_file())
    draft.problems += _left_out(root, draft.split, there, [there.tops[name] for name in chosen])
    draft.notes += _notes(there)
    quiet = Spelling(classes.names)  # its notes come with the photographs
    every = _every_name(there, with_split) if (root / "truth").is_dir() else ()
    tags = {name: _tags(name.split("/")[with_split], classes, quiet).tags for name in every}
    masks = named_masks(draft, classes, tags)
    days: list[str] = []
    for name in chosen:
        for folder in there.tops[name].classes:
            tagged = _tags(folder.name, classes, spelling)
            listed = list_files(folder, SUFFIXES)
            draft.problems += listed.problems
            above = f"{name}/{folder.name}" if with_split else folder.name
            draft.add(folder, listed.files, dict.fromkeys(listed.files, tagged).__getitem__, masks, f"{above}/")
            days += sorted({f"{above}/{file.rpartition('/')[0]}" for file in listed.files if "/" in file})
    if days:
        draft.notes.append(f"folders inside a class folder count for its class: {enumeration(days, most=3)}")
    draft.notes += spelling.notes
    return draft.finish(classes, "put photographs into a folder for each class")


def _refuse_wrapper(there: ClassFolders, listed: bool) -> None:
    """Refuse a single folder around the class folders, which would make one class of all."""
    folders = [folder for top in there.tops.values() for folder in top.classes]
    if listed or len(folders) != 1 or any(path.suffix.lower() in SUFFIXES for path in folders[0].iterdir()):
        return
    inner = [one.name for one in folders_of(folders[0]) if _content(one) == _PHOTOGRAPHS]
    if len(inner) > 1:
        raise DataError(
            f"{folders[0]}: the only folder, with {enumeration(inner, most=3)} in it; give it as --data if these are "
            "the classes, or list it in classes.txt if it is the class"
        )


def _table(root: Path, there: ClassFolders) -> ClassTable:
    names = [name for name in there.names if not is_background(name)]
    if not names:
        others = [one.name for top in there.tops.values() for one in top.others]
        got = f"; {enumeration(others)} hold other files only" if others else ""
        raise DataError(f"{root}: expected a folder of photographs for each class, found none{got}")
    return table_of(names, root)


def _tags(name: str, classes: ClassTable, spelling: Spelling) -> Tagged:
    if classes.background and is_background(class_of(name)):
        return Tagged()  # a negative
    if (label := spelling.read(class_of(name))) is None:
        wrong = f"its folder {name!r} is not a class in classes.txt"
        return Tagged(reason=f"{wrong}; add it, or rename the folder")
    return Tagged((label,))


def _left_out(root: Path, split: str | None, there: ClassFolders, tops: Sequence[_Top]) -> list[Problem]:
    """Report photographs beside the class folders, and folders that are not a class."""
    problems = []
    for folder in dict.fromkeys([*(top.folder for top in tops), *([] if split else [root])]):
        loose = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.is_file())
        for path in (one for one in loose if not is_hidden(one.name)):
            reason = "it lies outside the class folders, so its class is unknown; move it into one"
            problems.append(Problem(str(path), reason))
    for folder in (one for top in tops for one in top.others):
        example = next(path for path in sorted(folder.rglob("*")) if path.is_file() and not is_hidden(path.name))
        reason = f"no photograph is in this folder, only files such as {example.name!r}; convert or remove them"
        problems.append(Problem(str(folder), reason))
    for folder in () if split else there.strays:
        named = split_of(folder.name) is not None
        why = "it is named as a split, so it is not a class; list it" if named else "it lies beside splits; list it"
        problems.append(Problem(str(folder), f"{why} in classes.txt if it is one, or move it elsewhere"))
    return problems


def _notes(there: ClassFolders) -> list[str]:
    full = there.with_photographs
    empty = [name for name in there.names if name.casefold() not in full]
    return [f"no photograph yet in the class folders {enumeration(empty)}"] if empty else []


def _top(folder: Path, folders: Sequence[Path]) -> _Top:
    content = {one: _content(one) for one in folders}
    return _Top(
        folder,
        tuple(one for one, kind in content.items() if kind != _FILES),
        tuple(one for one, kind in content.items() if kind == _FILES),
    )


def _content(folder: Path) -> str:
    """Tell whether a folder holds photographs, only other files, or no files; links to folders are not followed."""
    kind, seen = _EMPTY, 0
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)] if seen < _MOST else []
        seen += len(files) + len(folders)
        for name in files:
            if not is_hidden(name):
                if Path(name).suffix.lower() in SUFFIXES:
                    return _PHOTOGRAPHS
                kind = _FILES
    return kind


def _every_name(there: ClassFolders, with_split: bool) -> Iterator[str]:
    """Yield the names of the photographs of all splits."""
    for name, top in there.tops.items():
        for folder in top.classes:
            above = f"{name}/{folder.name}" if with_split else folder.name
            yield from (f"{above}/{name_of(file, SUFFIXES)}" for file in list_files(folder, SUFFIXES).files)


CLASS_FOLDERS = Reader(
    "a folder of photographs for each class", lambda root: why_not_class_folders(root) is None, read_class_folders
)
