"""Ultralytics' format of polygons, for segmentation."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dhr.data.class_record import RECORD, class_record
from dhr.data.samples import ClassTable
from dhr.export.config import ExportConfig
from dhr.export.images import place
from dhr.export.ledger import Ledger
from dhr.export.libraries import library
from dhr.export.masks import Item, Masks
from dhr.export.parts import parts
from dhr.export.polygons import polygons
from dhr.files import write_bytes


def write_yolo(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write ``labels/SPLIT/NAME.txt``, ``images/SPLIT/NAME.jpg``, ``SPLIT.txt``, and ``data.yaml`` of all splits.

    A line of a label file is the polygon of one connected part: the class (from 0, without background), then x and y
    of its corners as shares of width and height. Without a split the name is ``train``. Other splits may be exported
    to the same folder later. An interrupted export continues.
    """
    library("cv2")
    split, how = split or "train", config.images or "link"
    identity = {
        **{"format": "yolo", "classes": list(masks.classes.names), "holes": config.holes},
        **{"min_area": config.min_area, "images": how},
    }
    with Ledger(out, identity, split) as ledger:

        def write(item: Item) -> list[str]:
            image = f"images/{split}/{item.file}"
            # Ultralytics replaces the last folder `images` of the path to find labels.
            label = "/labels/".join(f"/{image}".rsplit("/images/", 1))[1:].removesuffix(Path(item.file).suffix) + ".txt"
            files = [label]
            if how != "none":
                place(item.photograph, ledger.path(image), how)
                files.append(image)
            text = lines(item, masks.classes, config.holes == "keep", config.min_area)
            write_bytes(ledger.path(label), text.encode())
            return files

        ledger.fill(masks, write)
        splits = ledger.splits
        for name, photographs in splits.items() if how != "none" else ():
            listed = [file for files in photographs.values() for file in files if not file.endswith(".txt")]
            write_bytes(ledger.path(f"{name}.txt"), "".join(f"./{image}\n" for image in listed).encode())
        places = {name: f"images/{name}" if how == "none" else f"{name}.txt" for name in splits}
        write_bytes(ledger.path("data.yaml"), _description(masks.classes, places))
    return out / "data.yaml"


def lines(item: Item, classes: ClassTable, holes: bool, min_area: int = 1) -> str:
    """Return the text of a label file: one polygon per line."""
    text = []
    for part in parts(item.labels, classes, instances=False):
        for corners in polygons(part.mask, holes, min_area):
            # Centres of pixels, which are exact when they are cut to integers.
            shares = (corners + np.array([part.left, part.top]) + 0.5) / (item.width, item.height)
            numbers = " ".join([f"{value:.6f}" for value in shares.ravel().tolist()])
            text.append(f"{part.label - classes.foreground.start} {numbers}\n")
    return "".join(text)


def _description(classes: ClassTable, places: dict[str, str]) -> bytes:
    """Return ``data.yaml``: the photographs of each split, the classes, and the class record."""
    names = {place: classes.names[label] for place, label in enumerate(classes.foreground)}
    value: dict[str, Any] = dict(places)
    value.setdefault("train", next(iter(places.values())))  # Ultralytics requires both
    value.setdefault("val", value["train"])
    value |= {"names": names, RECORD: class_record(classes)}
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=1 << 20).encode()
