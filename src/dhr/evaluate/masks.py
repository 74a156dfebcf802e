"""Truth masks to be measured: of a data set, or of a folder of PNGs alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.classes import read_classes, with_supers
from dhr.data.images import read_mask
from dhr.data.listing import list_files
from dhr.data.samples import VOID, ClassTable, DataSet
from dhr.data.voc_table import looks_like_voc, voc_classes
from dhr.errors import DataError, ItemError


@dataclass(frozen=True)
class Mask:
    """One truth mask."""

    name: str
    """Relative POSIX path without suffix; a prediction is ``<name>.png``."""
    source: str
    """What a person would look for."""
    read: Callable[[], UInt8[np.ndarray, "h w"]]
    """Reads it; ItemError if it cannot be read."""


def masks_of(data: DataSet) -> tuple[Mask, ...]:
    """The truth masks of a data set.

    Raises:
        DataError: it has none.
    """
    found = tuple(Mask(s.name, s.source, partial(data.read_truth, s)) for s in data.samples if s.has_truth)
    if not found:
        raise DataError(
            f"none of the {len(data.samples)} photographs has a truth mask; add truth masks, or use --truth"
        )
    return found


def masks_in(folder: Path, classes: ClassTable) -> tuple[Mask, ...]:
    """The PNG files of a folder, sub-folders included, whose ids are those of ``classes`` and 255.

    Raises:
        DataError: no such folder, or no PNG in it.
    """
    return tuple(
        Mask(name[: -len(".png")], str(folder / name), partial(_read, folder / name, len(classes.names)))
        for name in _listed(folder)
    )


def classes_of(folder: Path) -> ClassTable:
    """The class table of a folder of masks: ``classes.txt`` and ``supercategories.csv`` in or beside it, or VOC's.

    Raises:
        DataError: there is no such file, and the masks are not VOC's.
    """
    paths = [folder / name for name in _listed(folder)]
    for place in (folder, folder.resolve().parent):
        if (place / "classes.txt").is_file():
            table, supers = read_classes(place / "classes.txt"), place / "supercategories.csv"
            return with_supers(table, supers) if supers.is_file() else table
    if looks_like_voc(paths):
        return voc_classes()
    raise DataError(
        f"{folder}: cannot tell the classes: there is no classes.txt in it or beside it, and the masks are not PASCAL "
        "VOC's (indexed PNGs in its palette, ids 0..20 and 255); name the data set with --data"
    )


def _listed(folder: Path) -> Sequence[str]:
    if not folder.is_dir():
        raise DataError(f"expected a folder of masks at {folder}, there is none; check the path")
    names = list_files(folder, frozenset({".png"})).files
    if not names:
        raise DataError(f"{folder}: expected PNG masks, there is none; give the folder that holds them")
    return names


def _read(path: Path, classes: int) -> UInt8[np.ndarray, "h w"]:
    labels = read_mask(path)
    check_ids(labels, classes, str(path))
    return labels


def check_ids(labels: UInt8[np.ndarray, "h w"], classes: int, source: str) -> None:
    """Refuse labels that are neither a class nor void.

    Raises:
        ItemError: there are some.
    """
    counts = np.bincount(labels.reshape(-1), minlength=256)
    unknown = [int(label) for label in np.flatnonzero(counts) if classes <= label < VOID]
    if unknown:
        raise ItemError(
            f"{source}: expected class ids 0..{classes - 1} and {VOID} for void, got {unknown[0]} in "
            f"{counts[unknown[0]]} pixels; correct the mask, or name the right classes"
        )
