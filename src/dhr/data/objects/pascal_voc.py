"""Pascal VOC's XML, as supervision, autodistill and X-AnyLabeling export it: a file per photograph."""

from collections.abc import Collection
from pathlib import Path

from dhr.data.coco_objects import whole_size
from dhr.data.listing import list_files
from dhr.data.objects.places import Places
from dhr.data.objects.record import Found, Objects, box, score
from dhr.data.outlines import Outline, polygons
from dhr.data.voc_xml import is_annotation
from dhr.data.xml_text import Element, read_xml
from dhr.errors import DataError, ItemError

_XML = frozenset({".xml"})
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_SCORES = ("confidence", "score")
_CORNERS = 100_000


class VocFiles:
    """A folder with NAME.xml for each photograph, in the folder itself or in `Annotations`, `annotations` and so on."""

    def __init__(self, root: Path) -> None:
        self._places: Places[str] = Places(root)
        for file in list_files(root, _XML).files:
            self._places.add(file, file, _XML)

    def strays(self, known: Collection[str]) -> list[str]:
        """See :class:`~dhr.data.objects.record.ObjectFolder`."""
        return self._places.strays(known)

    def read(self, name: str) -> Objects:
        """See :class:`~dhr.data.objects.record.ObjectFolder`. Coordinates count from 1, as in VOC."""
        path = self._places.root / self._places.find(name)
        try:
            top = read_xml(path)
            if top.tag != "annotation":
                raise ValueError(f"expected an element <annotation>, got {top.tag[:40]!r}")
            sizes = top.all("size")
            drawn = None if not sizes else whole_size(*(_whole(sizes[0].first(side)) for side in ("height", "width")))
            found = [_object(one) for one in top.all("object")]
        except DataError as error:
            raise ItemError(str(error)) from error
        except ValueError as error:
            raise ItemError(f"{path}: {error}; correct it") from error
        return Objects(str(path), tuple(Found(*one, drawn) for one in found))


def _object(element: Element) -> tuple[str, Outline, float, str]:
    place = f"line {element.line}"
    try:
        label = element.first("name")
        if not label:
            raise ValueError("an object without a name")
        sure = next((text for tag in _SCORES if (text := element.first(tag))), None)
        return label, _outline(element), score(None if sure is None else _number(sure)), place
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _outline(element: Element) -> Outline:
    corners = [_corners(one) for one in element.all("polygon")]
    if corners:
        return polygons(corners)
    boxes = element.all("bndbox")
    if len(boxes) != 1:
        raise ValueError(f"expected one box or polygons, got {len(boxes)} boxes")
    left, top, right, bottom = (_number(boxes[0].first(side)) for side in _SIDES)
    return box([left - 1, top - 1, right, bottom])


def _corners(element: Element) -> list[float]:
    """Return the corners of `<x1>`, `<y1>`, `<x2>` and so on."""
    count = len(element.children) // 2
    if count > _CORNERS:
        raise ValueError(f"a polygon of over {_CORNERS} corners")
    texts = {child.tag: child.text.strip() for child in element.children}
    return [_number(texts.get(f"{axis}{number}", "")) - 1 for number in range(1, count + 1) for axis in "xy"]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text[:40]!r}") from None


def _whole(text: str) -> object:
    return int(text) if text.isdecimal() and len(text) < 10 else None


def is_voc(root: Path) -> bool:
    """Tell whether a folder holds annotations of PASCAL VOC."""
    return any(is_annotation(root / file) for file in list_files(root, _XML).files[:5])
