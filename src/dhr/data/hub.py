"""Read data sets that Hugging Face's ``datasets`` saved on disk."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from dhr.data.class_names import one_spelling, table_of
from dhr.data.classes import class_file, enumeration
from dhr.data.ground_truth import MaskFile
from dhr.data.hub_labels import Labels, category_of, read_labels
from dhr.data.image_files import MAX_CONTENT, Content
from dhr.data.images import SUFFIXES
from dhr.data.labels import Storage, plain
from dhr.data.listing import escapes, list_files
from dhr.data.names import Names
from dhr.data.problems import summary
from dhr.data.samples import ClassTable, Problem, Tagged
from dhr.data.stored import Draft, Found, Reader, StoredDataSet
from dhr.data.tags import TagReader
from dhr.errors import ConfigError, DataError, ItemError
from dhr.files import read_regular
from dhr.words import one_line, printable

_IMAGES = ("image", "img", "pixel_values")
_TAGS = ("tags", "labels", "label", "classes", "class", "category", "categories", "objects")
_MASKS = ("mask", "truth", "annotation", "segmentation", "label_mask")
_NAMES = ("name", "image_id", "id", "file_name")


def fits_hub(root: Path) -> bool:
    """Tell whether ``save_to_disk`` wrote this folder."""
    return (root / "dataset_dict.json").is_file() or (
        (root / "state.json").is_file() and (root / "dataset_info.json").is_file()
    )


@dataclass(frozen=True)
class _Cell:
    """An image of a table, read on demand."""

    table: Any
    row: int
    column: str
    name: str
    root: Path

    def __str__(self) -> str:
        return self.name

    def load(self) -> Content:
        """Return the bytes of the file as stored; a path is looked up among the images below the data set.

        Raises ItemError if there are no bytes, and no such image.
        """
        cell = self.table[self.row][self.column] or {}
        data, path = cell.get("bytes"), cell.get("path")
        if data is None and path:
            files, reason = _images_below(self.root).find(path)
            if len(files) != 1:
                why = reason or f"several files are meant, {files[0]!r} and {files[1]!r}"
                raise ItemError(
                    f"{self.name}: there is no image in its row, only the path {path!r}, and {why}; save "
                    "the data set with its images in it"
                )
            try:
                data = read_regular(self.root / files[0], MAX_CONTENT)
            except OSError as error:
                raise ItemError(f"{self.name}: its image {path} cannot be read: {error.strerror or error}") from error
        if data is not None and len(data) > MAX_CONTENT:
            raise ItemError(f"{self.name}: its image has over {MAX_CONTENT // 10**6} MB; make it smaller")
        if data is None:
            raise ItemError(f"{self.name}: there is no image in column {self.column!r}; remove the row")
        return Content(self.name, data)


@lru_cache(maxsize=2)
def _images_below(root: Path) -> Names:
    """List all images in the folder of a data set."""
    return Names(list_files(root, SUFFIXES).files, "the data set")


@dataclass(frozen=True)
class _MaskCell:
    """A ground-truth mask in a table."""

    cell: _Cell
    storage: Storage

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """Read the mask; see :class:`~dhr.data.ground_truth.MaskFile`."""
        return MaskFile(self.cell.load(), self.storage, "the class table").read(shape)


def read_hub(draft: Draft) -> StoredDataSet:
    """Read a data set with a column of images (``image``) and one of tags (``tags``, ``labels`` or ``label``).

    Tags are class labels or texts, one or a list, or the categories of ``objects``. Classes are those of
    ``classes.txt``, else the background and then the names of the column's ``ClassLabel``, or its texts in the order of
    the alphabet; plain numbers and lists of 0 and 1 need ``classes.txt``. A column ``mask`` of PNG images holds the
    ground truth. dhr decodes the images itself, and runs nothing of the data set.

    Raises:
        ConfigError: the package ``datasets`` is not installed.
    """
    root = draft.root
    try:
        import datasets
    except ImportError as error:
        raise ConfigError(
            "data sets of Hugging Face need the package datasets: pip install 'dhr[huggingface]'"
        ) from error
    try:
        loaded = datasets.load_from_disk(str(root))
    except Exception as error:  # a damaged file makes Arrow raise anything
        raise DataError(f"{root}: not a data set that `datasets` saved ({one_line(error)})") from error
    tables = {str(name): table for name, table in loaded.items()} if isinstance(loaded, dict) else {"": loaded}
    chosen = list(tables) if draft.split is None else draft.choose([name for name in tables if name])
    columns = _columns(draft, tables[chosen[0]], datasets)
    own = class_file(root)
    labels = _labels(root, columns, tables, chosen, own)
    classes = own or _table(root, labels)
    draft.notes += [labels.note] if labels.note else []
    read, storage = TagReader(classes), plain(classes)
    for split in chosen:
        table = _undecoded(tables[split], columns.images, columns.masks, datasets)
        names = tables[split][columns.names] if columns.names else None
        for row, label in enumerate(labels.rows[split]):
            stem = _name(names[row] if names is not None else None, row)
            name = stem if draft.split is not None or not split else f"{split}/{stem}"
            line = read(row, name, label.names)
            tagged = Tagged(reason=label.reason) if label.reason else Tagged(line.tags, line.reason)
            cell = _Cell(table, row, columns.images, f"{root} {split or 'row'} {row}", root)
            mask = _MaskCell(replace(cell, column=columns.masks), storage) if columns.masks else None
            draft.found.append(Found(name, cell, tagged, mask))
    draft.notes += read.notes
    return draft.finish(classes, "there is no row in it")


@dataclass(frozen=True)
class _Columns:
    """Names of the columns that are read."""

    images: str
    tags: str
    masks: str | None
    names: str | None


def _columns(draft: Draft, table: Any, datasets: Any) -> _Columns:
    """Find the columns to read, and note the others."""
    root = draft.root
    features = table.features
    images = _one_of(root, table, _IMAGES, "of images", lambda one: isinstance(one, datasets.Image))
    tags = _one_of(root, table, _TAGS, "of tags", lambda one: isinstance(one, datasets.ClassLabel))
    kind = getattr(features[images], "dtype", None)
    if not isinstance(features[images], datasets.Image) and kind not in ("string", "binary"):
        raise DataError(
            f"{root}: expected images in column {images!r}, got {str(features[images])[:60]!r}; cast it to Image"
        )
    named = [one for one in _MASKS if one in table.column_names]
    masks = next((one for one in named if isinstance(features[one], datasets.Image)), None)
    draft.notes += [f"column {one!r} holds no images, so it is not ground truth" for one in named if masks is None]
    others = [
        one for one, feature in features.items()
        if one != tags and (isinstance(feature, datasets.ClassLabel) or one in _TAGS or category_of(feature))
    ]  # fmt: skip
    if others:
        draft.notes.append(f"tags are those of column {tags!r}; not read: {enumeration(others)}")
    return _Columns(images, tags, masks, next((one for one in _NAMES if one in table.column_names), None))


def _one_of(root: Path, table: Any, names: Sequence[str], what: str, fits: Callable[[Any], bool]) -> str:
    """Return the first column with one of ``names``, else the only one of a fitting type."""
    known = [str(name) for name in table.column_names]
    if found := next((name for name in names if name in known), None):
        return found
    fitting = [str(name) for name, feature in table.features.items() if fits(feature)]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(known)
    raise DataError(f"{root}: expected a column {what} ({', '.join(names)}), got {there}; rename one")


def _undecoded(table: Any, images: str, masks: str | None, datasets: Any) -> Any:
    kept = [column for column in (images, masks) if column]
    table = table.select_columns(kept)
    for column in kept:
        table = table.cast_column(column, datasets.Image(decode=False))
    return table


def _labels(
    root: Path, columns: _Columns, tables: Mapping[str, Any], chosen: Sequence[str], classes: ClassTable | None
) -> Labels:
    """Return the labels of all rows, of all splits, so that each split has the same classes.

    Raises DataError if chosen splits lack a column or have it of another type, or as :func:`read_labels`.
    """
    feature = tables[chosen[0]].features[columns.tags]
    needed = [one for one in (columns.images, columns.masks, columns.names) if one]
    for name in chosen:
        there = tables[name].features
        if wrong := [one for one in needed if one not in there] or [columns.tags] * (
            there.get(columns.tags) != feature
        ):
            raise DataError(
                f"{root}: column {wrong[0]!r} of split {name!r} is not as in {chosen[0]!r}; open one split at a time"
            )
    alike = {name: table for name, table in tables.items() if table.features.get(columns.tags) == feature}
    where = f"{root}: column {columns.tags!r}"
    return read_labels(where, feature, {name: table[columns.tags] for name, table in alike.items()}, classes)


def _table(root: Path, labels: Labels) -> ClassTable:
    names = labels.known or one_spelling(text for rows in labels.rows.values() for row in rows for text in row.names)
    if not names:
        problems = [
            Problem(f"{root} {name or 'row'} {row}", label.reason)
            for name, rows in labels.rows.items()
            for row, label in enumerate(rows)
            if label.reason
        ]
        why = summary(problems, 3) or "all rows are without labels"
        raise DataError(f"{root}: no row names a class: {why}; correct them, or write classes.txt")
    joined = next(
        (name for name in names if len(parts := _parts(name)) > 1 and all(one in names for one in parts)), None
    )
    if joined is not None and labels.known is None:
        raise DataError(f"{root}: the label {joined!r} holds several of the other labels; save lists of labels")
    return table_of(names, root)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[,;|/]", text) if part.strip()]


def _name(value: Any, row: int) -> str:
    """Return a name that is a path inside the output folder: from the data set if possible, else the row."""
    text = str(value) if isinstance(value, str | int) else ""
    stem = text.rsplit(".", 1)[0] if text.lower().endswith((".jpg", ".jpeg", ".png")) else text
    if not stem or escapes(stem) or printable(stem) != stem or "\\" in stem or any(
        not part.strip(".") for part in stem.split("/")
    ):  # fmt: skip
        return f"{row:08d}"
    return stem


HUGGINGFACE = Reader(
    "state.json and dataset_info.json, or dataset_dict.json",
    fits_hub,
    read_hub,
    needs=(("dataset_info.json",), ("state.json",)),
)
