"""Masks that a person changed with another program."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.labels import plain, read_labels
from dhr.data.palettes import reading
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ItemError
from dhr.records.correction import Correction
from dhr.records.item import ItemRecord


def read_edited(path: Path, item: ItemRecord, classes: ClassTable) -> UInt8[np.ndarray, "h w"]:
    """Read a mask of a run that another program has written, by number or by colour (:mod:`dhr.data.labels`).

    Args:
        path: the mask.
        item: the record of the mask that was there before.
        classes: the class table of that record.

    Raises:
        ItemError: it cannot be read as class ids, or has another size than the photograph.
    """
    tags = frozenset(classes.names.index(name) for name in item.tags if name in classes.names)
    storage = plain(classes)
    colours = reading([(path, tags)], replace(storage, own_palette=True)).colours
    return read_labels(path, replace(storage, own_palette=colours), (item.height, item.width), "classes.txt")


def edited(
    mask: UInt8[np.ndarray, "h w"], item: ItemRecord, classes: ClassTable, before: Correction | None
) -> Correction:
    """Return the correction that a changed mask is; the tags stay as they were.

    Args:
        mask: the mask.
        item: the record of the mask that was there before.
        classes: the class table of both.
        before: the correction of the photograph until now.

    Raises:
        ItemError: a tag is not in the class table.
    """
    given, tags = (item.tags, item.tags) if before is None else (before.given, before.tags)
    shown = [classes.names[id] for id in np.unique(mask).tolist() if id != VOID]
    if lost := [name for name in tags if name not in classes.names]:
        raise ItemError(f"the tag {lost[0]!r} is not in the class table")
    return Correction("mended", item.digest, given, tags, _labels([*shown, *tags], classes), source="edited")


def _labels(names: Iterable[str], classes: ClassTable) -> dict[str, int]:
    return {name: classes.names.index(name) for name in dict.fromkeys(names)}
