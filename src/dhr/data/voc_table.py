"""The classes of PASCAL VOC, and how to tell a folder of its masks."""

from collections.abc import Sequence
from pathlib import Path

from PIL.PngImagePlugin import PngImageFile

from dhr.data.palette import palette, voc_colours
from dhr.data.samples import ClassTable
from dhr.files import open_regular

_SUPERS = {
    "person": "person",
    "animal": "bird cat cow dog horse sheep",
    "vehicle": "aeroplane bicycle boat bus car motorbike train",
    "indoor": "bottle chair diningtable pottedplant sofa tvmonitor",
}

_NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
)


def voc_classes() -> ClassTable:
    """Background and 20 classes, with the four super-classes of the challenge: person, animal, vehicle, indoor.

    >>> voc_classes().names[15], voc_classes().supers[15], voc_classes().supers[20]
    ('person', 'person', 'indoor')
    """
    upper = {name: group for group, names in _SUPERS.items() for name in names.split()}
    names = tuple(_NAMES.split())
    supers = ("background", *(upper[name] for name in names[1:]))
    return ClassTable(names, background=True, supers=supers, colours=voc_colours(len(names)))


def looks_like_voc(masks: Sequence[Path], most: int = 10) -> bool:
    """Whether the first masks that can be read are indexed PNGs in VOC's palette, with ids 0..20 and 255 only."""
    colours, seen = palette(21).tobytes(), 0
    for path in masks[:most]:
        try:
            with open_regular(path) as file, PngImageFile(file) as image:
                if image.mode != "P" or bytes(image.getpalette("RGB") or ())[: len(colours)] != colours:
                    return False
                used = [label for label, count in enumerate(image.histogram()) if count]
        except Exception:  # noqa: S112 - damaged: nearly any exception; it is named when it is read
            continue
        if not all(label <= 20 or label == 255 for label in used):
            return False
        seen += 1
    return seen > 0
