"""Indexed PNG in the data set's palette, as PASCAL VOC stores masks."""

from pathlib import Path

from dhr.data.images import write_mask
from dhr.errors import PlaceError
from dhr.export.config import ExportConfig
from dhr.export.ledger import Ledger
from dhr.export.masks import Masks
from dhr.files import write_bytes


def write_png(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """``OUT/NAME.png``: class ids, 255 for void, colours of the palette; ``OUT/classes.txt``: their names.

    Everything is held; nothing is lost. Goes on where it was interrupted.
    """
    identity = {"format": "png", "classes": list(masks.classes.names), "palette": masks.palette.tobytes().hex()}
    elsewhere: set[str] = set()
    with Ledger(out, identity, split or "") as ledger:
        write_bytes(ledger.path("classes.txt"), "".join(f"{name}\n" for name in masks.classes.names).encode())
        for item in masks.items(ledger.finished):
            try:
                write_mask(ledger.path(f"{item.name}.png"), item.labels, masks.palette)
            except PlaceError as error:
                masks.refuse(item, str(error))
                elsewhere.add(item.name)  # something else has its name, and is not deleted
                continue
            ledger.add(item.name, item.digest, [f"{item.name}.png"])
        masks.problems += ledger.keep_only(masks.read_names | elsewhere)
    return out
