"""Folders with one JSON file per photograph; each file shows its own format."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from dhr.data.json_text import read_json
from dhr.data.listing import list_files
from dhr.data.objects.ferret import read_ferret
from dhr.data.objects.grounded_sam import read_grounded_sam
from dhr.data.objects.labelme import read_labelme
from dhr.data.objects.places import Places
from dhr.data.objects.record import Found, Objects
from dhr.data.objects.supervision import read_supervision
from dhr.errors import DataError, ItemError

_JSON = frozenset({".json"})
_MOST = 500_000_000  # bytes of a file
_OTHERS = frozenset({"config.json"})  # of autodistill

READERS: Mapping[str, Callable[[Any], list[Found] | None]] = {
    "LabelMe, X-AnyLabeling": read_labelme,
    "Grounded-SAM": read_grounded_sam,
    "supervision": read_supervision,
    "Ferret": read_ferret,
}
"""Formats of files; each returns None for a value of another format, and raises ValueError for a damaged one."""


class SingleFiles:
    """A folder with NAME.json for each photograph."""

    def __init__(self, root: Path) -> None:
        self._places: Places[str] = Places(root)
        for file in list_files(root, _JSON).files:
            if file not in _OTHERS:
                self._places.add(file, file, _JSON)

    def strays(self, known: Collection[str]) -> list[str]:
        """See :class:`~dhr.data.objects.record.ObjectFolder`."""
        return self._places.strays(known)

    def read(self, name: str) -> Objects:
        """See :class:`~dhr.data.objects.record.ObjectFolder`."""
        path = self._places.root / self._places.find(name)
        try:
            value = read_json(path, _MOST)
            if value in ([], {}):
                return Objects(str(path), ())
            for read in READERS.values():
                found = read(value)
                if found is not None:
                    return Objects(str(path), tuple(found))
        except DataError as error:
            raise ItemError(str(error)) from error
        except ValueError as error:
            raise ItemError(f"{path}: {error}; correct it") from error
        raise ItemError(f"{path}: expected JSON of {', '.join(READERS)}; got something else (docs/models.md)")


def is_single(root: Path) -> bool:
    """Tell whether a folder holds JSON files of photographs; a few beside many PNG files describe masks."""
    found = [file for file in list_files(root, _JSON).files if file not in _OTHERS]
    return bool(found) and 2 * len(found) >= len(list_files(root, frozenset({".png"})).files)
