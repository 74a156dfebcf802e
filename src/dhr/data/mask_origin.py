"""Check which photograph a mask was made of, by the records of ``dhr run`` and ``dhr predict`` beside their masks."""

from dataclasses import dataclass
from pathlib import Path

from dhr.data.samples import DataSet, Sample
from dhr.errors import ItemError
from dhr.records.item import read_item
from dhr.shards import find

ITEMS = "items"
"""Folder of the records, one per photograph, in an output folder."""


@dataclass(frozen=True)
class Origins:
    """The records that belong to a folder of masks."""

    items: Path
    """Their folder, which need not exist."""

    @classmethod
    def beside(cls, masks: Path) -> "Origins":
        """Find those of ``OUT/masks``, ``OUT/training_masks`` or ``OUT/stages/STAGE``; other folders have none."""
        folder = masks.resolve().parent
        return cls((folder.parent if folder.name == "stages" else folder) / ITEMS)

    def mismatch(self, data: DataSet, sample: Sample) -> str | None:
        """Explain why a mask does not belong to ``sample``: the record has another digest than the photograph now.

        None if both are equal, or if there is no such record.
        """
        item = read_item(find(self.items, sample.name, ".json"))
        if item is None or not item.digest:
            return None
        try:
            now = data.digest(sample)
        except ItemError:  # it cannot be compared; readers of its pixels report that
            return None
        if item.digest == now:
            return None
        return (
            "its mask was made of another photograph of this name; make it again, or, if the mask fits all the same, "
            "copy the masks to a folder of their own"
        )
