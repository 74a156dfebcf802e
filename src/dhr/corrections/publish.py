"""Put corrections in the place of the machine's masks, so that training, export and other programs use them.

The machine's mask and its record are kept in ``corrections/machine`` while a person's mask may be in their place. The
mask is copied last and removed first: where it is, the record is as well. Callers hold the locks of the corrections and
of the run.
"""

from dhr.corrections.places import ITEMS, JSON, MACHINE, MASKS, PNG, Places
from dhr.errors import OutputError
from dhr.parsing import MAX_RECORD, Fields, load_json
from dhr.records.correction import Correction
from dhr.records.item import read_item
from dhr.results.opened import rows_of_run

_FAR = 1 << 20
"""Revisions that are left out if that of a damaged record is unknown."""


def publish(places: Places, name: str, record: Correction, before: Correction | None) -> None:
    """Put the mask of a correction in the place of the machine's, or of that ``before``; skipped ones do nothing."""
    if record.state == "skipped":
        take_back(places, name, record)
    elif record.mask:
        keep_machine(places, name)
        _spare(places, name, record, before)
        places.copy(MASKS, "masks", name)


def keep_machine(places: Places, name: str) -> None:
    """Copy the machine's mask and its record, unless that is done, or a person has replaced the mask already."""
    if places.has(MACHINE, name):
        return
    item = read_item(places.path("items", name, JSON))
    if item is not None and (item.person or (item.mask and item.mask != places.digest("masks", name))):
        return
    places.copy("items", MACHINE, name, JSON)
    places.copy("masks", MACHINE, name)


def machine_digest(places: Places, name: str, before: Correction | None) -> str:
    """Return the SHA-256 of the machine's mask, in hex; empty if it is unknown."""
    rows = rows_of_run(places.root)
    if rows is not None:
        return rows.digest(name) if rows.has(name) else ""
    if places.has(MACHINE, name):
        return places.digest(MACHINE, name)
    if before is not None:
        return before.machine
    item = read_item(places.path("items", name, JSON))
    return item.mask if item is not None and item.mask else places.digest("masks", name)


def restore_machine(places: Places, name: str) -> bool:
    """Put the machine's mask and its record back, and remove their copies; return whether they were kept."""
    if not places.has(MACHINE, name):
        return False
    places.copy(MACHINE, "masks", name)
    places.copy(MACHINE, "items", name, JSON)
    forget_machine(places, name)
    return True


def take_back(places: Places, name: str, record: Correction) -> None:
    """Take the mask of a correction out of ``masks/``, for the machine's.

    If the machine's mask was lost, because another program has overwritten it, the next run makes it again.
    """
    if places.has(MACHINE, name):
        _spare(places, name, record)
    restored = restore_machine(places, name)
    if not restored and record.mask and record.mask != record.machine and places.digest("masks", name) == record.mask:
        places.remove("masks", name)
        places.remove("items", name, JSON)


def guessed(places: Places, name: str, withdrawn: int) -> Correction:
    """Return what a damaged record held, as far as this is needed to withdraw it.

    Args:
        places: the files.
        name: the photograph.
        withdrawn: the highest revision that was withdrawn.
    """
    try:
        value = load_json(places.path(ITEMS, name, JSON), MAX_RECORD)
        revision = Fields(value).whole("revision", 0, 1 << 40)
    except (OSError, ValueError, OutputError):
        revision = withdrawn + _FAR
    item = read_item(places.path("items", name, JSON))
    machine = "" if item is None or item.person is not None else item.mask
    return Correction("mended", "0" * 64, mask=places.digest(MASKS, name), machine=machine, revision=revision)


def _spare(places: Places, name: str, *records: Correction | None) -> None:
    """Move a mask to ``gone/`` that another program has written since the last job or decision."""
    item = read_item(places.path("items", name, JSON))
    ours = {"", places.digest(MACHINE, name), *(() if item is None else (item.mask,))}
    ours |= {digest for one in records if one is not None for digest in (one.mask, one.machine)}
    if places.digest("masks", name) not in ours:
        places.put_aside("masks", name)


def forget_machine(places: Places, name: str) -> None:
    """Remove the copies of the machine's mask and its record."""
    for suffix in (PNG, JSON):
        places.remove(MACHINE, name, suffix)
