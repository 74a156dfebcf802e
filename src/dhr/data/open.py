"""Open a data set of any format."""

import os
from collections.abc import Sequence
from pathlib import Path

from dhr.data.class_folders import CLASS_FOLDERS
from dhr.data.classes import enumeration
from dhr.data.coco import COCO
from dhr.data.cvat import CVAT
from dhr.data.datumaro import DATUMARO
from dhr.data.dense import ADE, CONTEXT, STUFF
from dhr.data.folder import FOLDER, TAG_FILES
from dhr.data.hub import HUGGINGFACE
from dhr.data.label_studio import LABEL_STUDIO
from dhr.data.manifest.read import MANIFEST, files_of
from dhr.data.nearest import above, advice, elsewhere, is_part
from dhr.data.parquet import is_parquet
from dhr.data.release import RELEASE
from dhr.data.samples import DataSet
from dhr.data.stored import Draft, Reader
from dhr.data.voc import VOC
from dhr.data.yolo import YOLO
from dhr.errors import ConfigError, DataError
from dhr.progress import Progress, silent

AUTO = "auto"
"""The format is recognised from the folder."""

READERS: dict[str, Reader] = {
    "voc": VOC,
    "context": CONTEXT,
    "ade": ADE,
    "stuff": STUFF,
    "coco": COCO,
    "release": RELEASE,
    "folder": FOLDER,
    "yolo": YOLO,
    "cvat": CVAT,
    "label-studio": LABEL_STUDIO,
    "datumaro": DATUMARO,
    "huggingface": HUGGINGFACE,
    "class-folders": CLASS_FOLDERS,
    "manifest": MANIFEST,
}
"""Formats by name; of several that fit, ``auto`` takes the first (but see :func:`format_of`)."""


def format_of(root: Path) -> str:
    """Recognise the format of a folder, or of a file, which is a manifest.

    A folder with photographs, tags and ``classes.txt`` of its own is a ``folder``, whatever else is in it.

    Raises:
        DataError: all formats differ, or several published ones fit.
    """
    if not root.is_dir():
        return "manifest"
    if FOLDER.fits(root) and (root / "classes.txt").is_file():
        return "folder"
    if DATUMARO.fits(root):  # an export of dhr, whose folders look like other formats
        return "datumaro"
    published = [name for name, reader in READERS.items() if reader.published and reader.fits(root)]
    if len(published) > 1:
        raise DataError(f"{root}: several formats fit, {', '.join(published)}; choose one with --format")
    if published:
        return published[0]
    found = next((name for name, reader in READERS.items() if not reader.published and reader.fits(root)), None)
    if found is None and any((root / name).exists() for name in ("images", "classes.txt", *TAG_FILES)):
        return "folder"  # something is missing; its reader reports it
    if found is None and (files := files_of(root)) and is_parquet(files[0]):
        return "manifest"  # not one of dhr; its reader says how to make one
    if found is None:
        there = enumeration(sorted(path.name for path in root.iterdir() if not path.name.startswith("."))) or "nothing"
        hints = "; ".join(advice(root, READERS))
        known = f"all formats ({', '.join(READERS)}) are in docs/data.md" if hints else f"expected one of: {_known()}"
        raise DataError(f"{root}: no format fits; there is {there} in it; {hints}{'; ' if hints else ''}{known}")
    return found


def _known() -> str:
    """List what each format looks for, the formats for own photographs first."""
    names = sorted(READERS, key=lambda name: name not in ("folder", "class-folders"))
    return "; ".join(f"{name}: {READERS[name].looks_for}" for name in names)


def open_data(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    format: str = AUTO,
    ignore_unknown: bool = False,
    progress: Progress = silent,
) -> DataSet:
    """Open the data set at ``path``.

    Args:
        path: its folder, or the file of a manifest.
        split: use only the photographs of this split; its name depends on the format.
        format: one of :data:`READERS`, or ``auto`` to recognise it.
        ignore_unknown: use photographs with annotations that the reader does not support.
        progress: called while opening takes long.

    Raises:
        ConfigError: ``format`` does not exist.
        DataError: the format cannot be recognised, or the data set cannot be used as a whole.
    """
    root = Path(path)
    if format != AUTO and format not in READERS:
        raise ConfigError(f"--format must be {AUTO} or one of {', '.join(READERS)}; got {format!r}")
    if not root.is_dir() and not MANIFEST.fits(root):
        got = "got a file of another kind" if root.is_file() else "found none"
        raise DataError(f"{root}: expected a folder of photographs and tags, or a manifest, {got}; check the path")
    name = format_of(root) if format == AUTO else format
    if root.is_file() and name != "manifest":
        raise DataError(f"{root}: expected a folder for --format {name}, got a Parquet file; name the folder")
    reader = READERS[name]
    try:
        return reader.read(Draft(root, split, progress, ignore_unknown))
    except DataError as error:
        hints: Sequence[str | None]
        if reader.fits(root):
            hints = [above(root, {name: reader})] if is_part(root) else []
        else:
            hints = advice(root, READERS) if format == AUTO else [elsewhere(root, {name: reader})]
        if not any(hints):
            raise
        raise DataError("; ".join([str(error), *(hint for hint in hints if hint)])) from error
