"""COCO's JSON, as supervision and autodistill write it, and lists of COCO's results."""

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dhr.data.classes import read_text
from dhr.data.coco_objects import Identity, coco_object, identity, place_of, whole_size
from dhr.data.json_text import members
from dhr.data.objects.places import Places
from dhr.data.objects.record import Found, Objects, Parts, box, score
from dhr.data.outlines import Size
from dhr.errors import DataError, ItemError
from dhr.files import open_regular

_HEAD = 1 << 16  # bytes in which a file shows itself
_FOLDERS = ("", "annotations/", "*/")
_TABLE, _RESULTS = ('"images"', '"categories"'), ('"image_id"', '"category_id"')


class CocoFolder:
    """A folder with a file of images and categories; objects are in it, or in lists of results beside it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[Identity, str] = {}
        self._sizes: dict[Identity, Size | None] = {}
        self._images: Places[Identity] = Places(root)
        self._objects: dict[Identity, list[tuple[Path, dict[str, Any], str]]] = defaultdict(list)
        tables, results = _files(root)
        for path in tables:
            self._add(path)
        for path in results:
            self._add_objects(path, "")
        if not self._names:
            raise DataError(f"{root}: expected categories with an id and a name in COCO's JSON, found none")

    def strays(self, known: Collection[str]) -> list[str]:
        """See :class:`~dhr.data.objects.record.ObjectFolder`."""
        lost = [f"image_id {number}" for number in self._objects if number not in self._sizes]
        return [*self._images.strays(known), *lost]

    def read(self, name: str) -> Objects:
        """See :class:`~dhr.data.objects.record.ObjectFolder`."""
        number = self._images.find(name)
        found = [self._found(*one, self._sizes[number]) for one in self._objects.get(number, [])]
        return Objects(str(self._root), tuple(found))

    def _found(self, path: Path, value: dict[str, Any], place: str, drawn: Size | None) -> Found:
        try:
            category = identity(value.get("category_id"))
            label = None if category is None else self._names.get(category)
            if label is None:
                raise ValueError(f"the category {str(value.get('category_id'))[:40]} does not exist")
            sure = score(value.get("score", value.get("confidence")))
            if value.get("segmentation") in (None, [], ""):
                return Found(label, box(value.get("bbox"), wide=True), sure, f"{path.name} {place}", drawn)
            made = coco_object(value, 0, place, drawn)
            if made.missing is not None:
                raise ValueError(made.missing)
            return Found(label, Parts(made.outlines), sure, f"{path.name} {place}", made.drawn)
        except ValueError as error:
            raise ItemError(f"{path} {place}: {error}; correct it") from error

    def _add(self, path: Path) -> None:
        for key, line, value in members(path, read_text(path), constants=True):
            if key in ("images", "categories") and isinstance(value, dict):
                self._add_entry(key, value, f"{path} line {line}")
            elif key == "annotations":
                self._add_object(path, line, value)

    def _add_entry(self, key: str, value: dict[str, Any], place: str) -> None:
        number, name = identity(value.get("id")), value.get("file_name" if key == "images" else "name")
        if number is None or not isinstance(name, str):
            raise DataError(f"{place}: expected an id and a name in {key}; correct it")
        if key == "categories":
            if self._names.setdefault(number, name) != name:
                raise DataError(f"{place}: the id {number} is that of two categories; give each its own")
        elif number in self._sizes:
            raise DataError(f"{place}: the id {number} is that of two images; give each its own")
        else:
            self._sizes[number] = whole_size(value.get("height"), value.get("width"))
            self._images.add(name, number)

    def _add_objects(self, path: Path, wanted: str) -> None:
        for key, line, value in members(path, read_text(path), constants=True):
            if key == wanted:
                self._add_object(path, line, value)

    def _add_object(self, path: Path, line: int, value: Any) -> None:
        image = identity(value.get("image_id")) if isinstance(value, dict) else None
        if image is None:
            raise DataError(f"{path} line {line}: expected an object with an image_id; correct it")
        self._objects[image].append((path, value, place_of(value, line)))


def _files(root: Path) -> tuple[list[Path], list[Path]]:
    """Return files of images and categories, and lists of results."""
    paths = sorted({path for folder in _FOLDERS for path in root.glob(f"{folder}*.json") if path.is_file()})
    tables, results = [], []
    for path in paths:
        try:
            with open_regular(path) as file:
                head = file.read(_HEAD).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
                file.seek(max(0, file.seek(0, 2) - _HEAD))
                ends = head + file.read(_HEAD).decode("utf-8", "replace")
        except OSError:
            continue
        if head.startswith("{") and all(word in ends for word in _TABLE):
            tables.append(path)
        elif head.startswith("[") and all(word in head for word in _RESULTS):
            results.append(path)
    return tables, results


def is_coco(root: Path) -> bool:
    """Tell whether a folder holds a file of COCO's images and categories."""
    return bool(_files(root)[0])
