"""A data set in a folder: photographs, a file of tags and ``classes.txt``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.classes import enumeration, read_classes, read_text, with_supers
from dhr.data.ground_truth import ground_truth_files
from dhr.data.images import SUFFIXES
from dhr.data.listing import Names, list_files, name_of, overwritten, printable
from dhr.data.matching import match_lines
from dhr.data.numbering import MatchedMask, numbering
from dhr.data.samples import ClassTable, Problem, Sample
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import TagLine, read_tags, tag_names
from dhr.errors import DataError, ItemError

TAG_FILES = ("tags.csv", "tags.jsonl", "tags.tsv", "tags.xlsx")
"""Files of tags, one of which a folder has."""

_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers", ".json", ".jsonl")


@dataclass(frozen=True)
class Tagging:
    """What a file of annotations says about the photographs of a folder."""

    file: Path
    """Where it stands."""
    images: Path
    """The folder of photographs."""
    classes: ClassTable
    lines: Sequence[TagLine]
    """The tags of each photograph, by its relative path; usable or not."""
    notes: Sequence[str] = ()
    """What was decided while they were read."""


class FolderDataSet(StoredDataSet):
    """Photographs and tags in a folder; implements :class:`~dhr.data.samples.DataSet`.

    ::

        ROOT/images/           PNG, JPEG, WebP, BMP, TIFF, GIF; sub-folders are part of the name
        ROOT/tags.csv          image,tags: a file name, with or without suffix, and its tags joined by ';'
                               (or tags.tsv, tags.xlsx: the same; or tags.jsonl: a line {"image": "a.jpg", "tags":
                               ["cat", "dog"]} for each)
        ROOT/classes.txt       one class a line; the first may be `background`
        ROOT/truth/NAME.png    optional: masks of class ids, for evaluation only
        ROOT/splits/SPLIT.txt  optional: one name or file name a line
        ROOT/supercategories.csv   optional: class,supercategory

    Everything is listed here, nothing of the images and truth masks is opened. Whatever cannot be used is one of
    ``problems``; with a ``split`` only what concerns the photographs of the split is.

    Args:
        root: the folder.
        split: one of ``splits/``.
        tagging: tags from elsewhere, instead of ``tags.csv`` and ``classes.txt``.

    Raises:
        DataError: the folder cannot be used as a whole.
    """

    def __init__(self, root: str | os.PathLike[str], split: str | None = None, tagging: Tagging | None = None) -> None:
        root = Path(root)
        self._root = root
        tagging = tagging or _own_tagging(root)
        listed = list_files(tagging.images, SUFFIXES)
        problems = list(listed.problems) if split is None else []
        folder = "images/" if tagging.images == root / "images" else f"{tagging.images.name}/"
        names = Names(listed.files, folder)
        wanted = None if split is None else read_split(root, split, names, problems)
        matched = match_lines(tagging.file, tagging.lines, names)
        problems += matched.problems if wanted is None else ()
        truths = ground_truth_files(root / "truth", [name_of(file, SUFFIXES) for file in listed.files])
        tagged = {file: matched.tags_of(file) for file in listed.files}
        masks = {file: truths.by_name.get(name_of(file, SUFFIXES)) for file in listed.files}
        examples = [(mask, tagged[file][0] or None) for file, mask in masks.items() if mask is not None]
        numbers = numbering(tagging.classes, root / "truth", examples)
        found = []
        for file in listed.files:
            if wanted is not None and file not in wanted:
                continue
            path, name = tagging.images / file, name_of(file, SUFFIXES)
            tags, reason = tagged[file]
            if clash := names.clash(file):
                tags, reason = (), overwritten([str(tagging.images / other) for other in clash])
            truth = None if (mask := masks[file]) is None else MatchedMask(mask, numbers)
            found.append(Found(name, str(path), path, tags, truth, reason))
        where = f"{tagging.images}" + (f" in split {split!r}" if split is not None else "")
        remedy = f"put photographs there and tag them in {tagging.file.name}"
        notes = (*tagging.notes, *numbers.notes)
        super().__init__(where, tagging.classes, found, problems, remedy, notes, stray_ground_truth=truths.stray)

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`, of the size of the upright photograph.

        Raises:
            ItemError: there is none, it cannot be read, has another size, or ids that are no class.
        """
        if self._one(sample).truth is None:
            raise ItemError(f"{self._root / 'truth' / sample.name}.png: there is no such ground-truth mask; add it")
        return super().read_ground_truth(sample)


def _own_tagging(root: Path) -> Tagging:
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder with images/, tags.csv and classes.txt, found none; check the path")
    if not (root / "images").is_dir():
        raise DataError(f"{root}: expected a folder images/ in it, found none; put the photographs there")
    files = [root / name for name in TAG_FILES if (root / name).is_file()]
    if not files:
        raise DataError(f"{root}: expected a file tags.csv in it, there is {_other_tables(root)}")
    if len(files) > 1:
        there = " and ".join(path.name for path in files)
        raise DataError(f"{root}: expected one file of tags, got {there}; keep one of them")
    classes, notes = _class_table(root, files[0]), list[str]()
    return Tagging(files[0], root / "images", classes, read_tags(files[0], classes, notes), notes)


def _other_tables(root: Path) -> str:
    """What there is in place of a file of tags, and what to do."""
    own = ("classes.txt", "supercategories.csv")
    there = sorted(
        path.name
        for path in root.iterdir()
        if path.suffix.lower() in _TABLES and path.is_file() and path.name not in own and not path.name.startswith(".")
    )
    if not there:
        return "none; write a first line image,tags and a line per photograph, such as a.jpg,cat;dog"
    known = [name for name in there if Path("tags" + Path(name).suffix.lower()).name in TAG_FILES]
    name = (known or there)[0]
    if known:
        return f"{enumeration(there, most=3)}; rename the one with the tags tags{Path(name).suffix.lower()}"
    return f"{enumeration(there, most=3)}; save the one with the tags as tags.csv (UTF-8) or tags.xlsx"


def class_file(root: Path) -> ClassTable | None:
    """The table of ``classes.txt``, with ``supercategories.csv`` where there is one; None without ``classes.txt``."""
    path, supers = root / "classes.txt", root / "supercategories.csv"
    if not path.is_file():
        return None
    classes = read_classes(path)
    return with_supers(classes, supers) if supers.is_file() else classes


def _class_table(root: Path, tags: Path) -> ClassTable:
    classes = class_file(root)
    if classes is None:
        found = tag_names(tags)
        names = ", ".join(found) if found else "none"
        raise DataError(
            f"{root}: expected a file classes.txt in it, one class a line (tags found in {tags.name}: {names}); make "
            "the first line `background` if photographs also show things that no tag names; without it, tags cover all"
        )
    return classes


def read_split(root: Path, split: str, names: Names, problems: list[Problem]) -> set[str]:
    """The files that ``root/splits/SPLIT.txt`` names; lines that name none become ``problems``.

    Raises:
        DataError: there is no such split.
    """
    folder = root / "splits"
    known = sorted(path.stem for path in folder.glob("*.txt") if not path.name.startswith("."))
    if split not in known:
        there = f"there are {enumeration(known)}" if known else f"there is no file in {folder}"
        raise DataError(f"{root}: no split {split!r}; {there}")
    path = folder / f"{split}.txt"
    wanted = set()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not (entry := line.strip()):
            continue
        files, reason = names.find(entry)
        wanted.update(files)
        if reason:
            problems.append(Problem(printable(entry), f"{path} line {number}: {reason}"))
    return wanted
