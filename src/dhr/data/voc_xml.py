"""Read an annotation of PASCAL VOC: an XML file that lists the objects of a photograph."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dhr.data.class_names import class_of
from dhr.data.samples import Tagged
from dhr.data.tags import TagReader
from dhr.data.xml_text import Element, read_xml
from dhr.errors import DataError
from dhr.files import open_regular

_HEAD = 4096  # bytes in which an annotation shows itself
_ROOT = re.compile(rb"<annotation[\s>]")
_LABELS = ("name", "label", "class")  # elements whose text is a class, in objects and elsewhere
_OF_OTHERS = ("owner", "attribute")  # in these a name is that of a person or of a property


@dataclass(frozen=True)
class Annotation:
    """The content of an XML file."""

    path: Path
    filename: str
    """The photograph's name in the file; empty without one."""
    objects: tuple[tuple[int, str], ...]
    """Line and class of each object, those marked as difficult included."""
    others: tuple[tuple[int, str], ...]
    """Line and text of names that are no object's own, such as those of parts."""
    strange: str | None = None
    """An element that may hold objects and is not understood, by line and kind."""


def is_annotation(path: Path) -> bool:
    """Tell whether an XML file can be read and begins as an annotation of PASCAL VOC does."""
    try:
        with open_regular(path) as file:
            return _ROOT.search(file.read(_HEAD)) is not None
    except OSError:
        return False


def read_annotation(path: Path) -> Annotation:
    """Read an annotation without sizes and boxes, which tags do not need.

    Raises DataError if it cannot be read, is not an annotation of PASCAL VOC, or has an object without a name.
    """
    top = read_xml(path)
    if top.tag != "annotation":
        raise DataError(f"{path} line {top.line}: expected an element <annotation> of PASCAL VOC, got {top.tag!r}")
    objects = []
    for element in top.all("object"):
        if element.first("deleted") == "1":  # LabelMe keeps what was deleted
            continue
        names = [child.text.strip() for child in element.all("name") if child.text.strip()]
        if len(names) != 1:
            there = f"{len(names)} names" if names else "none"
            raise DataError(f"{path} line {element.line}: expected an object with one name, got {there}; correct it")
        objects.append((element.line, names[0]))
    written = top.first("filename") or top.first("path")
    return Annotation(path, written, tuple(objects), tuple(_other_names(top)), _strange(top))


def tags_of_annotation(annotation: Annotation, read: TagReader) -> Tagged:
    """Return the classes of the objects.

    A name outside the objects counts as unread if it is a class that no object has: a wheel as a part of a car, in a
    data set with the class wheel.
    """
    stem = annotation.path.stem
    for line, tag in annotation.objects:
        if reason := read(line, stem, [tag]).reason:
            return Tagged(reason=f"{annotation.path} line {line}: {reason}")
    tags = read(0, stem, [tag for _, tag in annotation.objects]) if annotation.objects else None
    if tags is not None and tags.reason:
        return Tagged(reason=f"{annotation.path}: {tags.reason}")
    found = () if tags is None else tags.tags
    return Tagged(found, unread=_unread(annotation, found, read))


def _unread(annotation: Annotation, tags: tuple[int, ...], read: TagReader) -> str | None:
    if annotation.strange is not None:
        return f"{annotation.path} {annotation.strange}"
    for line, text in annotation.others:
        other = read(line, annotation.path.stem, [text])
        if other.reason is None and not set(other.tags) <= set(tags):
            return f"{annotation.path} line {line}: the name {class_of(text)!r} outside any object"
    return None


def _other_names(top: Element) -> Iterator[tuple[int, str]]:
    """Yield names other than those of objects: of parts, and in elements that VOC does not have."""
    for child in top.children:
        if child.tag == "object":
            for inner in child.children:
                yield from _names(inner)
        elif child.tag not in _OF_OTHERS:
            yield from _names(Element("", {}, child.line, children=[child]))


def _names(element: Element) -> Iterator[tuple[int, str]]:
    for child in element.children:
        if child.tag in _LABELS and element.tag not in _OF_OTHERS and child.text.strip():
            yield child.line, child.text.strip()
        yield from _names(child)


def _strange(top: Element) -> str | None:
    """Find an element that holds objects or boxes but is not an object itself."""
    for child in top.children:
        if child.tag == "bndbox" or (child.tag != "object" and _holds(child)):
            return f"line {child.line}: an element <{child.tag}> with objects in it"
    return None


def _holds(element: Element) -> bool:
    return any(child.tag in ("object", "bndbox") or _holds(child) for child in element.children)
