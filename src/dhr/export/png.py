"""Indexed PNG in the data set's palette, as PASCAL VOC stores masks."""

from pathlib import Path

from dhr.data.images import write_mask
from dhr.export.config import ExportConfig
from dhr.export.ledger import Ledger
from dhr.export.masks import Item, Masks


def write_png(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write ``OUT/NAME.png``: class ids, 255 for void, colours of the palette; ``OUT/classes.txt``: their names.

    Nothing is lost. An interrupted export continues.
    """
    identity = {"format": "png", "classes": list(masks.classes.names), "palette": masks.palette.tobytes().hex()}
    with Ledger(out, identity, split or "") as ledger:

        def write(item: Item) -> list[str]:
            write_mask(ledger.path(f"{item.name}.png"), item.labels, masks.palette)
            return [f"{item.name}.png"]

        masks.write_class_names(out)
        ledger.fill(masks, write)
    return out
