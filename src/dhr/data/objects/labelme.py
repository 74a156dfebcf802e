"""JSON of LabelMe and X-AnyLabeling: a file per photograph, with shapes."""

from typing import Any

from dhr.data.coco_objects import whole_size
from dhr.data.objects.record import Found, box, score
from dhr.data.outlines import Outline, ellipse, polygons
from dhr.parsing import Fields, as_number

_AREAS = ("polygon", "rectangle", "rotation", "circle")


def read_labelme(value: Any) -> list[Found] | None:
    """Return the shapes of a file; None if it is of another format.

    Raises ValueError if a shape has no area, or cannot be read.
    """
    if not isinstance(value, dict) or not isinstance(value.get("shapes"), list):
        return None
    drawn = whole_size(value.get("imageHeight"), value.get("imageWidth"))
    found = []
    for number, one in enumerate(value["shapes"], start=1):
        place = f"shape {number}"
        try:
            shape = Fields(one)
            outline = _outline(one.get("shape_type", "polygon"), shape)
            found.append(Found(shape.text("label", 300), outline, score(one.get("score")), place, drawn))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    return found


def _outline(kind: Any, shape: Fields) -> Outline:
    if kind not in _AREAS:
        raise ValueError(f"expected a shape with an area ({', '.join(_AREAS)}), got {str(kind)[:40]!r}")
    points = [_point(one) for one in shape.entries("points", 100_000)]
    if kind == "circle":
        if len(points) != 2:
            raise ValueError(f"expected centre and edge of a circle, got {len(points)} points")
        (x, y), (other, below) = points
        radius = ((x - other) ** 2 + (y - below) ** 2) ** 0.5
        return ellipse(x, y, radius, radius)
    if kind == "rectangle" and len(points) == 2:
        across, down = sorted(x for x, _ in points), sorted(y for _, y in points)
        return box([across[0], down[0], across[1], down[1]])
    return polygons([[value for point in points for value in point]])


def _point(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"expected points x, y; got {str(value)[:40]}")
    return as_number(value[0], -1e6, 1e6, "x"), as_number(value[1], -1e6, 1e6, "y")
