"""Label images in TIFF, as napari, QuPath and Fiji open them."""

from pathlib import Path

from dhr.export.config import ExportConfig
from dhr.export.grey import grey_tiff, numbers, with_nothing
from dhr.export.ledger import Ledger
from dhr.export.masks import Item, Masks
from dhr.files import write_bytes


def write_labels(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write ``OUT/NAME.tif``, 8-bit greyscale, and ``OUT/classes.txt``, the names of its numbers.

    Void is 255. These programs show 0 as empty. So a data set without a background counts its classes from 1.
    An interrupted export continues.
    """
    table = with_nothing(masks.classes)
    identity = {"format": "labels", "classes": list(table.names)}
    with Ledger(out, identity, split or "") as ledger:

        def write(item: Item) -> list[str]:
            write_bytes(ledger.path(f"{item.name}.tif"), grey_tiff(numbers(item.labels, masks.classes)))
            return [f"{item.name}.tif"]

        masks.write_class_names(out, table)
        ledger.fill(masks, write)
    return out
