"""Open a data set of any format."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.class_folders import fits_class_folders, read_class_folders
from dhr.data.classes import enumeration
from dhr.data.coco import fits_coco, read_coco
from dhr.data.cvat import fits_cvat, read_cvat
from dhr.data.datumaro import fits_datumaro, read_datumaro
from dhr.data.dense import fits_ade, fits_context, fits_stuff, read_ade, read_context, read_stuff
from dhr.data.folder import TAG_FILES, FolderDataSet
from dhr.data.hub import fits_hub, read_hub
from dhr.data.label_studio import fits_label_studio, read_label_studio
from dhr.data.nearest import above, advice, elsewhere, is_part
from dhr.data.release import fits_release, read_release
from dhr.data.samples import DataSet
from dhr.data.voc import fits_voc, read_voc
from dhr.data.yolo import fits_yolo, read_yolo
from dhr.errors import ConfigError, DataError
from dhr.progress import Progress, silent

AUTO = "auto"
"""The format is recognised from the folder."""


@dataclass(frozen=True)
class Reader:
    """How a format is recognised, and read."""

    looks_for: str
    """What it looks for, for messages and the manual."""
    fits: Callable[[Path], bool]
    """Whether a folder has this format; opens no photograph."""
    read: Callable[[Path, str | None, Progress, bool], DataSet]
    """Reads the folder, or a split of it; the last argument is ``ignore_unknown`` of :func:`open_data`."""


def _fits_folder(root: Path) -> bool:
    return (root / "images").is_dir() and any((root / name).is_file() for name in TAG_FILES)


READERS: dict[str, Reader] = {
    "voc": Reader(
        "JPEGImages/ with Annotations/, SegmentationClass/ or cls_labels.json, or photographs with XML files",
        fits_voc,
        read_voc,
    ),
    "context": Reader("JPEGImages/ with SegmentationClassContext/", fits_context, read_context),
    "ade": Reader("images/training/ with annotations/training/", fits_ade, read_ade),
    "stuff": Reader("images/train2017/ with stuffthingmaps_trainval2017/train2017/", fits_stuff, read_stuff),
    "coco": Reader(
        "annotations/instances_SPLIT.json with images/SPLIT/, or another JSON file of COCO's format",
        fits_coco,
        read_coco,
    ),
    "release": Reader("SPLIT/image/ with SPLIT/xml/ and SPLIT/mask/", fits_release, read_release),
    "folder": Reader(
        "images/ with tags.csv (or .tsv, .xlsx, .jsonl) and classes.txt",
        _fits_folder,
        lambda root, split, progress, ignore_unknown: FolderDataSet(root, split),
    ),
    "yolo": Reader("data.yaml with names and train, or classes.txt with images/ and labels/", fits_yolo, read_yolo),
    "cvat": Reader("annotations.xml", fits_cvat, read_cvat),
    "label-studio": Reader("a JSON file of tasks", fits_label_studio, read_label_studio),
    "datumaro": Reader("dhr.json of dhr export --to datumaro, or datumaro's own files", fits_datumaro, read_datumaro),
    "huggingface": Reader("state.json and dataset_info.json, or dataset_dict.json", fits_hub, read_hub),
    "class-folders": Reader("a folder of photographs for each class", fits_class_folders, read_class_folders),
}
"""Formats by name; of several that fit, ``auto`` takes the first (but see :func:`format_of`)."""

_FITS = {name: reader.fits for name, reader in READERS.items()}
_PUBLISHED = ("voc", "context", "ade", "stuff", "coco", "release")


def format_of(root: Path) -> str:
    """Recognise the format of a folder.

    A folder with photographs, tags and ``classes.txt`` of its own is a ``folder``, whatever else is in it.

    Raises:
        DataError: none fits, or several published ones do.
    """
    if _fits_folder(root) and (root / "classes.txt").is_file():
        return "folder"
    if fits_datumaro(root):  # an export of ours, whose folders look like other formats
        return "datumaro"
    published = [name for name in _PUBLISHED if READERS[name].fits(root)]
    if len(published) > 1:
        raise DataError(f"{root}: several formats fit, {', '.join(published)}; choose one with --format")
    if published:
        return published[0]
    found = next((name for name, reader in READERS.items() if name not in _PUBLISHED and reader.fits(root)), None)
    if found is None and any((root / name).exists() for name in ("images", "classes.txt", *TAG_FILES)):
        return "folder"  # something is missing, and its reader says what
    if found is None:
        there = enumeration(sorted(path.name for path in root.iterdir() if not path.name.startswith("."))) or "nothing"
        hints = "; ".join(advice(root, _FITS))
        known = f"all formats ({', '.join(READERS)}) are in docs/data.md" if hints else f"expected one of: {_known()}"
        raise DataError(f"{root}: no format fits; there is {there} in it; {hints}{'; ' if hints else ''}{known}")
    return found


def _known() -> str:
    """What each format is known by, photographs of one's own first."""
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
    """Open the data set in the folder ``path``.

    Args:
        path: the folder.
        split: use only the photographs of this split; its name depends on the format.
        format: one of :data:`READERS`, or ``auto`` to recognise it.
        ignore_unknown: use photographs whose annotations hold things that the reader does not understand.
        progress: called while opening takes long.

    Raises:
        ConfigError: ``format`` does not exist.
        DataError: the format cannot be recognised, or the data set cannot be used as a whole.
    """
    root = Path(path)
    if format != AUTO and format not in READERS:
        raise ConfigError(f"--format must be {AUTO} or one of {', '.join(READERS)}; got {format!r}")
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of photographs and tags, found none; check the path")
    given = format != AUTO
    if not given:
        format = format_of(root)
    try:
        return READERS[format].read(root, split, progress, ignore_unknown)
    except DataError as error:
        only = {format: READERS[format].fits}
        hints: Sequence[str | None]
        if READERS[format].fits(root):
            hints = [above(root, only)] if is_part(root) else []
        else:
            hints = [elsewhere(root, only)] if given else advice(root, _FITS)
        if not any(hints):
            raise
        raise DataError("; ".join([str(error), *(hint for hint in hints if hint)])) from error
