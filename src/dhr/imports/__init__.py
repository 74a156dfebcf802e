"""Masks that people mended in other programs: ``dhr import``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from dhr.imports.annotations import read_cvat_masks, read_geojson_masks, read_label_studio_masks
from dhr.imports.coco import read_coco_masks
from dhr.imports.drawing import Drawing, Drawings
from dhr.imports.label_images import read_mask_images
from dhr.imports.take import Taken, Taker, size_of
from dhr.imports.target import FREE, Target
from dhr.progress import Progress


class Source(NamedTuple):
    """A format that is imported."""

    read: Callable[[Path, Target, Progress], Drawings]
    """Reads the masks of a file or folder."""
    help: str
    """What to give, for the help of ``dhr import``."""


SOURCES: Mapping[str, Source] = {
    "cvat": Source(read_cvat_masks, "annotations.xml of CVAT for images 1.1, or its folder"),
    "labelstudio": Source(read_label_studio_masks, "Label Studio's export in JSON, or its folder"),
    "coco": Source(read_coco_masks, "a JSON file of COCO's format"),
    "png": Source(read_mask_images, "a folder of masks in PNG or TIFF, with classes.txt"),
    "geojson": Source(read_geojson_masks, "QuPath's GeoJSON, a file or a folder, each called as its photograph"),
}
"""Formats by name. A new one is a function and a line here."""

__all__ = ["FREE", "SOURCES", "Drawing", "Drawings", "Source", "Taken", "Taker", "Target", "size_of"]
