"""Read the results of one annotation of Label Studio: regions, choices, and others."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from dhr.data.annotated import Thing
from dhr.data.brush import Strokes, picture_text
from dhr.data.outlines import Outline, Patch, Size, ellipse, polygons
from dhr.words import one_line

_SHAPES = ("rectangle", "polygon", "brush", "ellipse", "keypoint", "bitmask", "vector")
_REGIONS = {*_SHAPES, *(f"{shape}labels" for shape in _SHAPES), "labels"}
_CHOICES = ("choices", "taxonomy")
_NO_LABELS = ("textarea", "rating", "number", "datetime", "pairwise", "relation", "ranker", "chatmessage")
_BOX = "shows where it is, not its outline"


@dataclass(frozen=True)
class Results:
    """The content of an annotation."""

    things: tuple[Thing, ...]
    unread: str | None
    attributes: Counter[str] = field(default_factory=Counter)
    """Choices of regions, by control: how many."""
    others: Counter[str] = field(default_factory=Counter)
    """Results that are no labels, by type: how many."""


@dataclass
class _Region:
    """A region, perhaps spread over several results of one id."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    drawn: Size | None = None
    turned: Any = 0


def read_results(results: Any, place: str) -> Results:
    """Sort the results of an annotation.

    A choice with the id of a region is an attribute of it, and not a class. Raises ValueError, TypeError,
    AttributeError or KeyError if the results are not as Label Studio writes them.
    """
    regions: dict[Any, _Region] = {}
    choices: list[tuple[Any, str, list[str]]] = []
    unread: list[str] = []
    others: Counter[str] = Counter()
    for number, result in enumerate([] if results is None else results):
        kind = result.get("type")
        key = result.get("id", ("without id", number))
        control = str(result.get("from_name", kind))
        if kind in _REGIONS:
            _add(regions.setdefault(key, _Region(kind)), result, kind)
        elif kind == "choices":
            choices.append((key, control, texts(result["value"]["choices"])))
        elif kind == "taxonomy":
            choices.append((key, control, leaves(result["value"]["taxonomy"])))
        elif kind in _NO_LABELS:
            others[kind] += 1
        else:
            unread.append(f"a result of the type {str(kind)[:60]!r}")
    things = []
    for region in regions.values():
        things += _things(region, place)
        if not region.labels:
            unread.append(f"{_what(region.kind)} without a label")
    attributes: Counter[str] = Counter()
    for key, control, chosen in choices:
        if key in regions:
            attributes[control] += 1
        else:
            kind = f"the choice of {control[:60]!r}"
            things += [Thing(label, kind, control=control) for label in chosen]
    return Results(tuple(things), unread[0] if unread else None, attributes, others)


def texts(value: Any) -> list[str]:
    """Check a list of texts; raise ValueError for other values."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(value)
    return [one.strip() for one in value]


def leaves(paths: Any) -> list[str]:
    """Return the last names of the paths of a taxonomy that do not lead on to others.

    >>> leaves([["animal"], ["animal", "cat"], ["plant"]])
    ['cat', 'plant']
    """
    checked = [tuple(texts(path)) for path in paths if path]
    inner = {path[:end] for path in checked for end in range(len(path))}
    return [path[-1] for path in dict.fromkeys(checked) if path not in inner]


def _add(region: _Region, result: dict[str, Any], kind: str) -> None:
    value = result["value"]
    if kind != "labels":
        region.kind = kind
    for key in dict.fromkeys((kind, "labels")):
        region.labels += [label for label in texts(value.get(key, [])) if label not in region.labels]
    region.values |= value
    width, height = result.get("original_width"), result.get("original_height")
    if type(width) is int and type(height) is int and 0 < width < 1 << 20 and 0 < height < 1 << 20:
        region.drawn = height, width
    region.turned = result.get("image_rotation") or region.turned


def _things(region: _Region, place: str) -> list[Thing]:
    kind = _what(region.kind)
    outline, missing = None, "is a region with several labels"
    if len(region.labels) == 1:
        try:
            outline, missing = _outline(region, place), _BOX
        except (ValueError, TypeError, OverflowError) as error:
            missing = f"is damaged ({one_line(error)})"
        if outline is not None and region.turned:
            outline, missing = None, "was drawn on a turned view of the photograph; draw it upright"
    return [
        Thing(label, kind, outline, None if outline else missing, region.drawn, region=True) for label in region.labels
    ]


def _what(kind: str) -> str:
    shape = kind.removesuffix("labels") or "label"
    return f"an {shape}" if shape[0] == "e" else f"a {shape}"


def _outline(region: _Region, place: str) -> Outline | None:
    """Return the outline of a region; None for boxes, points and lines."""
    value = region.values
    if "rle" in value:
        codes = value["rle"]
        if not isinstance(codes, list) or not all(type(one) is int for one in codes):
            raise ValueError("expected run lengths as whole numbers")
        return Strokes(bytes(codes), place)
    if "imageDataURL" in value:
        return picture_text(value["imageDataURL"], place)
    if "points" in value:
        corners = [number for point in value["points"] for number in _pair(point)]
        return Shares(polygons([corners]).corners[0].astype(np.float64))
    if "radiusX" in value:
        numbers = [value["x"], value["y"], value["radiusX"], value["radiusY"], value.get("rotation") or 0]
        ellipse(*numbers)  # checks them
        return ShareEllipse(*(float(number) for number in numbers))
    return None


def _pair(point: Any) -> list[Any]:
    if not isinstance(point, list) or len(point) != 2:
        raise ValueError("expected points [x, y]")
    return point


@dataclass(frozen=True)
class Shares:
    """A polygon in percent of the picture: x1, y1, x2, y2, ..."""

    corners: Float64[np.ndarray, " n"]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Scale and paint; see :meth:`~dhr.data.painted.Outline.patch`."""
        pixels = self.corners.reshape(-1, 2) * [drawn[1] / 100, drawn[0] / 100]
        return polygons([pixels.ravel()]).patch(drawn, canvas)


@dataclass(frozen=True)
class ShareEllipse:
    """An ellipse in percent of the picture, turned clockwise in pixels."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    degrees: float

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Scale and paint; see :meth:`~dhr.data.painted.Outline.patch`."""
        across, down = drawn[1] / 100, drawn[0] / 100
        made = ellipse(
            self.x * across, self.y * down, self.radius_x * across, self.radius_y * down, self.degrees
        )  # fmt: skip
        return made.patch(drawn, canvas)
