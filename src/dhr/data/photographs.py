"""Photographs without tags: those of a data folder, or of any folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.folder import read_split
from dhr.data.images import SUFFIXES
from dhr.data.listing import Names, list_files, name_of, too_long
from dhr.data.samples import Problem
from dhr.errors import DataError


@dataclass(frozen=True)
class Photograph:
    """A photograph's file."""

    name: str
    """Relative POSIX path without suffix."""
    path: Path


@dataclass(frozen=True)
class Photographs:
    """What was listed; nothing has been opened."""

    listed: tuple[Photograph, ...]
    problems: tuple[Problem, ...]


def list_photographs(root: Path, split: str | None = None) -> Photographs:
    """The photographs of ``root/images``, or of ``root`` itself where there is no such folder, sub-folders included.

    No tags and no truth are looked at, so none need be there. ``split`` chooses those that ``root/splits/SPLIT.txt``
    names, a line each.

    Raises:
        DataError: there are none, or no such split.
    """
    if not root.is_dir():
        raise DataError(f"expected a folder of photographs at {root}, there is none; check the path")
    images = root / "images" if (root / "images").is_dir() else root
    listing = list_files(images, SUFFIXES)
    problems = list(listing.problems) if images != root else []  # a folder of anything holds other files too
    files: Sequence[str] = listing.files
    if split is not None:
        problems = []
        wanted = read_split(root, split, Names(files), problems)
        files = [file for file in files if file in wanted]
    if not files:
        where = f"in split {split!r} of {root}" if split is not None else f"in {images}"
        raise DataError(f"there is no photograph ({', '.join(sorted(SUFFIXES))}) {where}; put some there")
    found = [Photograph(name_of(file, SUFFIXES), images / file) for file in files]
    problems += [Problem(str(one.path), reason) for one in found if (reason := too_long(one.name))]
    return Photographs(tuple(one for one in found if not too_long(one.name)), tuple(problems))
