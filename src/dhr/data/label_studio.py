"""Label Studio's JSON exports: tags from choices, or from the labels of boxes, polygons and brushes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from dhr.data.class_names import table_of
from dhr.data.classes import read_text
from dhr.data.folder import FolderDataSet, Tagging, class_file
from dhr.data.images import SUFFIXES
from dhr.data.json_text import members
from dhr.data.listing import Names, list_files
from dhr.data.mask_tags import Progress
from dhr.data.places import first_folder
from dhr.data.tags import TagLine, TagReader
from dhr.errors import DataError

_KINDS = ("choices", "rectanglelabels", "polygonlabels", "brushlabels", "ellipselabels", "keypointlabels", "labels")
_PICTURES = ("image", "img", "picture", "photo")  # names of the task's image
_HEAD = 4096  # bytes in which a task shows itself
_TASKS = re.compile(rb"(\xef\xbb\xbf)?\s*\[\s*\{")
_TASK = re.compile(rb'"(annotations|data|annotator|image)"\s*:')
_Row = tuple[int, str, list[str], str | None]  # line, image, tags, what is wrong


def _file(root: Path) -> Path | None:
    """The export: a JSON list of tasks."""
    for path in sorted(root.glob("*.json")):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(_HEAD)
            if _TASKS.match(head) and _TASK.search(head):
                return path
    return None


def fits_label_studio(root: Path) -> bool:
    """Whether there is a JSON file of tasks, and photographs."""
    return _file(root) is not None


def read_label_studio(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> FolderDataSet:
    """Read an export (JSON or JSON-MIN) with its photographs in ``images/`` or beside it.

    Classes are those of ``classes.txt``, else the background and then all labels of the export in the order of the
    alphabet. Photographs are found by name: nothing is fetched from anywhere. Cancelled annotations do not count;
    several annotators must agree.

    Raises:
        DataError: there is no export, it is damaged, or no photograph is usable.
    """
    path = _file(root)
    if path is None:
        raise DataError(f"{root}: expected a JSON export of Label Studio in it, a list of tasks; there is none")
    images = first_folder(root, "images", "upload") or root
    rows = [row for key, line, task in members(path, read_text(path)) for row in _rows(line, task)]
    labels = sorted({tag for _, _, tags, wrong in rows if not wrong for tag in tags})
    classes = class_file(root) or table_of(labels, path)
    names, read = Names(list_files(images, SUFFIXES).files), TagReader(classes)
    lines = [
        TagLine(line, _local(image, names), (), wrong) if wrong else read(line, _local(image, names), tags)
        for line, image, tags, wrong in rows
    ]
    return FolderDataSet(root, split, Tagging(path, images, classes, lines))


def _rows(line: int, task: Any) -> Iterator[_Row]:
    if not isinstance(task, dict):
        yield line, "", [], "expected a task, an object; correct it"
        return
    data = task.get("data", task)
    keys = [key for key in _PICTURES if isinstance(data, dict) and isinstance(data.get(key), str)]
    image = data[keys[0]] if keys else None
    if image is None:
        yield line, "", [], 'expected a task with an image, {"data": {"image": ...}}; correct it'
        return
    try:
        if "annotations" not in task and "completions" not in task:
            yield line, image, _plain_tags(data), None
            return
        given: Any = task.get("annotations", task.get("completions"))
        sound = [one for one in given if not one.get("was_cancelled")]
        if not sound:
            yield line, image, [], "no annotation that was not cancelled; annotate it"
        for one in sound:
            yield line, image, _labels(one["result"]), None
    except (KeyError, TypeError, AttributeError, ValueError):
        yield line, image, [], "expected annotations as Label Studio writes them; export it again"


def _labels(results: Any) -> list[str]:
    tags: list[str] = []
    for result in results:
        kind = result.get("type")
        if kind in _KINDS:
            tags += _texts(result["value"].get(kind, []))
        elif kind == "taxonomy":
            tags += [_texts(one)[-1] for one in result["value"]["taxonomy"] if one]
    return list(dict.fromkeys(tags))


def _plain_tags(data: dict[str, Any]) -> list[str]:
    """Tags of JSON-MIN: each result under its own name."""
    tags: list[str] = []
    for value in data.values():
        if isinstance(value, dict) and "choices" in value:
            tags += _texts(value["choices"])
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                tags += [text for kind in _KINDS if kind in one for text in _texts(one[kind])]
    for key in ("choice", "choices", "tag", "tags", "label", "labels"):  # one choice is written as a text
        if isinstance(data.get(key), str):
            tags.append(data[key])
    return list(dict.fromkeys(tags))


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(value)
    return [one.strip() for one in value]


def _local(image: str, names: Names) -> str:
    """The photograph that a task means, as a path below the folder of photographs.

    Uploaded files have eight digits and a dash before their name, files of a local storage stand in ``?d=``.
    """
    try:
        parts = urlsplit(image)
        inside = parse_qs(parts.query).get("d", [""])[0] if "local-files" in parts.path else unquote(parts.path)
    except ValueError:
        return image
    path = inside.replace("\\", "/").lstrip("/")
    pieces = path.split("/")
    candidates = ["/".join(pieces[at:]) for at in range(len(pieces))]
    last = re.sub(r"^[0-9a-f]{8}-", "", pieces[-1])
    known = next((one for one in (*candidates, last) if one and names.find(one)[0]), None)
    return known or (image if ".." in pieces else pieces[-1])
