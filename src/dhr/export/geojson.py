"""GeoJSON as QuPath imports it: outlines along the edges of pixels, in pixels of the photograph."""

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from dhr.data.geojson import IGNORED
from dhr.data.samples import VOID, ClassTable
from dhr.export.config import ExportConfig
from dhr.export.ledger import Ledger
from dhr.export.libraries import library
from dhr.export.masks import Item, Masks
from dhr.export.parts import Part, parts
from dhr.files import write_bytes

_IDS = uuid.UUID("6c1d4f0e-55b6-5a39-9a3e-0d9b6f3e7c21")  # QuPath wants a UUID for each object


def write_geojson(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write ``OUT/NAME.geojson``, and ``OUT/classes.txt``.

    A file is a ``FeatureCollection`` of annotations, one per class, or per connected part with ``config.instances``.
    Void is an annotation of QuPath's class ``Ignore*``. An interrupted export continues.
    """
    library("shapely")
    identity = {
        **{"format": "geojson", "classes": list(masks.classes.names), "palette": masks.palette.tobytes().hex()},
        **{"instances": config.instances, "min_area": config.min_area},
    }
    with Ledger(out, identity, split or "") as ledger:

        def write(item: Item) -> list[str]:
            features = [_feature(item, number, part, masks) for number, part in enumerate(_parts(item, masks, config))]
            text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)
            write_bytes(ledger.path(f"{item.name}.geojson"), text.encode() + b"\n")
            return [f"{item.name}.geojson"]

        masks.write_class_names(out)
        ledger.fill(masks, write)
    return out


def _parts(item: Item, masks: Masks, config: ExportConfig) -> list[Part]:
    found = [*parts(item.labels, masks.classes, config.instances, config.min_area)]
    void = item.labels == VOID
    if void.any():
        one = next(parts(void.astype(np.uint8), ClassTable(("rest", IGNORED), True), False))
        found.append(Part(VOID, one.top, one.left, one.mask))
    return found


def _feature(item: Item, number: int, part: Part, masks: Masks) -> dict[str, Any]:
    name = IGNORED if part.label == VOID else masks.classes.names[part.label]
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_IDS, f"{item.name} {number} {name}")),
        "geometry": outline(part.mask, part.top, part.left),
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": masks.palette[part.label].tolist()},
        },
    }


def outline(mask: Bool[np.ndarray, "h w"], top: int = 0, left: int = 0) -> dict[str, Any]:
    """Return a ``Polygon`` or ``MultiPolygon`` around the pixels of a mask, moved by ``top`` and ``left``.

    The pixel in row 0 and column 0 covers 0..1 in both directions.

    >>> (ring,) = outline(np.array([[True, True]]))["coordinates"]  # closed; it may begin at any corner
    >>> sorted(ring[1:])
    [[0, 0], [0, 1], [2, 0], [2, 1]]
    """
    shapely = library("shapely")
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    boxes = shapely.box(starts + left, rows + top, ends + left, rows + top + 1)
    whole = shapely.simplify(shapely.union_all(boxes), 0)
    polygons = [
        [_corners(shapely, ring) for ring in (shapely.get_exterior_ring(one), *one.interiors)]
        for one in shapely.get_parts(whole)
    ]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _corners(shapely: Any, ring: Any) -> list[list[int]]:
    found: list[list[int]] = shapely.get_coordinates(ring).astype(int).tolist()
    return found
