"""FiftyOne's ``ImageSegmentationDirectory``: photographs and greyscale masks of the same names."""

from pathlib import Path

from dhr.data.samples import VOID
from dhr.export.config import ExportConfig
from dhr.export.grey import grey_png, numbers, with_nothing
from dhr.export.images import place
from dhr.export.ledger import Ledger
from dhr.export.masks import Item, Masks
from dhr.files import write_bytes, write_json


def write_fiftyone(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write ``labels/NAME.png``, ``data/NAME.jpg``, ``mask_targets.json`` with the name of each number, and
    ``classes.txt``.

    FiftyOne shows 0 as empty. So a data set without a background counts its classes from 1. It reads masks with OpenCV,
    so they are greyscale. An interrupted export continues.
    """
    table, how = with_nothing(masks.classes), config.images or "link"
    identity = {"format": "fiftyone", "classes": list(table.names), "images": how}
    with Ledger(out, identity, split or "") as ledger:

        def write(item: Item) -> list[str]:
            files = [f"labels/{item.name}.png"]
            if how != "none":
                place(item.photograph, ledger.path(f"data/{item.file}"), how)
                files.append(f"data/{item.file}")
            write_bytes(ledger.path(files[0]), grey_png(numbers(item.labels, masks.classes)))
            return files

        masks.write_class_names(out, table)
        ledger.fill(masks, write)
        targets = {str(number): name for number, name in enumerate(table.names)} | {str(VOID): "void"}
        write_json(ledger.path("mask_targets.json"), targets)
    return out
