"""QuPath's GeoJSON: the annotations of one photograph, in its pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dhr.data.annotated import Annotation, Thing
from dhr.data.json_text import read_json
from dhr.data.outlines import Outline, Patch, Polygons, Size, polygons, union
from dhr.errors import DataError
from dhr.words import one_line, printable

IGNORED = "Ignore*"
"""QuPath's class of regions that do not count; in masks it is void."""

_AREAS = ("Polygon", "MultiPolygon")
_MALFORMED = "expected GeoJSON as QuPath writes it, a FeatureCollection; export it again with File, Export objects"


def read_geojson(path: Path, image: str) -> Annotation:
    """Read the annotations of the photograph ``image``: a ``FeatureCollection``, a list of features, or one feature.

    The name of an annotation's class is its label. Raises DataError if the file cannot be read or is something else.
    """
    value = read_json(path)
    collection = isinstance(value, dict) and value.get("type") == "FeatureCollection"
    features = value.get("features") if collection else value if isinstance(value, list) else [value]
    if not isinstance(features, list) or not all(map(_is_feature, features)):
        raise DataError(f"{path}: {_MALFORMED}")
    things, unread = list[Thing](), list[str]()
    for number, feature in enumerate(features, start=1):
        label = _label(feature)
        if label is None:
            unread.append(f"annotation {number} has no class, so it")
        else:
            things.append(_thing(feature["geometry"], label))
    return Annotation(image, path, f"({len(features)} annotations)", tuple(things), unread[0] if unread else None)


def _is_feature(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "Feature" and isinstance(value.get("geometry"), dict)


def _label(feature: dict[str, Any]) -> str | None:
    """Return the name of an annotation's class; QuPath joins the parts of derived classes with a colon."""
    properties = feature.get("properties")
    given = properties.get("classification") if isinstance(properties, dict) else None
    if not isinstance(given, dict):
        return None
    name, names = given.get("name"), given.get("names")
    if name is None and isinstance(names, list) and all(isinstance(one, str) for one in names):
        name = ": ".join(names)
    return name.strip() or None if isinstance(name, str) else None


def _thing(geometry: dict[str, Any], label: str) -> Thing:
    kind = geometry.get("type")
    if kind not in _AREAS:
        what = f"a {printable(str(kind))[:40]}"
        return Thing(label, what, missing="shows where it is, not its outline", region=True)
    try:
        outline, missing = rings(geometry), None
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        outline, missing = None, f"is damaged ({one_line(error, 200)})"
    return Thing(label, "an annotation", outline, missing, region=True)


def rings(geometry: dict[str, Any]) -> Outline:
    """Make the outline of a ``Polygon`` or ``MultiPolygon``; raises ValueError or KeyError if it is damaged."""
    parts = geometry["coordinates"]
    return Rings(tuple(tuple(_rings(part)) for part in (parts if geometry["type"] == "MultiPolygon" else [parts])))


def _rings(part: Any) -> Iterator[Polygons]:
    if not isinstance(part, list) or not part:
        raise ValueError("expected a polygon, a list of rings")
    for ring in part:
        if not isinstance(ring, list) or not all(isinstance(point, list) and len(point) >= 2 for point in ring):
            raise ValueError("expected a ring of points [x, y]")
        ends = slice(None, -1) if len(ring) > 1 and ring[0] == ring[-1] else slice(None)
        yield polygons([[number for point in ring[ends] for number in point[:2]]])


@dataclass(frozen=True)
class Rings:
    """Polygons with holes: of each its outer ring, then the rings of its holes. Pixel centres are at .5."""

    polygons: tuple[tuple[Polygons, ...], ...]

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint all polygons without their holes; see :meth:`~dhr.data.outlines.Outline.patch`."""
        height, width = drawn
        points = np.concatenate([ring.corners[0].reshape(-1, 2) for one in self.polygons for ring in one])
        over = np.max([-points.min(axis=0), points.max(axis=0) - [width, height]])
        if over > 2 + max(drawn) / 100:  # tools let a brush reach a little over the edge
            raise ValueError(f"it reaches {over:.0f} pixels over the edge of {width}x{height} pixels")
        return union([_without_holes([ring.patch(drawn, canvas) for ring in one]) for one in self.polygons])


def _without_holes(patches: list[Patch]) -> Patch:
    outer, *holes = patches
    mask = outer.mask.copy()
    for hole in holes:
        top, left = max(outer.top, hole.top), max(outer.left, hole.left)
        bottom = min(outer.top + mask.shape[0], hole.top + hole.mask.shape[0])
        right = min(outer.left + mask.shape[1], hole.left + hole.mask.shape[1])
        if top < bottom and left < right:
            inside = hole.mask[top - hole.top : bottom - hole.top, left - hole.left : right - hole.left]
            mask[top - outer.top : bottom - outer.top, left - outer.left : right - outer.left] &= ~inside
    return Patch(outer.top, outer.left, mask)
