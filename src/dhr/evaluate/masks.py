"""Ground-truth masks: of a data set, or of a folder of PNG files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.benchmarks import benchmark
from dhr.data.classes import read_classes, with_supers
from dhr.data.ground_truth import ListsGroundTruth, not_masks
from dhr.data.listing import key_of, list_files
from dhr.data.numbering import Numbering, class_table_of, numbering
from dhr.data.palettes import looks_like_voc
from dhr.data.problems import problem_lines
from dhr.data.samples import ClassTable, DataSet
from dhr.errors import DataError
from dhr.shards import out_of_shard


@dataclass(frozen=True)
class Mask:
    """One ground-truth mask."""

    name: str
    """Relative POSIX path without suffix; a prediction is ``<name>.png``."""
    source: str
    """Its name for people."""
    read: Callable[[], UInt8[np.ndarray, "h w"]]
    """Reads it; ItemError if it cannot be read."""
    tags: tuple[int, ...] | None = None
    """Tags of its photograph, if they are known."""
    numbering: Numbering | None = None
    """Numbering of its folder, if it does not belong to a data set."""


def masks_of(data: DataSet) -> tuple[Mask, ...]:
    """Return the ground-truth masks of a data set.

    Raises:
        DataError: it has no ground truth.
    """
    found = tuple(
        Mask(s.name, s.source, partial(data.read_ground_truth, s), s.tags) for s in data.samples if s.has_ground_truth
    )
    if not found:
        raise DataError(without_truth(data, "add ground-truth masks, or use --ground-truth"))
    return found


def without_truth(data: DataSet, remedy: str) -> str:
    """Return the message for a data set without ground truth; it names files that could not be used."""
    stray = problem_lines(data.stray_ground_truth, 2) if isinstance(data, ListsGroundTruth) else []
    there = f" (not used: {' | '.join(stray)})" if stray else ""
    return f"none of the {len(data.samples)} photographs has a ground-truth mask{there}; {remedy}"


def masks_in(folder: Path, classes: ClassTable, data: DataSet | None = None) -> tuple[Mask, ...]:
    """Return the PNG files of a folder and its sub-folders; classes are matched by name with ``classes``.

    Args:
        folder: the masks.
        classes: the class table.
        data: photographs; masks of the same names get their tags.

    Raises:
        DataError: the folder is missing or has no PNG files, or its class table does not fit.
    """
    names = [(out_of_shard(name[: -len(".png")]), folder / name) for name in _listed(folder)]
    tags = {} if data is None else {key_of(sample.name): sample.tags for sample in data.samples}
    tagged = [(name, path, tags.get(key_of(name))) for name, path in names]
    numbers = numbering(classes, folder, [(path, own) for _, path, own in tagged])
    return tuple(Mask(name, str(path), partial(numbers.read, path), own, numbers) for name, path, own in tagged)


def classes_of(folder: Path) -> ClassTable:
    """Find the class table of a folder of masks: ``classes.txt`` and ``supercategories.csv`` in or beside it, that of
    the run that made them, or VOC's.

    Raises:
        DataError: there is no class table, and the masks are not VOC's.
    """
    paths = [folder / name for name in _listed(folder)]
    for place in (folder, folder.resolve().parent):
        if (place / "classes.txt").is_file():
            table, supers = read_classes(place / "classes.txt"), place / "supercategories.csv"
            return with_supers(table, supers) if supers.is_file() else table
    if (of_run := class_table_of(folder)) is not None:
        return of_run
    if looks_like_voc(paths):
        return benchmark("voc").classes
    raise DataError(
        f"{folder}: cannot tell the classes: there is no classes.txt in it or beside it, and the masks are not PASCAL "
        "VOC's (indexed PNGs in its palette, ids 0..20 and 255); name the data set with --data"
    )


def _listed(folder: Path) -> Sequence[str]:
    if not folder.is_dir():
        raise DataError(f"expected a folder of masks at {folder}, found none; check the path")
    listing = list_files(folder, frozenset({".png"}))
    if not listing.files:
        others = problem_lines(not_masks(listing.problems), 1)
        there = f" (not used: {others[0]})" if others else ""
        raise DataError(f"{folder}: expected PNG masks, found none{there}; give the folder that holds them")
    return listing.files
