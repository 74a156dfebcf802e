"""Check which photograph a mask was made of, by its record."""

from dhr.data.samples import DataSet, Sample
from dhr.errors import ItemError
from dhr.records.item import ItemRecord


def mismatch(item: ItemRecord | None, data: DataSet, sample: Sample) -> str | None:
    """Explain why a mask does not belong to ``sample``: its record has another digest than the photograph now.

    None if both are equal, or if there is no such record.
    """
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
