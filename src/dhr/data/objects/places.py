"""Names of photographs in the files of other programs."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from dhr.data.images import SUFFIXES
from dhr.data.listing import key_of, name_of
from dhr.errors import ItemError
from dhr.words import printable

_FOLDERS = frozenset(
    {"images", "labels", "annotations", "jpegimages", "train", "valid", "val", "test", "data", "predict", "imgs"}
)
_KINDS = frozenset({"images", "labels", "annotations", "jpegimages"})
Entry = TypeVar("Entry")


def photograph_names(file: str, suffixes: frozenset[str] = SUFFIXES) -> list[str]:
    """Return the names that a file's path gives to a photograph, without suffix: whole, and without usual folders.

    Of a path that leads elsewhere, only parts after usual folders count, or else the file name. No path is opened.

    >>> photograph_names("images/train/a.jpg"), photograph_names("trip/a.jpg")
    (['images/train/a', 'train/a', 'a'], ['trip/a'])
    >>> photograph_names("train/labels/a.txt", frozenset({".txt"}))
    ['train/labels/a', 'labels/a', 'train/a', 'a']
    >>> photograph_names("/data/VOC/JPEGImages/b.jpg"), photograph_names("C:/x/c.png")
    (['b'], ['c'])
    """
    parts = name_of(key_of(file), suffixes).split("/")
    usual = [part.casefold() in _FOLDERS for part in parts[:-1]]
    if parts[0] == "" or parts[0].endswith(":") or ".." in parts:
        last = len(usual) - usual[::-1].index(True) if any(usual) else len(usual)
        return ["/".join(parts[last:])]
    count = usual.index(False) if False in usual else len(usual)
    inner = [part for part in parts[:-1] if part.casefold() not in _KINDS]
    cut = ["/".join(parts[start:]) for start in range(count + 1)]
    return list(dict.fromkeys([*cut[:-1], "/".join([*inner, parts[-1]]), cut[-1]]))


@dataclass
class Places(Generic[Entry]):
    """Entries of files by photograph; a name with several entries cannot be read."""

    root: Path
    """The folder or file, for messages."""
    entries: dict[str, Entry] = field(default_factory=dict)
    """By every name that the file gives."""
    twice: dict[str, str] = field(default_factory=dict)
    _names: list[list[str]] = field(default_factory=list)

    def add(self, file: str, entry: Entry, suffixes: frozenset[str] = SUFFIXES) -> None:
        """Add the entry of a file."""
        names = photograph_names(file, suffixes)
        self._names.append(names)
        for name in names:
            if name in self.entries:
                self.twice.setdefault(name, printable(file))
            self.entries.setdefault(name, entry)

    def strays(self, known: Collection[str]) -> list[str]:
        """Name the entries that belong to none of the photographs ``known``."""
        return [names[-1] for names in self._names if not any(name in known for name in names)]

    def find(self, name: str) -> Entry:
        """Return the entry of a photograph; raise ItemError if there is none, or more than one."""
        key = key_of(name)
        if key in self.twice:
            raise ItemError(f"{self.root}: several entries are called {key!r}, such as {self.twice[key]!r}; keep one")
        if key not in self.entries:
            raise ItemError(f"{self.root}: expected the objects of the photograph {name!r}, found nothing of this name")
        return self.entries[key]
