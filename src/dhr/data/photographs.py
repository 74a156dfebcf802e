"""List photographs without tags: those of a data folder, or of any folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.folder import read_split
from dhr.data.image_files import digest_image
from dhr.data.images import SUFFIXES, read_rgb
from dhr.data.listing import list_files, name_of, overwritten, too_long
from dhr.data.names import Names
from dhr.data.problems import summary
from dhr.data.samples import ClassTable, Problem, Sample
from dhr.errors import DataError, ItemError


@dataclass(frozen=True)
class Photograph:
    """A photograph's file."""

    name: str
    """Relative POSIX path without suffix."""
    path: Path


@dataclass(frozen=True)
class UntaggedDataSet:
    """Photographs without tags and ground truth, as a data set."""

    classes: ClassTable
    listed: Sequence[Photograph]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> list[Sample]:
        """Return the photographs."""
        return [Sample(one.name, str(one.path), (), False) for one in self.listed]

    def digest(self, sample: Sample) -> str:
        """Return the SHA-256 of the photograph's content, in hex."""
        return digest_image(Path(sample.source))

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Read the photograph: RGB, upright."""
        return read_rgb(Path(sample.source))

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Refuse: there is no ground truth."""
        raise ItemError(f"{sample.source}: has no ground truth")


@dataclass(frozen=True)
class Photographs:
    """Listed photographs; none has been opened."""

    listed: tuple[Photograph, ...]
    problems: tuple[Problem, ...]


def list_photographs(root: Path, split: str | None = None) -> Photographs:
    """List the photographs of ``root/images``, or of ``root`` if that does not exist, sub-folders included.

    Tags and ground truth are ignored. ``split`` chooses those that ``root/splits/SPLIT.txt`` names, one per line.
    Raises DataError if there are none, or no such split.
    """
    if not root.is_dir():
        raise DataError(f"expected a folder of photographs at {root}, found none; check the path")
    images = root / "images" if (root / "images").is_dir() else root
    listing = list_files(images, SUFFIXES)
    names = Names(listing.files)
    problems = list(listing.problems) if images != root else []  # a folder of anything holds other files too
    files: Sequence[str] = listing.files
    if split is not None:
        problems = []
        wanted = read_split(root, split, names, problems)
        files = [file for file in files if file in wanted]
    if not files:
        where = f"in split {split!r} of {root}" if split is not None else f"in {images}"
        raise DataError(f"there is no photograph ({', '.join(sorted(SUFFIXES))}) {where}; put some there")
    return _without_clashes(images, files, names, problems)


def photographs_below(folder: Path) -> Photographs:
    """List all photographs of ``folder``, sub-folders included; other files are problems. Raises DataError if there are
    none.
    """
    if not folder.is_dir():
        raise DataError(f"expected a folder of photographs at {folder}, found none; check the path")
    listing = list_files(folder, SUFFIXES)
    if not listing.files:
        raise DataError(f"{folder} holds no photograph ({', '.join(sorted(SUFFIXES))}); put some there")
    return _without_clashes(folder, listing.files, Names(listing.files), listing.problems)


def _without_clashes(folder: Path, files: Sequence[str], names: Names, problems: Sequence[Problem]) -> Photographs:
    """Leave out photographs whose masks would share a name, or whose name is too long."""
    listed, broken = [], list(problems)
    for file in files:
        if others := names.clash(file):
            broken.append(Problem(str(folder / file), overwritten([str(folder / one) for one in others])))
        elif reason := too_long(name_of(file, SUFFIXES)):
            broken.append(Problem(str(folder / file), reason))
        else:
            listed.append(Photograph(name_of(file, SUFFIXES), folder / file))
    if not listed:
        raise DataError(f"{folder}: no usable photograph; {summary(broken, 3)}")
    return Photographs(tuple(listed), tuple(broken))
