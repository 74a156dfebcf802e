"""CVAT's XML for images 1.1, with masks, and the labels of a task that takes them."""

from pathlib import Path
from typing import IO
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from dhr.export.config import ExportConfig
from dhr.export.masks import Item, Masks
from dhr.export.new_output import new_folder
from dhr.export.parts import parts, runs
from dhr.export.xml_text import check_names, holds
from dhr.files import write_atomic, write_json


def write_cvat(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write ``annotations.xml``, to be uploaded to a task with the photographs; ``labels.json``, for a new task;
    ``classes.txt``.

    A mask is of a class, or of a connected part of it with ``config.instances``: run lengths row by row within its box.
    """
    check_names(masks.classes)
    names = [masks.classes.names[label] for label in masks.classes.foreground]
    colours = ["#" + masks.palette[label].tobytes().hex() for label in masks.classes.foreground]

    def write(file: IO[bytes]) -> None:
        writer = _Writer(file)
        writer.start("annotations")
        writer.text("version", "1.1")
        writer.start("meta")
        writer.start("task")
        writer.start("labels")
        for name, colour in zip(names, colours, strict=True):
            writer.start("label")
            for tag, value in (("name", name), ("color", colour), ("type", "mask")):
                writer.text(tag, value)
            writer.end("label")
        for tag in ("labels", "task", "meta"):
            writer.end(tag)
        for item in masks:
            if holds(item.file):
                _image(writer, item, masks, config)
            else:
                masks.refuse(item, "XML cannot hold its name; rename the photograph")
        writer.end("annotations")

    with new_folder(out) as folder:
        write_atomic(folder / "annotations.xml", write)
        masks.write_class_names(folder)
        write_json(
            folder / "labels.json",
            [
                {"name": name, "color": colour, "type": "mask", "attributes": []}
                for name, colour in zip(names, colours, strict=True)
            ],
        )
    return out


def _image(writer: "_Writer", item: Item, masks: Masks, config: ExportConfig) -> None:
    writer.start(
        "image", {"id": str(item.number - 1), "name": item.file, "width": str(item.width), "height": str(item.height)}
    )
    for part in parts(item.labels, masks.classes, config.instances, config.min_area):
        height, width = part.mask.shape
        writer.start(
            "mask",
            {
                "label": masks.classes.names[part.label],
                "source": "auto",
                "occluded": "0",
                "rle": ", ".join(map(str, runs(part.mask))),
                "left": str(part.left),
                "top": str(part.top),
                "width": str(width),
                "height": str(height),
                "z_order": "0",
            },
        )
        writer.end("mask")
    writer.end("image")


class _Writer:
    """Writes XML, one element per line; the library escapes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._xml = XMLGenerator(file, "utf-8")
        self._xml.startDocument()

    def start(self, tag: str, attributes: dict[str, str] | None = None) -> None:
        self._xml.startElement(tag, AttributesImpl(attributes or {}))
        self._xml.ignorableWhitespace("\n")

    def end(self, tag: str) -> None:
        self._xml.endElement(tag)
        self._xml.ignorableWhitespace("\n")

    def text(self, tag: str, text: str) -> None:
        self._xml.startElement(tag, AttributesImpl({}))
        self._xml.characters(text)
        self.end(tag)
