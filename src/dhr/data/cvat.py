"""CVAT's XML exports ("CVAT for images"): tags and ground truth."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dhr.data.annotated import Annotated, Annotation, Thing, annotated_data
from dhr.data.classes import enumeration
from dhr.data.image_files import MAX_PIXELS
from dhr.data.images import SUFFIXES
from dhr.data.listing import list_files
from dhr.data.names import Names
from dhr.data.outlines import Outline, Runs, Size, ellipse, polygons
from dhr.data.places import first_folder, head_of
from dhr.data.stored import Draft, Reader, StoredDataSet
from dhr.data.xml_text import Element, top_elements
from dhr.errors import DataError
from dhr.words import one_line, printable

_FILE = "annotations.xml"
_ROOT = re.compile(rb"<annotations[\s>]")
_BARE = ("tag", "box", "polyline", "points", "cuboid", "skeleton")
_SIDE, _LAYER = re.compile("[0-9]{1,6}"), re.compile("-?[0-9]{1,9}")
_BY_PROGRAM = ("auto", "file")  # of shapes that were uploaded; changed ones become semi-auto or manual
_EXPORT = "export it as 'CVAT for images 1.1'"


def cvat_files(root: Path) -> list[Path]:
    """Return ``annotations.xml`` and others of its kind: several jobs or subsets may be in one folder."""
    found = [root / _FILE] if (root / _FILE).is_file() else []
    for path in sorted(root.glob("*.xml")):
        if path.name != _FILE and path.is_file() and _ROOT.search(head_of(path)):
            found.append(path)
    return found


def read_cvat(draft: Draft) -> StoredDataSet:
    """Read ``annotations.xml`` with its photographs in ``images/`` or beside it.

    Classes are those of ``classes.txt``, else the background and then the labels of the task in their order, without
    the points of skeletons. Polygons, masks and ellipses are ground truth; tags, boxes, points, lines, cuboids and
    skeletons only tag. An image without annotations shows none of the classes.
    """
    root = draft.root
    files = cvat_files(root)
    if not files:
        raise DataError(f"{root}: expected CVAT's {_FILE} in it, found none; {_EXPORT}")
    images = first_folder(root, "images") or root
    return annotated_data(draft, images, cvat_annotations(files, Names(list_files(images, SUFFIXES).files)))


def cvat_annotations(files: Sequence[Path], names: Names) -> Annotated:
    """Read the annotations of all images; ``names`` are the existing photographs.

    Raises DataError if a file cannot be read, or is not an export of images.
    """
    annotations: list[Annotation] = []
    labels: dict[str, None] = {}
    notes = []
    for path in files:
        others = dict[str, None]()
        elements = top_elements(path)
        top = next(elements)
        if top.tag != "annotations":
            raise DataError(f"{path} line {top.line}: expected CVAT's annotations, got {top.tag!r}; {_EXPORT}")
        for one in elements:
            if one.tag == "image":
                annotations.append(_annotation(path, one, names))
            elif one.tag == "meta":
                labels |= dict.fromkeys(_labels(one))
            elif one.tag == "track":
                raise DataError(f"{path} line {one.line}: expected images, got the tracks of a video; {_EXPORT}")
            elif one.tag != "version":
                others[printable(one.tag)[:60]] = None
        if others:
            notes.append(f"{path.name} has elements beside its images that are not read: {enumeration(others, most=4)}")
    return Annotated(files[0], annotations, [*labels], tuple(notes))


def _labels(meta: Element) -> list[str]:
    """Return the labels of tasks, projects or jobs; those with a parent are points of a skeleton."""
    found, parts = [], [meta]
    for part in parts:  # which grows
        found += [label.first("name") for label in part.all("label") if not label.first("parent")]
        parts += [child for child in part.children if child.tag != "label"]
    return found


def _name(image: Element, names: Names) -> str:
    """Return the name of an image; exports put photographs into a folder for their subset, which the name lacks."""
    name, subset = image.attributes.get("name", "").strip(), image.attributes.get("subset", "")
    if not name or (not subset and names.find(name)[0]):
        return name
    inside = f"{subset or 'default'}/{name}"
    return inside if names.find(inside)[0] else name


def _annotation(path: Path, image: Element, names: Names) -> Annotation:
    name, place = _name(image, names), f"line {image.line}"
    if not name:
        return Annotation("", path, place, wrong="expected an image with a name; correct it")
    place += f", image {name[:200]!r}"
    things, unread = [], []
    for shape in image.children:
        label = shape.attributes.get("label", "").strip()
        what = f"{'an' if shape.tag == 'ellipse' else 'a'} {printable(shape.tag)[:60]}"
        if shape.tag not in (*_OUTLINES, *_BARE):
            unread.append(f"an element {shape.tag[:60]!r}")
        elif not label:
            unread.append(f"{what} without a label")
        else:
            things.append(_thing(shape, label, what, _size(image)))
            inner = {one.tag for one in shape.children} - {"attribute", *(_OUTLINES if shape.tag == "skeleton" else ())}
            inner -= set(_BARE if shape.tag == "skeleton" else ())
            unread += [f"an element {tag[:60]!r} in {what}" for tag in sorted(inner)]
    return Annotation(name, path, place, tuple(things), unread[0] if unread else None)


def _thing(shape: Element, label: str, what: str, drawn: Size | None) -> Thing:
    outline, missing = None, None if shape.tag == "tag" else "shows where it is, not its outline"
    if read := _OUTLINES.get(shape.tag):
        try:
            outline = read(shape.attributes)
        except (KeyError, ValueError, OverflowError) as error:
            missing = f"is damaged ({one_line(error, 200)})"
    layer = shape.attributes.get("z_order", "")
    return Thing(
        label, what, outline, None if outline else missing, drawn,
        int(layer) if _LAYER.fullmatch(layer) else 0, region=shape.tag != "tag",
        by_program=shape.attributes.get("source") in _BY_PROGRAM,
    )  # fmt: skip


def _size(image: Element) -> Size | None:
    width, height = (image.attributes.get(side, "") for side in ("width", "height"))
    return (int(height), int(width)) if _SIDE.fullmatch(width) and _SIDE.fullmatch(height) else None


def _polygon(given: dict[str, str]) -> Outline:
    corners = [point.split(",") for point in given["points"].split(";")]
    if any(len(corner) != 2 for corner in corners):
        raise ValueError("expected points x,y;x,y;x,y")
    return polygons([[float(number) for corner in corners for number in corner]])


def _ellipse(given: dict[str, str]) -> Outline:
    x, y, radius_x, radius_y = (float(given[key]) for key in ("cx", "cy", "rx", "ry"))
    return ellipse(x, y, radius_x, radius_y, float(given.get("rotation", "0")))


def _mask(given: dict[str, str]) -> Outline:
    left, top, width, height = (int(given[key]) for key in ("left", "top", "width", "height"))
    lengths = np.array([int(length) for length in given["rle"].split(",")], np.int64)
    if min(width, height) < 1 or max(left, top, width, height) > MAX_PIXELS or (lengths > MAX_PIXELS).any():
        raise ValueError("expected run lengths in a box")
    return Runs(lengths, top, left, (height, width), by_column=False)


_OUTLINES: dict[str, Callable[[dict[str, str]], Outline]] = {"polygon": _polygon, "ellipse": _ellipse, "mask": _mask}


CVAT = Reader("annotations.xml", lambda root: bool(cvat_files(root)), read_cvat)
