"""Formats of datumaro that hold masks, read with the library: the files of ``dhr export --to datumaro``.

The library runs nothing that a file holds (only one format, which is excluded, uses pickles), but it trusts sizes. So
files are checked first, :mod:`dhr.data.coco_objects` decodes run lengths, and dhr opens the photographs, and only
listed ones.
"""

import importlib
import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dhr.data.background import is_background
from dhr.data.class_names import class_ids, class_of
from dhr.data.class_record import read_record, recorded_table
from dhr.data.coco import read_coco
from dhr.data.coco_objects import CodedRuns, whole_size
from dhr.data.image_files import MAX_PIXELS
from dhr.data.images import SUFFIXES, read_size
from dhr.data.listing import escapes, key_of, list_files
from dhr.data.names import Names
from dhr.data.outlines import ellipse, polygons
from dhr.data.painted import PaintedObject, painted
from dhr.data.places import no_split
from dhr.data.samples import VOID, ClassTable, Problem, Tagged
from dhr.data.stored import Draft, Found, Reader, StoredDataSet
from dhr.data.xml_text import top_elements
from dhr.errors import DataError, ItemError
from dhr.files import open_regular
from dhr.progress import Step
from dhr.words import one_line, printable

DATUMARO_FORMATS = (
    *("arrow", "camvid", "cityscapes", "coco", "coco_instances", "coco_panoptic", "coco_stuff", "cvat", "datumaro"),
    *("datumaro_binary", "kitti", "kitti_segmentation", "label_me", "voc", "voc_instance_segmentation"),
    "voc_segmentation",
)
"""Formats of datumaro that give the masks back pixel by pixel; its others hold boxes, tags or texts only, or fail."""

FORMAT_KEY = "datumaro_format"
"""Key of the format in :data:`~dhr.data.class_record.RECORD_FILE`."""

_COCO = ("coco", "coco_instances", "coco_stuff")
_MOST = 1_000_000_000  # bytes of a file that is no image
_JSON = re.compile(rb'\s*\{\s*"dm_format_version"')
_DRAWN = ("mask", "polygon", "ellipse")


def read_datumaro(draft: Draft) -> StoredDataSet:
    """Read a folder in one of :data:`DATUMARO_FORMATS`, with its photographs in it or in ``images/``.

    Classes are those that ``dhr export`` recorded in ``dhr.json``, else the background and then the labels. All masks
    are decoded once, and kept compressed.
    """
    root, split = draft.root, draft.split
    record, kind = read_record(root), _format(root)
    if kind in _COCO:
        return read_coco(draft)
    _check(root)
    items, labels = _import(root, kind)
    subsets = sorted({str(item.subset) for item in items})
    if split is not None and split not in subsets:
        raise no_split(root, split, subsets)
    classes = _classes(root, record, labels)
    make = _Maker(root, labels, classes)
    drawn = [one for item in items for one in item.annotations if _kind(one) in _DRAWN]
    ordinary = frozenset(one.label for one in drawn if not _is_crowd(one))
    for done, item in enumerate(items, start=1):
        if split is None or str(item.subset) == split:
            draft.found += make(item, draft.problems, ordinary)
        draft.progress(Step("open", done, len(items)))
    return draft.finish(classes, "put the photographs into images/")


def _format(root: Path) -> str | None:
    if (kind := read_record(root).get(FORMAT_KEY)) in DATUMARO_FORMATS:
        return str(kind)
    if any(root.glob("datum-*.arrow")):
        return "arrow"
    if any((root / "annotations").glob("*.datum")):
        return "datumaro_binary"
    for path in sorted((root / "annotations").glob("*.json")):
        try:
            with open_regular(path) as file:
                if _JSON.match(file.read(256)):
                    return "datumaro"
        except OSError:
            continue
    return None


def _check(root: Path) -> None:
    """Refuse files that the library would read without end, or unpack into more memory than there is.

    Raises DataError for a pipe or a device, a file that is too large, an image of too many pixels, or a link to a
    folder.
    """
    for path in sorted(root.rglob("*")):
        if path.is_dir():
            if path.is_symlink():
                raise DataError(f"{path}: a link to a folder is not followed; copy the folder, or remove the link")
            continue
        try:
            with open_regular(path, None if path.suffix.lower() in SUFFIXES else _MOST):
                pass
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}; remove it") from error
        if path.suffix.lower() in SUFFIXES:
            _check_image(path)
        elif path.suffix.lower() == ".xml":
            _check_xml(path)


def _check_image(path: Path) -> None:
    try:
        height, width = read_size(path, 1 << 62)
    except ItemError:
        return  # it is not an image; the library reports that if it needs one
    if height * width > MAX_PIXELS:
        raise DataError(f"{path}: {width}x{height} is over {MAX_PIXELS / 1e6:.0f} megapixels; make it smaller")


def _check_xml(path: Path) -> None:
    for top in top_elements(path):
        for one in (top, *top.children):
            if one.tag == "mask" and "rle" in one.attributes:
                size = whole_size(one.attributes.get("height"), one.attributes.get("width"))
                if size is None:
                    raise DataError(f"{path} line {one.line}: expected a mask with a width and height; export it again")


def _import(root: Path, kind: str | None) -> tuple[list[Any], list[str]]:
    """Return all items, and the names of the labels; raise DataError if the library is missing or fails."""
    try:
        datumaro = importlib.import_module("datumaro")
    except ImportError as error:
        raise DataError(f"{root}: this format needs datumaro; pip install 'dhr[formats]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = logging.root.manager.disable
            logging.disable(logging.ERROR)
            try:
                if kind is None:
                    fitting = datumaro.Environment().detect_dataset(str(root))
                    kind = next((one for one in DATUMARO_FORMATS if one in fitting), None)
                    if kind is None:
                        raise DataError(f"{root}: expected one of {', '.join(DATUMARO_FORMATS)}; none of these fits")
                dataset = datumaro.Dataset.import_from(str(root), kind)
                items = list(dataset)
                categories = dataset.categories().get(datumaro.AnnotationType.label, [])
            finally:
                logging.disable(before)
    except DataError:
        raise
    except Exception as error:  # each of its formats fails in its own way
        reason = one_line(error, 200)
        raise DataError(f"{root}: datumaro cannot read it as {kind or 'any'}: {reason}; export it again") from error
    return sorted(items, key=lambda item: str(item.id)), [class_of(str(one.name)) for one in categories]


def _classes(root: Path, record: dict[str, Any], labels: Sequence[str]) -> ClassTable:
    given = [name for name in labels if not is_background(name)]
    noted = record.get("classes")
    if isinstance(noted, list):  # some formats lose classes that are in no mask
        noted = [class_of(name) for name in noted if isinstance(name, str) and not is_background(name)]
        given = list(dict.fromkeys([*noted, *given]))
    return recorded_table(record, given, root)


class _Maker:
    """Makes records of photographs."""

    def __init__(self, root: Path, labels: Sequence[str], classes: ClassTable) -> None:
        self._root, self._labels, self._classes = root, labels, classes
        self._ids = class_ids(classes, labels)
        self._files = frozenset(list_files(root, SUFFIXES).files)
        self._names = Names(sorted(file for file in self._files if file.startswith("images/")))

    def __call__(self, item: Any, problems: list[Problem], ordinary: frozenset[int]) -> list[Found]:
        """Return the photograph of an item; ``ordinary`` are labels that have objects other than crowds."""
        name, file = str(item.id), self._file(item)
        if escapes(name) or printable(name) != name:
            problems.append(Problem(name, "expected the name of a photograph inside the folder; rename it"))
            return []
        if file is None:
            problems.append(Problem(name, f"no photograph of this name in {self._root / 'images'}; put it there"))
            return []
        objects, unread = self._objects(item, ordinary)
        tags = {label for label, _ in objects}
        path = self._root / file
        truth = painted(self._root, path, [one for _, one in objects], self._classes)
        return [Found(name, path, Tagged(tuple(tags), unread=unread), truth)]

    def _objects(self, item: Any, ordinary: frozenset[int]) -> tuple[list[tuple[int, PaintedObject]], str | None]:
        """Return class ids and objects, and the first annotation that is not understood."""
        drawn_groups = {one.group for one in item.annotations if one.group and _kind(one) in _DRAWN}
        objects: list[tuple[int, PaintedObject]] = []
        unread = None
        for number, one in enumerate(item.annotations, start=1):
            place = f"{printable(str(item.id))} (annotation {number})"
            name = _label(one, self._labels)
            if name is None:
                unread = unread or f"{self._root} {place}: a {_kind(one)} without a label"
            elif name in self._ids and (_kind(one) in _DRAWN or one.group not in drawn_groups):
                label = self._ids[name]
                void = _is_crowd(one) and one.label in ordinary and not is_background(name)
                objects.append((label, _object(one, VOID if void else label, place)))
        return objects, unread

    def _file(self, item: Any) -> str | None:
        path = getattr(item.media, "path", None)
        if isinstance(path, (str, Path)) and str(path):
            place, inside = key_of(str(path)), f"{key_of(str(self._root))}/"
            if place.startswith(inside) and place[len(inside) :] in self._files:
                return place[len(inside) :]
        found, _ = self._names.find(str(item.id))
        return found[0] if len(found) == 1 else None


def _kind(one: Any) -> str:
    return str(one.type.name)


def _label(one: Any, labels: Sequence[str]) -> str | None:
    label = getattr(one, "label", None)
    return labels[int(label)] if isinstance(label, (int, np.integer)) and 0 <= label < len(labels) else None


def _is_crowd(one: Any) -> bool:
    return bool(one.attributes.get("is_crowd"))


def _object(one: Any, label: int, place: str) -> PaintedObject:
    try:
        if _kind(one) == "mask":
            runs = _runs(one)
            return PaintedObject(label, (runs,), place, runs.size)
        if _kind(one) == "polygon":
            return PaintedObject(label, (polygons([[float(value) for value in one.points]]),), place)
        if _kind(one) == "ellipse":
            left, top, right, bottom = (float(value) for value in one.points)
            round_one = ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2)
            return PaintedObject(label, (round_one,), place)
    except Exception as error:  # masks are decoded by the library's many readers
        reason = one_line(error, 200)
        return PaintedObject(label, (), place, missing=f"its outline cannot be read ({reason})")
    return PaintedObject(label, (), place, missing=f"it is a {_kind(one)}, which has no outline")


def _runs(one: Any) -> CodedRuns:
    """Return the mask of an annotation as run lengths."""
    from pycocotools import mask as run_lengths

    coded = one.rle if hasattr(one, "rle") else run_lengths.encode(np.asfortranarray(one.image, dtype=np.uint8))
    size, counts = whole_size(*coded["size"]), coded["counts"]
    if size is None or not isinstance(counts, (bytes, str)):
        raise ValueError(f"its run lengths are of size {coded['size']}")
    return CodedRuns(counts if isinstance(counts, str) else counts.decode("ascii"), size)


DATUMARO = Reader(
    "dhr.json of dhr export --to datumaro, or datumaro's own files",
    lambda root: _format(root) is not None,
    read_datumaro,
)
