"""The data that functions take: a folder, an opened data set, or photographs and tags in memory."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhr.api.memory import MemoryDataSet
from dhr.data.manifest.dataset import ManifestDataSet
from dhr.data.manifest.read import fits_manifest
from dhr.data.open import AUTO
from dhr.data.open import open_data as open_folder
from dhr.data.samples import DataSet
from dhr.errors import ConfigError, OutputError
from dhr.progress import Progress, Step, silent
from dhr.records.run import DataRecord

OPEN = "open"
"""The stage in which a data set is opened; its notes are whole sentences."""


@dataclass(frozen=True)
class DataFolder:
    """A data folder or a manifest, and how it is read."""

    path: Path
    split: str | None = None
    """Only the photographs of this split."""
    format: str = AUTO
    """Data format of the folder (docs/data.md); `auto` finds it out."""
    ignore_unknown: bool = False
    """Use photographs whose annotations hold things that dhr does not read, and ignore these things."""


Data = str | os.PathLike[str] | DataFolder | DataSet | tuple[Iterable[Any], Iterable[Any]]
"""A path, a :class:`DataFolder`, a data set, or photographs (arrays or paths) and the tags of each."""


def open_data(
    data: Data,
    *,
    split: str | None = None,
    format: str = AUTO,
    classes: Iterable[str] | None = None,
    ignore_unknown: bool = False,
    progress: Progress | None = None,
) -> DataSet:
    """Open a data set.

    Args:
        data: a folder or a manifest; or photographs, arrays (h, w, 3) of uint8 or paths, and a list of tag names for
            each.
        split: only the photographs of this split of a folder.
        format: data format of a folder (docs/data.md).
        classes: names of the classes of photographs in memory, `background` first if pixels may belong to no tag;
            by default the tags.
        ignore_unknown: use photographs of a folder whose annotations hold things that dhr does not read.
        progress: called while opening takes long.

    Raises:
        DataError: the data cannot be used.
        ConfigError: there is no such format.
    """
    if not isinstance(data, str | os.PathLike) and (split is not None or format != AUTO or ignore_unknown):
        raise ConfigError("split, format and ignore_unknown are for a folder; give the folder's path")
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ConfigError(f"data in memory must be a pair, (photographs, tags); got {len(data)} values")
        return MemoryDataSet(*data, classes=classes)
    if classes is not None:
        raise ConfigError("classes is for photographs in memory; a folder names them in classes.txt")
    if isinstance(data, str | os.PathLike):
        data = DataFolder(Path(data), split, format, ignore_unknown)
    return opened(data, progress or silent)


def opened(data: Data, progress: Progress) -> DataSet:
    """Open ``data`` unless it is open; decisions of its reader go to ``progress`` as notes."""
    if isinstance(data, tuple):
        return open_data(data)
    if isinstance(data, str | os.PathLike):
        data = DataFolder(Path(data))
    if isinstance(data, DataFolder):
        found = open_folder(
            data.path, split=data.split, format=data.format, ignore_unknown=data.ignore_unknown, progress=progress
        )
        for note in found.notes:
            progress(Step(OPEN, len(found.samples), len(found.samples), note=note))
        return found
    _refuse_other(data)
    return data


def _refuse_other(data: Any) -> None:
    if not isinstance(data, str | os.PathLike | DataFolder | tuple | DataSet):
        raise ConfigError(f"data must be a folder, a data set, or (photographs, tags); got {type(data).__name__}")


def refuse_missing(data: Data) -> None:
    """Refuse a data folder or manifest that is not there, before large libraries are imported.

    Raises:
        DataError: there is neither.
        ConfigError: it is nothing that can hold data.
    """
    _refuse_other(data)
    folder = folder_of(data)
    if folder is not None and not is_data(folder):
        opened(data, silent)


def is_data(path: Path) -> bool:
    """Tell whether there is a folder or a manifest at ``path``; its content is not read."""
    return path.is_dir() or fits_manifest(path)


def folder_of(data: Data) -> Path | None:
    """Return the folder or manifest that ``data`` is read from; None if it is in memory."""
    if isinstance(data, DataFolder):
        return data.path
    return Path(data) if isinstance(data, str | os.PathLike) else None


def data_record(data: Data) -> DataRecord | None:
    """Return the facts from which the same data set can be opened again; None if it is not read from a folder."""
    if isinstance(data, DataFolder):
        return DataRecord(str(data.path.resolve()), data.format, data.split, data.ignore_unknown)
    root = folder_of(data)
    return None if root is None else DataRecord(str(root.resolve()))


def split_of(data: Data) -> str | None:
    """Return the split that was asked for; None for all photographs."""
    return data.split if isinstance(data, DataFolder) else None


def refuse_among(out: Path, data: Data, photographs: DataSet, option: str = "--out") -> None:
    """Raise OutputError if an output folder, named by ``option``, lies among the photographs.

    The next run would take masks for photographs.
    """
    root = folder_of(data)
    if root is None or isinstance(photographs, ManifestDataSet):  # whose photographs are rows, not listed files
        return
    target = out.resolve()
    # A photograph inside another file has a source that is not a path; its parent is then not a folder.
    parents = {Path(sample.source).parent for sample in photographs.samples}
    folders = {folder for folder in parents if folder.is_relative_to(root)} | {root / "images"}
    for folder in sorted(folder.resolve() for folder in folders if folder.is_dir()):
        # The data folder itself may hold photographs, and an output folder below it.
        if target == folder or (folder != root.resolve() and target.is_relative_to(folder)):
            raise OutputError(f"{option} {out} lies among the photographs, {folder}; choose a folder outside of it")
