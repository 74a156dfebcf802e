"""Read a data set in a folder: photographs, a file of tags and ``classes.txt``."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.classes import class_file, enumeration
from dhr.data.images import SUFFIXES
from dhr.data.listing import list_files, name_of, overwritten
from dhr.data.names import Names
from dhr.data.numbering import named_masks
from dhr.data.places import listed_files
from dhr.data.samples import ClassTable, Problem, Sample, Tagged
from dhr.data.stored import Draft, Reader, StoredDataSet
from dhr.data.tags import match_lines, read_tags, tag_names
from dhr.errors import DataError, ItemError

TAG_FILES = ("tags.csv", "tags.jsonl", "tags.tsv", "tags.xlsx")
"""Files of tags, one of which a folder has."""

_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers", ".json", ".jsonl")


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

    All files are listed; photographs and masks are not opened. Everything unusable is one of ``problems``; with a
    ``split``, only problems of its photographs are.

    Args:
        root: the folder.
        split: one of ``splits/``.

    Raises:
        DataError: the folder cannot be used as a whole.
    """

    def __init__(self, root: str | os.PathLike[str], split: str | None = None) -> None:
        self._root = root = Path(root)
        draft, images = Draft(root, split), root / "images"
        tags = _tag_file(root)
        classes = _class_table(root, tags)
        listed = list_files(images, SUFFIXES)
        names = Names(listed.files)
        if split is None:
            draft.problems += listed.problems
        wanted = set(listed.files) if split is None else read_split(root, split, names, draft.problems)
        lines = read_tags(tags, classes, draft.notes)
        matched = match_lines(tags, lines, names, draft.problems if split is None else None)
        tagged = {file: matched.tags_of(file) for file in listed.files}
        masks = named_masks(draft, classes, {name_of(file, SUFFIXES): one.tags for file, one in tagged.items()})

        def tags_of(file: str) -> Tagged:
            clash = [str(images / other) for other in names.clash(file)]
            return Tagged(reason=overwritten(clash)) if clash else tagged[file]

        draft.add(images, [file for file in listed.files if file in wanted], tags_of, masks)
        super().__init__(draft, classes, f"put photographs there and tag them in {tags.name}", images)

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Read the mask; see :meth:`StoredDataSet.read_ground_truth`."""
        if self._one(sample).ground_truth is None:
            raise ItemError(f"{self._root / 'truth' / sample.name}.png: there is no such ground-truth mask; add it")
        return super().read_ground_truth(sample)


def _tag_file(root: Path) -> Path:
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
    return files[0]


def _other_tables(root: Path) -> str:
    """Describe the tables that exist in place of a file of tags, and the remedy."""
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
    """Return the files that ``root/splits/SPLIT.txt`` names; see :func:`~dhr.data.places.listed_files`.

    Raises:
        DataError: there is no such split.
    """
    folder = root / "splits"
    known = sorted(path.stem for path in folder.glob("*.txt") if not path.name.startswith("."))
    if split not in known:
        there = f"there are {enumeration(known)}" if known else f"there is no file in {folder}"
        raise DataError(f"{root}: no split {split!r}; {there}")
    return listed_files(folder / f"{split}.txt", names, problems)


def fits_folder(root: Path) -> bool:
    """Tell whether there are ``images/`` and a file of tags."""
    return (root / "images").is_dir() and any((root / name).is_file() for name in TAG_FILES)


FOLDER = Reader(
    "images/ with tags.csv (or .tsv, .xlsx, .jsonl) and classes.txt",
    fits_folder,
    lambda draft: FolderDataSet(draft.root, draft.split),
)
