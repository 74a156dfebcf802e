"""Label Studio's predictions, as brush strokes, and the configuration of a project that takes them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import ClassTable
from dhr.export.config import ExportConfig
from dhr.export.libraries import library
from dhr.export.masks import Item, Masks
from dhr.export.new_output import new_folder
from dhr.export.parts import parts
from dhr.export.xml_text import check_names
from dhr.files import write_atomic, write_bytes

MOST = 50_000_000
"""Bytes of a file of tasks, about: Label Studio takes no more than 250 MB at once."""


def write_labelstudio(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write ``config.xml`` for the labelling interface, ``tasks-001.json`` and so on to import, and ``classes.txt``.

    A task is a photograph (``config.image_prefix`` and its path) with one prediction, whose regions are the classes, or
    their connected parts with ``config.instances``, in the run lengths of ``label_studio_sdk``.
    """
    check_names(masks.classes)
    library("label_studio_sdk.converter.brush")
    with new_folder(out) as folder:
        tasks = (_text(task(item, masks.classes, config)) for item in masks)
        waiting = next(tasks, None)
        number = 0
        while waiting is not None:
            number += 1

            def write(file: IO[bytes]) -> None:
                nonlocal waiting
                file.write(b"[")
                comma = b"\n"
                while waiting is not None and (file.tell() < 2 or file.tell() + len(waiting) < MOST):
                    file.write(comma + waiting)
                    comma, waiting = b",\n", next(tasks, None)
                file.write(b"\n]\n")

            write_atomic(folder / f"tasks-{number:03}.json", write)
        write_bytes(folder / "config.xml", interface(masks.classes, masks.palette))
        masks.write_class_names(folder)
    return out


def interface(classes: ClassTable, palette: UInt8[np.ndarray, "256 3"]) -> bytes:
    """Return the labelling interface: brushes in the colours of the palette."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true")
    brushes = ElementTree.SubElement(view, "BrushLabels", name="label", toName="image")
    for label in classes.foreground:
        colour = "#" + palette[label].tobytes().hex()
        ElementTree.SubElement(brushes, "Label", value=classes.names[label], background=colour)
    ElementTree.indent(view)
    text: str = ElementTree.tostring(view, encoding="unicode")
    return text.encode() + b"\n"


def task(item: Item, classes: ClassTable, config: ExportConfig) -> dict[str, Any]:
    """Return a photograph and its mask as a task."""
    return {
        "data": {"image": config.image_prefix + quote(item.file)},
        "predictions": [{"model_version": "dhr", "result": list(_regions(item, classes, config))}],
    }


def _regions(item: Item, classes: ClassTable, config: ExportConfig) -> Iterator[dict[str, Any]]:
    brush = library("label_studio_sdk.converter.brush")
    for number, part in enumerate(parts(item.labels, classes, config.instances, config.min_area)):
        yield {
            "id": f"{item.number}-{number}",
            "type": "brushlabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": item.width,
            "original_height": item.height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": brush.mask2rle(part.whole(item.height, item.width) * np.uint8(255)),
                "brushlabels": [classes.names[part.label]],
            },
        }


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
