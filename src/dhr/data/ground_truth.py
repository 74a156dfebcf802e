"""Sources of ground-truth masks, and the match of mask files with photographs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dhr.data.image_files import Content
from dhr.data.images import SUFFIXES
from dhr.data.labels import Storage, read_labels
from dhr.data.listing import key_of, list_files, name_of
from dhr.data.problems import problem_lines
from dhr.data.samples import Problem
from dhr.errors import ItemError
from dhr.shards import out_of_shard

_PNG = frozenset({".png"})
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})
_TABLES = frozenset({"classes.txt", "supercategories.csv", "palette.txt", "readme.txt", "readme.md"})


@runtime_checkable
class GroundTruth(Protocol):
    """The source of one photograph's ground-truth mask."""

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """Return class ids and :data:`~dhr.data.samples.VOID`, of the height and width ``shape``.

        Raises:
            ItemError: the mask cannot be read, or has another size.
        """
        ...


@runtime_checkable
class InMaskFile(Protocol):
    """Ground truth that is a mask in a file."""

    @property
    def mask_file(self) -> Path | None:
        """The file, of any numbering; None if it is inside another file."""
        ...


@dataclass(frozen=True)
class NoGroundTruth:
    """The reason why a photograph has no ground truth although its annotations hold some of it."""

    reason: str

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """Raise ItemError."""
        raise ItemError(f"{self.reason}; correct it, or score without this photograph")


@dataclass(frozen=True)
class MaskFile:
    """A mask in a PNG file; see :func:`~dhr.data.labels.read_labels`."""

    path: Path | Content
    storage: Storage
    note: str = "classes.txt"
    """The place that explains the class ids, for messages."""

    @property
    def mask_file(self) -> Path | None:
        """The file; None if it is inside another file."""
        return self.path if isinstance(self.path, Path) else None

    def read(self, shape: tuple[int, int] | None) -> UInt8[np.ndarray, "h w"]:
        """Return class ids and :data:`~dhr.data.samples.VOID`; see :meth:`GroundTruth.read`."""
        return read_labels(self.path, self.storage, shape, self.note)


@dataclass(frozen=True)
class GroundTruthFiles:
    """The content of a folder of ground truth."""

    by_name: Mapping[str, Path]
    """Mask files by the names of their photographs."""
    stray: tuple[Problem, ...]
    """Files that belong to no photograph, and why."""


@runtime_checkable
class ListsGroundTruth(Protocol):
    """A data set that lists its unusable ground-truth files."""

    @property
    def stray_ground_truth(self) -> tuple[Problem, ...]:
        """Files that belong to no photograph, and why."""
        ...


def ground_truth_files(folder: Path, names: Iterable[str]) -> GroundTruthFiles:
    """Match the PNG files of ``folder`` with photographs without opening them.

    Args:
        folder: the masks, sub-folders included; it need not exist. Class tables and hidden files are ignored.
        names: all photographs of the data set (not only of a split), as relative POSIX paths without suffix.
    """
    if not folder.is_dir():
        return GroundTruthFiles({}, ())
    wanted = {key_of(name): name for name in names}
    listing = list_files(folder, _PNG)
    by_name: dict[str, Path] = {}
    stray = not_masks(listing.problems)
    for file in listing.files:
        stem = name_of(file, _PNG)
        name = wanted.get(key_of(stem)) or wanted.get(key_of(out_of_shard(stem)))
        if name is None:
            reason = f"no photograph is called {stem!r}; name each mask as its photograph"
        elif name in by_name:
            reason = f"{by_name[name].name!r} is the mask of the same photograph; remove one of them"
        else:
            by_name[name] = folder / file
            continue
        stray.append(Problem(str(folder / file), reason))
    return GroundTruthFiles(by_name, tuple(stray))


def not_masks(problems: Iterable[Problem]) -> list[Problem]:
    """Explain why the files that a listing of PNG files left out are not masks; class tables are ignored."""
    found = []
    for problem in problems:
        path = Path(problem.source)
        if path.suffix.lower() in SUFFIXES - _PNG:
            lossy = ", which may change pixel values; export the original mask as PNG"
            remedy = lossy if path.suffix.lower() in _LOSSY else "; save it as PNG with the same pixel values"
            found.append(Problem(problem.source, f"expected a mask in PNG, got {path.suffix}{remedy}"))
        elif path.name.lower() not in _TABLES:
            found.append(problem)
    return found


def stray_notes(stray: Sequence[Problem]) -> list[str]:
    """Name the ground-truth files that are not used; each reason once.

    >>> stray_notes([Problem("truth/x.png", "no photograph is called 'x'")])
    ["ground truth not used: truth/x.png: no photograph is called 'x'"]
    """
    return [f"ground truth not used: {line}" for line in problem_lines(stray, 3)]
