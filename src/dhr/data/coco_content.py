"""Read a file of COCO's format, as far as that is possible without the photographs."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dhr.data.class_names import class_of
from dhr.data.class_record import RECORD
from dhr.data.classes import enumeration, read_text
from dhr.data.coco_objects import Identity, coco_object, identity, is_crowd, place_of, whole_size
from dhr.data.json_text import members
from dhr.data.outlines import Size
from dhr.data.painted import PaintedObject
from dhr.data.problems import problem_lines
from dhr.data.samples import VOID, Problem
from dhr.errors import DataError
from dhr.progress import Progress
from dhr.words import printable

VOID_KEY = f"{RECORD}_void"
"""List of the outlines of void, as :mod:`dhr.export.coco` writes it."""


@dataclass(frozen=True, slots=True)
class Image:
    """A photograph, as the file names it."""

    number: Identity
    file: str
    place: str
    drawn: Size | None


@dataclass(frozen=True, slots=True)
class Annotation:
    """An object; its label is set once all categories are known."""

    category: Identity
    crowd: bool
    painted: PaintedObject


@dataclass
class CocoContent:
    """The content of an annotation file."""

    path: Path
    names: dict[Identity, str] = field(default_factory=dict)
    """Name of each category."""
    uppers: dict[Identity, str] = field(default_factory=dict)
    """Its super-category, if it has one."""
    images: list[Image] = field(default_factory=list)
    objects: dict[Identity, list[Annotation]] = field(default_factory=lambda: defaultdict(list))
    """By image."""
    void: dict[Identity, list[PaintedObject]] = field(default_factory=lambda: defaultdict(list))
    """By image."""
    unread: dict[Identity, str] = field(default_factory=dict)
    """By image: an annotation that is not understood."""
    homeless: int = 0
    """Annotations that name no image."""
    problems: list[Problem] = field(default_factory=list)
    record: Any = None
    """The record of the classes by ``dhr export``; see :mod:`dhr.data.class_record`."""

    def used(self) -> set[Identity]:
        """Return the categories that have an object."""
        return {one.category for some in self.objects.values() for one in some}

    def crowds_alone(self) -> set[Identity]:
        """Return categories with crowd regions but without any ordinary object in the file.

        Programs that export brush strokes write all of them as crowds. Real crowds stand beside objects.
        """
        ordinary = {self.name_of(one.category) for some in self.objects.values() for one in some if not one.crowd}
        return {number for number in self.used() if self.name_of(number) not in ordinary}

    def name_of(self, category: Identity) -> str | None:
        """Return the name of a category as it is compared."""
        name = self.names.get(category)
        return None if name is None else class_of(name)


def read_coco_content(path: Path, progress: Progress) -> CocoContent:
    """Read a file of COCO's format, one element at a time.

    Raises DataError if it cannot be read, is not JSON, or has no category.
    """
    content = CocoContent(path)
    keys: set[str] = set()
    for key, line, value in members(path, read_text(path), progress, constants=True):
        keys.add(key)
        if key == RECORD:
            content.record = value
        elif key in _ADD:
            if isinstance(value, dict):
                _ADD[key](content, line, value)
            else:
                _note(content, f"line {line}: expected an object in {key}; correct it")
    if not content.names:
        missing = [key for key in ("images", "annotations", "categories") if key not in keys]
        reasons = problem_lines(content.problems, 3) or [
            f"there is no list of {enumeration(missing)} in it" if missing else ""
        ]
        raise DataError(f"{path}: expected categories with an id and a name, got none; {' | '.join(reasons)}")
    return content


def _category(content: CocoContent, line: int, value: dict[str, Any]) -> None:
    number, name = identity(value.get("id")), value.get("name")
    if number is None or not isinstance(name, str):
        wanted = "a whole number or a text as id" if number is None else "a text as name"
        _note(content, f"{place_of(value, line, 'category')}: expected {wanted} in categories; correct it")
        return
    if content.names.setdefault(number, name) != name:
        raise DataError(
            f"{content.path} line {line}: expected a category with an id of its own, got {name!r} and "
            f"{content.names[number]!r} with the id {printable(str(number))}; correct it"
        )
    if isinstance(value.get("supercategory"), str):
        content.uppers[number] = value["supercategory"]


def _image(content: CocoContent, line: int, value: dict[str, Any]) -> None:
    number, file = identity(value.get("id")), value.get("file_name")
    place = place_of(value, line, "image")
    if number is None or not isinstance(file, str):
        wanted = "a whole number or a text as id" if number is None else "a text as file_name"
        _note(content, f"{place}: expected {wanted} in images; correct it")
        return
    content.images.append(Image(number, file, place, whole_size(value.get("height"), value.get("width"))))


def _annotation(content: CocoContent, line: int, value: dict[str, Any]) -> None:
    image, category = identity(value.get("image_id")), identity(value.get("category_id"))
    place = place_of(value, line)
    if image is None:
        content.homeless += 1
        _note(content, f"{place}: expected an image_id; correct it")
    elif category is None:
        what = next((f"the {key}" for key in ("caption", "segments_info") if key in value), "an object")
        content.unread.setdefault(image, f"{content.path} {place}: {what} without a category_id")
    else:
        crowd = is_crowd(value) is True
        content.objects[image].append(Annotation(category, crowd, coco_object(value, 0, place, None)))


def _void(content: CocoContent, line: int, value: dict[str, Any]) -> None:
    image = identity(value.get("image_id"))
    if image is None:
        _note(content, f"line {line}: expected an image_id in {VOID_KEY}; correct it")
    else:
        content.void[image].append(coco_object(value, VOID, f"line {line} (void)", None))


def _note(content: CocoContent, reason: str) -> None:
    content.problems.append(Problem(str(content.path), reason))


_ADD = {"categories": _category, "images": _image, "annotations": _annotation, VOID_KEY: _void}
