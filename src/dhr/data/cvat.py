"""CVAT's XML exports ("CVAT for images"): tags, or the labels of boxes, polygons and masks."""

from pathlib import Path

from dhr.data.class_names import table_of
from dhr.data.folder import FolderDataSet, Tagging, class_file
from dhr.data.images import SUFFIXES
from dhr.data.listing import Names, list_files
from dhr.data.mask_tags import Progress
from dhr.data.places import first_folder
from dhr.data.tags import TagLine, TagReader
from dhr.data.xml_text import Element, read_xml
from dhr.errors import DataError

_FILE = "annotations.xml"
_SHAPES = ("tag", "box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid")


def fits_cvat(root: Path) -> bool:
    """Whether there is ``annotations.xml``."""
    return (root / _FILE).is_file()


def read_cvat(root: Path, split: str | None, progress: Progress, lenient: bool = False) -> FolderDataSet:
    """Read ``annotations.xml`` with its photographs in ``images/`` or beside it.

    Classes are those of ``classes.txt``, else the background and then the labels of the task in their order.

    Raises:
        DataError: there is no such file, it is damaged or has a DOCTYPE, or no photograph is usable.
    """
    path = root / _FILE
    if not path.is_file():
        raise DataError(f"{root}: expected CVAT's {_FILE} in it, there is none; export as 'CVAT for images'")
    top = read_xml(path)
    if top.tag != "annotations":
        raise DataError(f"{path} line {top.line}: expected CVAT's annotations, got {top.tag!r}; export it again")
    pictures = top.all("image")
    classes = class_file(root) or table_of(
        _labels(top) or sorted({tag for one in pictures for tag in _tags(one)}), path
    )
    images = first_folder(root, "images") or root
    files, read = list_files(images, SUFFIXES).files, TagReader(classes)
    names = Names(files)
    below = Names([file.partition("/")[2] for file in files if "/" in file])
    subset_of = {file.partition("/")[2]: file for file in files if "/" in file}
    lines = []
    for one in pictures:
        name = one.attributes.get("name", "").strip()
        if not name:
            lines.append(TagLine(one.line, "", (), "expected an image with a name; correct it"))
            continue
        if not names.find(name)[0]:  # exports put photographs below a folder for their subset, which names lack
            subset = f"{one.attributes.get('subset', 'default')}/{name}"
            near = below.find(name)[0]
            name = subset if names.find(subset)[0] else subset_of[near[0]] if near else name
        lines.append(read(one.line, name, _tags(one)))
    return FolderDataSet(root, split, Tagging(path, images, classes, lines))


def _labels(top: Element) -> list[str]:
    """Labels of the task, project or job."""
    parts = [part for meta in top.all("meta") for part in meta.children]
    return [label.first("name") for part in parts for labels in part.all("labels") for label in labels.all("label")]


def _tags(image: Element) -> list[str]:
    return list(dict.fromkeys(one.attributes.get("label", "").strip() for one in image.children if one.tag in _SHAPES))
