"""Ultralytics' layout of polygons, for segmentation."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dhr.data.class_record import RECORD, class_record
from dhr.data.samples import ClassTable
from dhr.errors import ItemError, PlaceError
from dhr.export.config import ExportConfig
from dhr.export.images import place
from dhr.export.ledger import Ledger
from dhr.export.libraries import library
from dhr.export.masks import Item, Masks
from dhr.export.parts import parts
from dhr.export.polygons import polygons
from dhr.files import write_bytes


def write_yolo(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """``labels/SPLIT/NAME.txt``, ``images/SPLIT/NAME.jpg``, ``SPLIT.txt``, and ``data.yaml`` of all splits so far.

    A line of a label file is a polygon of one connected part: the class (from 0, background left out), then x and y of
    its corners as shares of the width and height. The split is ``train`` where the data set is taken as a whole;
    another split may be exported to the same folder later. Goes on where it was interrupted.
    """
    library("cv2")
    split, how = split or "train", config.images or "link"
    identity = {
        **{"format": "yolo", "classes": list(masks.classes.names), "holes": config.holes},
        **{"min_area": config.min_area, "images": how},
    }
    elsewhere: set[str] = set()
    with Ledger(out, identity, split) as ledger:
        for item in masks.items(ledger.finished):
            image = f"images/{split}/{item.file}"
            # Labels are looked for where the last folder `images` of the path is replaced.
            label = "/labels/".join(f"/{image}".rsplit("/images/", 1))[1:].removesuffix(Path(item.file).suffix) + ".txt"
            files = [label]
            try:
                if how != "none":
                    place(item.photograph, ledger.path(image), how)
                    files.append(image)
                polygons_of = lines(item, masks.classes, config.holes == "keep", config.min_area)
                write_bytes(ledger.path(label), polygons_of.encode())
            except (ItemError, PlaceError) as error:
                masks.refuse(item, str(error))
                if isinstance(error, PlaceError):
                    elsewhere.add(item.name)  # something else has its name, and is not deleted
                continue
            ledger.add(item.name, item.digest, [*files])
        masks.problems += ledger.keep_only(masks.read_names | elsewhere)
        splits = ledger.splits
        for name, photographs in splits.items() if how != "none" else ():
            listed = [file for files in photographs.values() for file in files if not file.endswith(".txt")]
            write_bytes(ledger.path(f"{name}.txt"), "".join(f"./{image}\n" for image in listed).encode())
        places = {name: f"images/{name}" if how == "none" else f"{name}.txt" for name in splits}
        write_bytes(ledger.path("data.yaml"), _description(masks.classes, places))
    return out / "data.yaml"


def lines(item: Item, classes: ClassTable, holes: bool, min_area: int = 1) -> str:
    """A label file: a polygon a line."""
    text = []
    for part in parts(item.labels, classes, instances=False):
        for corners in polygons(part.mask, holes, min_area):
            # Of pixels' centres: cut to integers, they are exact.
            shares = (corners + np.array([part.left, part.top]) + 0.5) / (item.width, item.height)
            numbers = " ".join([f"{value:.6f}" for value in shares.ravel().tolist()])
            text.append(f"{part.label - classes.foreground.start} {numbers}\n")
    return "".join(text)


def _description(classes: ClassTable, places: dict[str, str]) -> bytes:
    """``data.yaml``: where the photographs of each split are, the classes, and what it takes to read them again."""
    names = {place: classes.names[label] for place, label in enumerate(classes.foreground)}
    value: dict[str, Any] = dict(places)
    value.setdefault("train", next(iter(places.values())))  # both are asked for, even to predict or to validate only
    value.setdefault("val", value["train"])
    value |= {"names": names, RECORD: class_record(classes)}
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=1 << 20).encode()
