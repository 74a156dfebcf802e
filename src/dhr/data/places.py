"""Find the parts of a data set: its folder or the one above may be given; names of folders, splits and lists."""

import re
from collections.abc import Sequence
from pathlib import Path

from dhr.data.classes import enumeration, read_text
from dhr.data.listing import is_hidden
from dhr.data.names import Entry, Names
from dhr.data.samples import Problem
from dhr.errors import DataError
from dhr.files import open_regular


def base(root: Path, folders: Sequence[str], inner: str) -> Path | None:
    """Return ``root`` or the first of its ``folders`` that holds a folder ``inner``."""
    return next((root / folder for folder in ("", *folders) if (root / folder / inner).is_dir()), None)


def first_folder(root: Path, *folders: str) -> Path | None:
    """Return the first of ``folders`` that exists below ``root``."""
    return next((root / folder for folder in folders if (root / folder).is_dir()), None)


def folders_of(root: Path) -> list[Path]:
    """Return the folders in ``root``, sorted, without hidden ones and those of systems."""
    return sorted(path for path in root.iterdir() if not is_hidden(path.name) and path.is_dir())


def folder_named(root: Path, *names: str) -> Path | None:
    """Return the first folder of ``root`` with one of ``names``, which are in lower case; folders match in any case."""
    there = {path.name.casefold(): path for path in reversed(folders_of(root))}
    return next((there[name] for name in names if name in there), None)


_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "eval": "val", "test": "test", "testing": "test",
}  # fmt: skip
_SPLIT = re.compile(rf"({'|'.join(_SPLITS)})[ _-]?(set|data|images|split|20\d\d)?", re.IGNORECASE)


def split_of(name: str) -> str | None:
    """Tell which split a folder of this name holds: ``train``, ``val`` or ``test``; None for other names.

    >>> [split_of(name) for name in ("Training", "valid", "test_set", "dev", "trainer")]
    ['train', 'val', 'test', 'val', None]
    """
    found = _SPLIT.fullmatch(name.strip())
    return None if found is None else _SPLITS[found[1].lower()]


def chosen_split(root: Path, split: str, known: Sequence[str]) -> str:
    """Return the one of the ``known`` splits that a person means: by name in any case, else by a synonym.

    Raises DataError if there is none, or several are meant.
    """
    if split in known:
        return split
    same = [name for name in known if name.casefold() == split.casefold()] or [
        name for name in known if split_of(name) is not None and split_of(name) == split_of(split)
    ]
    if len(same) != 1:
        raise no_split(root, split, known)
    return same[0]


def no_split(root: Path, split: str, known: Sequence[str]) -> DataError:
    """Make the error of a split that does not exist."""
    there = f"there are {enumeration(sorted(known), most=20)}" if known else "this data set has no splits"
    return DataError(f"{root}: no split {split!r}; {there}")


_QUOTED = re.compile(r"""(["'])(.+)\1(\s+-?\d+)?""")
_PAIR = re.compile(r"(\S+\.\w{3,4})\s+\S+\.\w{3,4}")


def listed_files(path: Path, names: Names, problems: list[Problem]) -> set[str]:
    """Return the files that the lines of a list name; lines that match no file become ``problems``.

    A line is a name, bare or in quotes, a pair (``/JPEGImages/a.jpg /SegmentationClassAug/a.png``), or a name and a
    number, as in VOC's lists of one class.
    """
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), start=1))
    entries = [Entry(_entry(line, names), f"{path} line {number}", line) for number, line in lines if line]
    return set(names.match(path, entries, problems))


def _entry(line: str, names: Names) -> str:
    if match := _QUOTED.fullmatch(line):
        return match[2]
    if match := _PAIR.fullmatch(line):
        return match[1]
    first = line.split()[0]
    if first != line and not names.find(line)[0] and names.find(first)[0]:
        return first
    return line


def head_of(path: Path, most: int = 4096) -> bytes:
    """Return the first bytes of a file, which show its kind; raises DataError if it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(most)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; check the permissions") from error
