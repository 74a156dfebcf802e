"""Advise on a folder without a known format: the nearest format, and what it lacks."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from dhr.data.class_folders import PART_NAMES, why_not_class_folders
from dhr.data.classes import enumeration
from dhr.data.images import SUFFIXES
from dhr.data.listing import is_hidden
from dhr.data.places import folders_of
from dhr.data.stored import Reader
from dhr.files import open_regular
from dhr.words import printable

Readers = Mapping[str, Reader]

_FOLDERS, _FILES = 40, 400  # folders and files that are looked at, so that a wrong path costs no time
_HEAD = 65_536  # bytes in which an annotation file shows itself

# The first kind counts all of whose marks are in the beginning of the file.
_JSON_KINDS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    ((b'"shapes"', b'"imagePath"'), "labelme's, one file per photograph: convert them with labelme2voc or to COCO"),
    ((b'"shape_attributes"',), "that of VGG Image Annotator: export it as COCO"),
    ((b'"classTitle"',), "Supervisely's: export it as COCO or Pascal VOC"),
    ((b'"images"', b'"categories"'), "COCO's: call it annotations/instances_NAME.json, photographs in images/"),
    ((b'"images"', b'"annotations"'), "COCO's: call it annotations/instances_NAME.json, photographs in images/"),
    ((b'"items"', b'"categories"'), "datumaro's: put it into annotations/, with photographs in images/"),
    ((b'"annotations"', b'"data"'), "Label Studio's: put it into the folder, with photographs in images/"),
)
_TABLES = re.compile(rb"(?i)\b(image|file_?name|photo|picture|path)s?\b.*[,;\t].*")
_KINDS: tuple[tuple[str, str], ...] = (
    (".parquet", "a table of Hugging Face's: save it once with python -c \"import datasets; "
     "datasets.load_dataset('{folder}').save_to_disk('saved')\", and give saved as --data"),
    (".arrow", "a cache of Hugging Face's: save the data set with save_to_disk, and give that folder"),
    (".xlsx", "a spreadsheet: call it tags.xlsx, with photographs in images/ and classes.txt"),
    (".xls", "a spreadsheet: save it as tags.csv, with photographs in images/ and classes.txt"),
    (".ods", "a spreadsheet: save it as tags.csv, with photographs in images/ and classes.txt"),
    (".zip", "an archive: unpack it"), (".tar", "an archive: unpack it"), (".gz", "an archive: unpack it"),
    (".tgz", "an archive: unpack it"), (".7z", "an archive: unpack it"), (".rar", "an archive: unpack it"),
    (".mat", "MATLAB's, which is not read: convert it to PNG masks or tags.csv"),
    (".tfrecord", "TensorFlow's, which is not read: export photographs and tags.csv"),
)  # fmt: skip


def elsewhere(root: Path, formats: Readers) -> str | None:
    """Name the right folder, if it is one below ``root`` or the one above it."""
    for folder in _below(root):
        if name := _fitting(folder, formats):
            return f"{str(folder)!r} has the format {name}: give it as --data"
    return above(root, formats)


def above(root: Path, formats: Readers) -> str | None:
    """Name the folder above, if it is the right one."""
    folder = root.resolve().parent
    # Every folder of photographs has folders beside it, which are not searched.
    if name := _fitting(folder, {name: reader for name, reader in formats.items() if name != "class-folders"}):
        return f"the folder above, {str(folder)!r}, has the format {name}: give it as --data"
    return None


def is_part(root: Path) -> bool:
    """Tell whether a folder has the name of a part of a data set, such as ``annotations``."""
    return root.resolve().name.casefold() in PART_NAMES


def advice(root: Path, formats: Readers) -> list[str]:
    """Describe what the folder is near to, and what it lacks; the most likely first."""
    found = [text for text in (elsewhere(root, formats), _imagefolder(root)) if text]
    found += _annotation_files(root)
    found += _missing(root, formats)
    folders = folders_of(root)
    named = [folder for folder in folders[:_FOLDERS] if folder.name.casefold() not in PART_NAMES]
    if any(_photographs(folder) for folder in named) and (why := why_not_class_folders(root)):
        found.append(f"not class-folders: {why.removeprefix(f'{root}: ')}")
    if not found and (there := _photographs(root)):
        found.append(
            f"there are photographs such as {there!r}, and nothing tags them: put them into images/ and write tags.csv "
            "and classes.txt; if all are of one class, give the folder above as --data"
        )
    return found


def _below(root: Path) -> Iterator[Path]:
    """Yield the folders in ``root``; if there is only one, also those in it."""
    folders = folders_of(root)[:_FOLDERS]
    yield from folders
    if len(folders) == 1:
        yield from folders_of(folders[0])[:_FOLDERS]


def _fitting(folder: Path, formats: Readers) -> str | None:
    try:
        return next((name for name, reader in formats.items() if reader.fits(folder)), None)
    except OSError:
        return None


def _photographs(folder: Path) -> str | None:
    """Return the name of a photograph directly in a folder."""
    return next((path.name for path in _files(folder) if path.suffix.lower() in SUFFIXES), None)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(islice((one for one in folder.iterdir() if not is_hidden(one.name) and one.is_file()), _FILES))
    except OSError:
        return []


def _imagefolder(root: Path) -> str | None:
    """Find a folder of images with a table for Hugging Face's ``imagefolder``."""
    for folder in (root, *folders_of(root)[:_FOLDERS]):
        for name in ("metadata.csv", "metadata.jsonl", "metadata.parquet"):
            if (folder / name).is_file():
                return (
                    f"{str(folder / name)!r} is that of Hugging Face's imagefolder: save the data set once with python "
                    f"-c \"import datasets; datasets.load_dataset('imagefolder', data_dir={str(root)!r})"
                    ".save_to_disk('saved')\", and give saved as --data"
                )
    return None


def _annotation_files(root: Path) -> list[str]:
    """Describe files that look like annotations of a known kind, each kind once."""
    kinds: dict[str, list[str]] = {}
    for path in (file for folder in (root, *folders_of(root)[:_FOLDERS]) for file in _files(folder)):
        if path.name != "tags.csv" and (kind := _kind(path, root)):  # else it has its name already
            kinds.setdefault(kind, []).append(printable(str(path.relative_to(root))))
    return [
        f"{enumeration(names, most=1)} look{'' if len(names) > 1 else 's'} like {kind}" for kind, names in kinds.items()
    ]


def _kind(path: Path, root: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in (".json", ".xml", ".csv", ".tsv"):
        try:
            with open_regular(path) as file:
                head = file.read(_HEAD)
        except OSError:
            return None
        if suffix == ".json":
            return next((kind for marks, kind in _JSON_KINDS if all(mark in head for mark in marks)), None)
        if suffix == ".xml" and re.search(rb"<annotations[\s>]", head):
            return "CVAT's: call it annotations.xml, with photographs in images/"
        if suffix == ".xml" and re.search(rb"<annotation[\s>]", head):
            return "VOC's annotations: put photographs into JPEGImages/ and these into Annotations/"
        if suffix in (".csv", ".tsv") and _TABLES.match(head.splitlines()[0] if head else b""):
            return "a table of tags: call it tags.csv, with photographs in images/ and classes.txt"
        return None
    kind = next((kind for end, kind in _KINDS if suffix == end), None)
    return None if kind is None else kind.replace("{folder}", str(root))


def _missing(root: Path, formats: Readers) -> list[str]:
    """Describe formats of which something exists and something is missing, the nearest first."""
    near = []
    for name, groups in ((name, reader.needs) for name, reader in formats.items()):
        there = [next((path for part in group for path in root.glob(part)), None) for group in groups]
        missing = [group for group, path in zip(groups, there, strict=True) if path is None]
        if missing and len(missing) < len(groups):
            parts = enumeration(path.relative_to(root).as_posix() for path in there if path is not None)
            wanted = " and ".join(" or ".join(group) for group in missing)
            near.append((len(missing), f"nearest is {name}: {parts} is there, {wanted} is missing"))
    return [text for _, text in sorted(near, key=lambda one: one[0])[:2]]
