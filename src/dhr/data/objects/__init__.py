"""Boxes, polygons and masks of objects that other programs found, in the formats that they write.

A format is one file with a class that keeps :class:`~dhr.data.objects.record.ObjectFolder`, and one line here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dhr.data.objects.coco import CocoFolder, is_coco
from dhr.data.objects.ferret import FerretLines, is_ferret
from dhr.data.objects.pascal_voc import VocFiles, is_voc
from dhr.data.objects.record import ObjectFolder
from dhr.data.objects.single import SingleFiles, is_single
from dhr.data.objects.yolo import YoloFolder, is_yolo

__all__ = ["FORMATS", "ObjectFormat", "find_format"]


@dataclass(frozen=True)
class ObjectFormat:
    """A format: how its folders are recognised, and read."""

    recognise: Callable[[Path], bool]
    read: Callable[[Path], ObjectFolder]


FORMATS: Mapping[str, ObjectFormat] = {
    "COCO": ObjectFormat(is_coco, CocoFolder),
    "YOLO": ObjectFormat(is_yolo, YoloFolder),
    "Ferret": ObjectFormat(is_ferret, FerretLines),
    "JSON": ObjectFormat(is_single, SingleFiles),
    "Pascal VOC": ObjectFormat(is_voc, VocFiles),
}
"""All formats, by name; the first that recognises a folder reads it."""


def find_format(root: Path) -> ObjectFormat | None:
    """Return the format of a folder by its content; None if it holds no objects."""
    return next((one for one in FORMATS.values() if one.recognise(root)), None)
