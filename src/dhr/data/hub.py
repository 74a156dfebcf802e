"""Data sets that Hugging Face's ``datasets`` saved on the disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dhr.data.class_names import table_of
from dhr.data.folder import class_file
from dhr.data.images import Content
from dhr.data.listing import escapes, printable
from dhr.data.mask_tags import Progress
from dhr.data.places import no_split
from dhr.data.samples import ClassTable, Problem
from dhr.data.stored import Found, StoredDataSet
from dhr.data.tags import TagReader
from dhr.data.truth import MaskFile, Storage, plain
from dhr.errors import ConfigError, DataError, ItemError

_IMAGES = ("image", "img", "pixel_values")
_TAGS = ("tags", "labels", "label", "classes")
_MASKS = ("mask", "truth", "annotation", "segmentation", "label_mask")
_NAMES = ("name", "image_id", "id", "file_name")


def fits_hub(root: Path) -> bool:
    """Whether ``save_to_disk`` wrote this folder."""
    return (root / "dataset_dict.json").is_file() or (
        (root / "state.json").is_file() and (root / "dataset_info.json").is_file()
    )


@dataclass(frozen=True)
class _Cell:
    """An image of a table, read when it is needed."""

    table: Any
    row: int
    column: str
    name: str
    root: Path

    def load(self) -> Content:
        """The bytes of the file, as they are stored.

        Raises:
            ItemError: there are none, or only a path that may lead out of the data set.
        """
        cell = self.table[self.row][self.column] or {}
        data, path = cell.get("bytes"), cell.get("path")
        if data is None and path:
            if escapes(path) or not (self.root / path).resolve().is_relative_to(self.root.resolve()):
                raise ItemError(
                    f"{self.name}: its image is a path that leads out of the data set, {printable(path)!r}; save "
                    "the data set with its images in it"
                )
            try:
                data = (self.root / path).read_bytes()
            except OSError as error:
                raise ItemError(f"{self.name}: its image {path} cannot be read: {error.strerror or error}") from error
        if data is None:
            raise ItemError(f"{self.name}: there is no image in column {self.column!r}; remove the row")
        return Content(self.name, data)


@dataclass(frozen=True)
class _MaskCell:
    """A truth mask in a table."""

    cell: _Cell
    storage: Storage

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """See :class:`~dhr.data.truth.MaskFile`."""
        return MaskFile(self.cell.load(), self.storage, "the class table").read(shape)


def read_hub(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> StoredDataSet:
    """Read a data set with a column of images (``image``) and one of tags (``tags``, ``labels`` or ``label``).

    Tags are class labels or texts, one or a list. Classes are those of ``classes.txt``, else the background and then
    the names of the column's ``ClassLabel``, or its texts in the order of the alphabet. A column ``mask`` of PNG images
    holds the truth. Images are decoded by dhr, and nothing of the data set is run.

    Raises:
        ConfigError: the package ``datasets`` is not installed.
        DataError: the folder is no such data set, there is no such split, or no photograph is usable.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError("data sets of Hugging Face need the package datasets: pip install datasets") from error
    try:
        loaded = datasets.load_from_disk(str(root))
    except Exception as error:  # whatever a damaged file makes of Arrow
        raise DataError(f"{root}: not a data set that `datasets` saved ({' '.join(str(error).split())})") from error
    tables = {str(name): table for name, table in loaded.items()} if isinstance(loaded, dict) else {"": loaded}
    if split is not None and split not in tables:
        raise no_split(root, split, list(tables))
    chosen = {split: tables[split]} if split is not None else tables
    table = next(iter(chosen.values()))
    images, tags = _column(root, table, _IMAGES, "of images"), _column(root, table, _TAGS, "of tags")
    masks, name_column = (next((one for one in many if one in table.column_names), None) for many in (_MASKS, _NAMES))
    label = getattr(table.features[tags], "feature", table.features[tags])
    known = list(label.names) if isinstance(label, datasets.ClassLabel) else None
    texts = {name: [_texts(value, known) for value in one[tags]] for name, one in chosen.items()}
    classes = class_file(root) or _table(root, known, texts)
    read, storage = TagReader(classes), plain(classes)
    found: list[Found] = []
    problems: list[Problem] = []
    for name, one in chosen.items():
        plain_images = _undecoded(one, images, masks, datasets)
        labels = one[name_column] if name_column else None
        for row, given in enumerate(texts[name]):
            own = _name(labels[row] if labels is not None else None, row)
            full = own if split is not None or not name else f"{name}/{own}"
            source = f"{root} {name or 'row'} {row}"
            line = read(row, full, given) if given is not None else None
            reason = "expected texts or class labels as tags; correct them" if line is None else line.reason
            truth = _MaskCell(_Cell(plain_images, row, masks, source, root), storage) if masks else None
            cell = _Cell(plain_images, row, images, source, root)
            found.append(Found(full, source, cell, line.tags if line else (), truth, reason))
    return StoredDataSet(str(root), classes, found, problems, "there is no row in it")


def _column(root: Path, table: Any, names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in table.column_names:
            return name
    there = ", ".join(table.column_names)
    raise DataError(f"{root}: expected a column {what} ({', '.join(names)}), got {there}; rename one")


def _undecoded(table: Any, images: str, masks: str | None, datasets: Any) -> Any:
    kept = [column for column in (images, masks) if column]
    table = table.select_columns(kept)
    for column in kept:
        table = table.cast_column(column, datasets.Image(decode=False))
    return table


def _texts(value: Any, known: list[str] | None) -> list[str] | None:
    values = value if isinstance(value, list) else [value]
    if known is not None and all(isinstance(one, int) for one in values):
        tags = [known[one] for one in values if 0 <= one < len(known)]
        return tags if tags or not values else None  # -1 is a label that is not told, which is no negative
    return [one.strip() for one in values] if all(isinstance(one, str) for one in values) else None


def _table(root: Path, known: list[str] | None, texts: dict[str, list[list[str] | None]]) -> ClassTable:
    names = known or sorted({text for rows in texts.values() for row in rows if row for text in row})
    return table_of(names, root)


def _name(value: Any, row: int) -> str:
    """A name that is a path inside the output folder: from the data set where it is fit for one, else the row."""
    text = str(value) if isinstance(value, str | int) else ""
    stem = text.rsplit(".", 1)[0] if text.lower().endswith((".jpg", ".jpeg", ".png")) else text
    if not stem or escapes(stem) or printable(stem) != stem or "\\" in stem or any(
        not part.strip(".") for part in stem.split("/")
    ):  # fmt: skip
        return f"{row:08d}"
    return stem
