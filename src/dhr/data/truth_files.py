"""The files of a folder of ground truth, matched with photographs; files that match none are named."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dhr.data.images import SUFFIXES
from dhr.data.listing import key_of, list_files, name_of, printable
from dhr.data.problems import told
from dhr.data.samples import Problem

_PNG = frozenset({".png"})
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})
_TABLES = frozenset({"classes.txt", "supercategories.csv", "palette.txt", "readme.txt", "readme.md"})


@dataclass(frozen=True)
class TruthFiles:
    """What a folder of ground truth holds."""

    by_name: Mapping[str, Path]
    """Mask files, by the names of their photographs."""
    stray: tuple[Problem, ...]
    """Files that are the mask of no photograph, and why."""


@runtime_checkable
class ListsTruth(Protocol):
    """A data set that knows which of its ground-truth files are of no use."""

    @property
    def stray_truth(self) -> tuple[Problem, ...]:
        """Files that are the mask of no photograph, and why."""
        ...


def truth_files(folder: Path, names: Iterable[str]) -> TruthFiles:
    """Match the PNG files of ``folder`` with photographs; nothing is opened.

    Args:
        folder: the masks, sub-folders included; it need not exist. Class tables and hidden files in it are ignored.
        names: all photographs of the data set (not of a split only), as relative POSIX paths without suffix.
    """
    if not folder.is_dir():
        return TruthFiles({}, ())
    wanted = {key_of(name): name for name in names}
    listing = list_files(folder, _PNG)
    by_name: dict[str, Path] = {}
    stray = not_masks(listing.problems)
    for file in listing.files:
        stem = name_of(file, _PNG)
        name = wanted.get(key_of(stem))
        if name is None:
            reason = f"no photograph is called {printable(stem)!r}; name each mask as its photograph"
        elif name in by_name:
            reason = f"{by_name[name].name!r} is the mask of the same photograph; remove one of them"
        else:
            by_name[name] = folder / file
            continue
        stray.append(Problem(printable(str(folder / file)), reason))
    return TruthFiles(by_name, tuple(stray))


def not_masks(problems: Iterable[Problem]) -> list[Problem]:
    """What a listing of PNG files passed over, class tables apart, and why these files are not read as masks."""
    found = []
    for problem in problems:
        path = Path(problem.source)
        if path.suffix.lower() in SUFFIXES - _PNG:
            found.append(Problem(problem.source, not_png(path.suffix)))
        elif path.name.lower() not in _TABLES:
            found.append(problem)
    return found


def stray_notes(stray: Sequence[Problem]) -> list[str]:
    """Sentences that name files of ground truth that are not used; each reason once.

    >>> stray_notes([Problem("truth/x.png", "no photograph is called 'x'")])
    ["ground truth not used: truth/x.png: no photograph is called 'x'"]
    """
    return [f"ground truth not used: {line}" for line in told(stray, 3)]


def not_png(suffix: str) -> str:
    """Why a mask with this suffix is not read.

    >>> not_png(".tif")
    'expected a mask in PNG, got .tif; save it as PNG with the same pixel values'
    """
    if suffix.lower() in _LOSSY:
        return f"expected a mask in PNG, got {suffix}, which may change pixel values; export the original mask as PNG"
    return f"expected a mask in PNG, got {suffix}; save it as PNG with the same pixel values"
