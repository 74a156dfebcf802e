"""Open a folder of masks, and the corrections that belong to it."""

from collections.abc import Collection
from pathlib import Path

from dhr.corrections.above_rows import CorrectedRows
from dhr.corrections.places import MASKS, ROOT
from dhr.corrections.store import Corrections
from dhr.errors import ItemError, OutputError
from dhr.records.correction import Correction
from dhr.results.files import FileMasks, FileRecords
from dhr.results.opened import rows_at
from dhr.results.places import ROWS, is_rows
from dhr.results.protocol import Masks


def masks_at(folder: Path) -> Masks:
    """Open a folder of masks, which need not exist: files, or rows, above which the corrections of their run stand.

    Raises:
        ConfigError: it holds Parquet files, and pyarrow is not installed.
        DataError: it holds Parquet files, and none of them can be used.
    """
    if not is_rows(folder):
        return FileMasks(folder)
    return CorrectedRows(rows_at(folder), Corrections.of(folder.resolve().parent))


def corrections_beside(masks: Path) -> Corrections | None:
    """Return the corrections of the run that a folder of masks belongs to; None if it has none."""
    out = FileRecords.beside(masks).folder.parent
    return Corrections.of(out) if (out / "run.json").is_file() and (out / ROOT).is_dir() else None


def made_by_people(masks: Masks, names: Collection[str]) -> dict[str, Correction]:
    """Return the corrections whose masks are those of a run, in ``OUT/masks`` or above ``OUT/rows``, by photograph.

    Damaged corrections are left out: whether their masks are there cannot be known.

    Args:
        masks: the folder.
        names: the photographs that are asked for, in a set or mapping.
    """
    store, found = corrections_beside(masks.folder), dict[str, Correction]()
    if store is None or masks.folder.resolve().name not in ("masks", ROWS):
        return {}
    for name in sorted({name for name in store.names() if name in names}):  # of a million, few have a correction
        try:
            correction = store.read(name)
            if correction is not None and correction.certain and _is_there(store, name, masks):
                found[name] = correction
        except (ItemError, OutputError):
            continue
    return found


def _is_there(store: Corrections, name: str, masks: Masks) -> bool:
    """Return whether the mask of a correction is among the masks: after a run by the record, before it by content."""
    item = masks.records.record(name)
    return (item is not None and item.person is not None) or masks.digest(name) == store.places.digest(MASKS, name)
