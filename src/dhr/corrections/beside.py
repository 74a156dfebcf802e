"""The corrections that belong to a folder of masks."""

from collections.abc import Collection
from pathlib import Path

from dhr.corrections.places import JSON, MASKS, ROOT
from dhr.corrections.store import Corrections
from dhr.data.mask_origin import Origins
from dhr.errors import OutputError
from dhr.records.correction import Correction
from dhr.records.item import read_item


def corrections_beside(masks: Path) -> Corrections | None:
    """Return the corrections of the run that a folder of masks belongs to; None if it has none."""
    out = Origins.beside(masks).items.parent
    return Corrections.of(out) if (out / "run.json").is_file() and (out / ROOT).is_dir() else None


def made_by_people(masks: Path, names: Collection[str]) -> dict[str, Correction]:
    """Return the corrections whose masks are in the folder ``OUT/masks``, by the name of the photograph.

    Damaged corrections are left out: whether their masks are there cannot be known.

    Args:
        masks: the folder.
        names: the photographs that are asked for.
    """
    store, found = corrections_beside(masks), dict[str, Correction]()
    if store is None or masks.resolve().name != "masks":
        return {}
    for name in sorted({*names} & {*store.names()}):
        try:
            correction = store.read(name)
            if correction is not None and correction.certain and _is_there(store, name):
                found[name] = correction
        except OutputError:
            continue
    return found


def _is_there(store: Corrections, name: str) -> bool:
    """Return whether the mask of a correction is among the masks: after a run by the record, before it by content."""
    places = store.places
    item = read_item(places.path("items", name, JSON))
    return (item is not None and item.person is not None) or places.digest("masks", name) == places.digest(MASKS, name)
