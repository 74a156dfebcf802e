"""COCO's JSON of instances; masks are compressed run lengths, which keep holes."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Bool

from dhr.data.class_record import RECORD, class_record
from dhr.data.coco_content import VOID_KEY
from dhr.data.samples import VOID, ClassTable
from dhr.export.config import ExportConfig
from dhr.export.libraries import library
from dhr.export.masks import Item, Masks
from dhr.export.new_output import write_file
from dhr.export.parts import parts

Coding = Callable[[Bool[np.ndarray, "h w"]], dict[str, Any]]
"""Makes ``segmentation`` of a mask."""


def write_coco(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write one file, with compressed run lengths; see :func:`write_instances`."""
    library("pycocotools.mask")
    return write_instances(masks, out, config, _run_lengths)


def write_instances(
    masks: Masks, out: Path, config: ExportConfig, code: Coding, crowd: int = 0, made: str = "made by dhr"
) -> Path:
    """Write one file, photograph by photograph.

    The id of an image is its place in the data set. There is one annotation per class and photograph (with
    ``config.instances``, per connected part). Ids of categories begin with 1: class id with a background, class id + 1
    without. Background and void have no annotation. Two more keys, which other programs ignore, tell how to read them
    again: whether there is a background, and where void is.

    Args:
        masks: the masks.
        out: the file.
        config: settings.
        code: makes the run lengths.
        crowd: ``iscrowd`` of all annotations.
        made: the description, by which an earlier export is recognised.
    """
    head = {
        "info": {"description": made},
        RECORD: class_record(masks.classes),
        "licenses": [],
        "categories": categories(masks.classes),
    }

    def write(file: IO[bytes]) -> None:
        images, void = list[bytes](), list[bytes]()  # texts take a third of the memory of their values
        file.write(_text(head)[:-1] + b',\n"annotations": [')
        number, comma = 0, b"\n"
        for item in masks:
            image = {"id": item.number, "file_name": item.file, "width": item.width, "height": item.height}
            images.append(_text(image))
            for annotation in annotations(item, masks.classes, config, code):
                number += 1
                file.write(comma + _text({"id": number, "image_id": item.number, **annotation, "iscrowd": crowd}))
                comma = b",\n"
            if masks.classes.background and (item.labels == VOID).any():
                void.append(_text({"image_id": item.number, "segmentation": code(item.labels == VOID)}))
        for key, entries in (("images", images), (VOID_KEY, void)):
            file.write(f'\n],\n"{key}": [\n'.encode())
            file.writelines(entry if number == 0 else b",\n" + entry for number, entry in enumerate(entries))
        file.write(b"\n]}\n")

    write_file(out, _text({"info": head["info"]})[:-1], write)
    return out


def categories(classes: ClassTable) -> list[dict[str, Any]]:
    """Return COCO's table of the classes without the background; ``supercategory`` may be empty.

    >>> categories(ClassTable(("background", "cat"), background=True))
    [{'id': 1, 'name': 'cat', 'supercategory': ''}]
    """
    supers = classes.supers or ("",) * len(classes.names)
    return [
        {"id": category(label, classes), "name": classes.names[label], "supercategory": supers[label]}
        for label in classes.foreground
    ]


def category(label: int, classes: ClassTable) -> int:
    """Return COCO's id of a class: many tools use 0 for the background, so ids begin with 1."""
    return label + (not classes.background)


def annotations(item: Item, classes: ClassTable, config: ExportConfig, code: Coding) -> Iterator[dict[str, Any]]:
    """Yield the annotation of each part of a mask."""
    for part in parts(item.labels, classes, config.instances, config.min_area):
        height, width = part.mask.shape
        yield {
            "category_id": category(part.label, classes),
            "segmentation": code(part.whole(item.height, item.width)),
            "area": int(part.mask.sum()),
            "bbox": [part.left, part.top, width, height],
        }


def _run_lengths(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    coded = library("pycocotools.mask").encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": coded["size"], "counts": coded["counts"].decode("ascii")}


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
