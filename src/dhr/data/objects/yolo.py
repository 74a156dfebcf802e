"""YOLO's folders, as autodistill, supervision and Ultralytics write them, with confidence where it is written."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dhr.data.class_list import names_in
from dhr.data.classes import read_text
from dhr.data.listing import list_files
from dhr.data.objects.places import Places
from dhr.data.objects.record import Box, Found, Objects, score
from dhr.data.outlines import Outline, Patch, Size, polygons
from dhr.errors import DataError, ItemError
from dhr.plain_yaml import MAX_BYTES, parse_yaml
from dhr.words import printable

_TEXT = frozenset({".txt"})
_SURE = "confidence-"  # autodistill puts it before the name of a file of scores
_MOST = 100_000_000  # bytes of a label file
_LISTS = frozenset({"classes.txt", "labels.txt", "names.txt", "readme.txt", "train.txt", "val.txt", "valid.txt"})


class YoloFolder:
    """A folder with `data.yaml` or `classes.txt`, and a label file per photograph."""

    def __init__(self, root: Path) -> None:
        path = _description(root)
        assert path is not None
        self._classes = _names(path)
        self._places: Places[str] = Places(root)
        self._sure: dict[str, list[str]] = defaultdict(list)
        self._same: Counter[str] = Counter()
        for file in list_files(root, _TEXT).files:
            last = file.rpartition("/")[2]
            if last.startswith(_SURE):
                self._sure[last.removeprefix(_SURE)].append(file)
            elif last.casefold() not in _LISTS:
                self._places.add(file, file, _TEXT)
                self._same[last] += 1

    def strays(self, known: Collection[str]) -> list[str]:
        """See :class:`~dhr.data.objects.record.ObjectFolder`."""
        return self._places.strays(known)

    def read(self, name: str) -> Objects:
        """See :class:`~dhr.data.objects.record.ObjectFolder`.

        A line is a class, then a box or a polygon in shares of width and height, and perhaps a confidence.
        """
        file = self._places.find(name)
        path = self._places.root / file
        try:
            lines = [
                (at, line.split()) for at, line in enumerate(read_text(path, _MOST).splitlines(), 1) if line.strip()
            ]
            found = [_object(words, self._classes, f"line {number}") for number, words in lines]
            return self._with_scores(file, Objects(str(path), tuple(found)))
        except DataError as error:
            raise ItemError(str(error)) from error
        except ValueError as error:
            raise ItemError(f"{path} {error}; correct it") from error

    def _with_scores(self, file: str, objects: Objects) -> Objects:
        """Take the scores from autodistill's file, if it has a line per object."""
        last = file.rpartition("/")[2]
        given = self._sure.get(last, [])
        if self._same[last] > 1 or len(given) > 1:  # those of the same split
            given = [one for one in given if one.partition("/")[0] == file.partition("/")[0]]
        if not given:
            return objects
        path = self._places.root / given[0]
        scores = [_score(line, path) for line in read_text(path, _MOST).split()]
        if len(scores) != len(objects.found):
            note = "files of confidence with another number of lines than the label file: all objects count fully"
            return Objects(objects.source, objects.found, (note,))
        pairs = zip(objects.found, scores, strict=True)
        return Objects(objects.source, tuple(Found(one.label, one.outline, sure, one.place) for one, sure in pairs))


class Shares:
    """A polygon in shares of width and height."""

    def __init__(self, corners: Sequence[float]) -> None:
        self._corners = np.array(corners, np.float64).reshape(-1, 2)

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint it; see :meth:`~dhr.data.outlines.Outline.patch`."""
        height, width = drawn
        return polygons([(self._corners * [width, height]).ravel()]).patch(drawn, canvas)


def _object(words: Sequence[str], classes: dict[int, str], place: str) -> Found:
    try:
        number, *values = (float(word) for word in words)
    except ValueError:
        raise ValueError(f"{place}: expected numbers, got {' '.join(words)[:60]!r}") from None
    if number not in classes:
        raise ValueError(f"{place}: class {printable(words[0])[:20]} is not in the description of the folder")
    if not all(-0.05 <= value <= 1.05 for value in values):  # False where one is NaN
        raise ValueError(f"{place}: expected shares of width and height, 0 to 1; got {' '.join(words)[:60]!r}")
    if len(values) < 4:
        raise ValueError(f"{place}: expected a box of 4 numbers, or a polygon of 6 or more; got {len(values)}")
    sure = score(values.pop()) if len(values) % 2 else 1.0
    return Found(classes[int(number)], _outline(values, place), sure, place)


def _outline(values: Sequence[float], place: str) -> Outline:
    if len(values) > 4:
        return Shares(values)
    x, y, width, height = values
    if not (width > 0 and height > 0):
        raise ValueError(f"{place}: expected a box with an area")
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2, (1, 1))


def _score(text: str, path: Path) -> float:
    try:
        return score(float(text))
    except ValueError as error:
        raise ValueError(f"and {path}: {error}") from error


def _description(root: Path) -> Path | None:
    """Return the file that names the classes."""
    for path in sorted((*root.glob("*.yaml"), *root.glob("*.yml"))):
        try:
            if isinstance(_read(path).get("names"), list | dict):
                return path
        except DataError:
            continue
    table = root / "classes.txt"
    return (
        table
        if table.is_file() and any(_is_labels(root, file) for file in list_files(root, _TEXT).files[:50])
        else None
    )


def _is_labels(root: Path, file: str) -> bool:
    """Tell whether a text begins as a label file does."""
    if file.rpartition("/")[2].casefold() in _LISTS:
        return False
    try:
        first = next(iter(read_text(root / file, _MOST).splitlines()), "").split()
        return len(first) >= 5 and all(-1 <= float(word) <= 255 for word in first)
    except (DataError, ValueError):
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        value = parse_yaml(read_text(path, MAX_BYTES))
    except ValueError as error:
        raise DataError(f"{path}: not valid YAML ({error}); correct it") from error
    return value if isinstance(value, dict) else {}


def _names(path: Path) -> dict[int, str]:
    if path.suffix == ".txt":
        return dict(enumerate(names_in(path, read_text(path))[0]))
    names = _read(path)["names"]
    pairs = dict(enumerate(names)) if isinstance(names, list) else names
    if not all(type(key) is int and isinstance(name, str) for key, name in pairs.items()):
        raise DataError(f"{path}: expected names as a list or a table of numbers and texts; put them in quotes")
    return dict(pairs)


def is_yolo(root: Path) -> bool:
    """Tell whether a folder has a description of classes, and label files."""
    return _description(root) is not None
