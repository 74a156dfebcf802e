"""Opens a data set, in whichever layout it lies on the disk."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dhr.data.classes import enumeration
from dhr.data.folder import FolderDataSet
from dhr.data.samples import DataSet
from dhr.errors import ConfigError, DataError

AUTO = "auto"
"""The layout is recognised from the folder."""

Progress = Callable[[int, int], None]
"""Called with (files read, files in all) where opening has to read many."""


@dataclass(frozen=True)
class Reader:
    """How a layout is recognised, and read."""

    looks_for: str
    """What it looks for, for messages and the manual."""
    fits: Callable[[Path], bool]
    """Whether a folder has this layout; opens no photograph."""
    read: Callable[[Path, str | None, Progress], DataSet]
    """Reads the folder, or a split of it."""


def _fits_folder(root: Path) -> bool:
    return (root / "images").is_dir() and (root / "tags.csv").is_file()


READERS: dict[str, Reader] = {
    "folder": Reader(
        "images/, tags.csv and classes.txt",
        _fits_folder,
        lambda root, split, progress: FolderDataSet(root, split),
    ),
}
"""Layouts by name, in the order in which ``auto`` tries them."""


def open_data(
    root: str | os.PathLike[str], split: str | None = None, kind: str = AUTO, progress: Progress | None = None
) -> DataSet:
    """Open the data set in the folder ``root``.

    Args:
        root: the folder.
        split: only the photographs of this split; what splits there are, the layout decides.
        kind: one of :data:`READERS`, or ``auto``: the first of them that fits.
        progress: called where opening takes long.

    Raises:
        ConfigError: there is no such ``kind``.
        DataError: the folder has no known layout, or cannot be used as a whole.
    """
    root = Path(root)
    if kind != AUTO and kind not in READERS:
        raise ConfigError(f"--format must be {AUTO} or one of {', '.join(READERS)}; got {kind!r}")
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of photographs and tags, there is none; check the path")
    quiet: Progress = lambda done, total: None  # noqa: E731
    if kind == AUTO:
        kind = next((name for name, reader in READERS.items() if reader.fits(root)), "")
        if not kind:
            raise DataError(f"{root}: no layout fits; {_layouts(root)}")
    return READERS[kind].read(root, split, progress or quiet)


def _layouts(root: Path) -> str:
    there = enumeration(sorted(path.name for path in root.iterdir() if not path.name.startswith("."))) or "nothing"
    known = "; ".join(f"{name}: {reader.looks_for}" for name, reader in READERS.items())
    return f"there is {there} in it, expected one of: {known} (or name the layout with --format)"
