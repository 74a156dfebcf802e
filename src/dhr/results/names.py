"""Names of the files of rows that a job writes: each tells which units of the manifest it holds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NAME = re.compile(r"part(\d{0,4})-(\d{1,12})(?:-(\d{1,12}))?\.parquet")


@dataclass(frozen=True, order=True)
class PartName:
    """The name of a file with the rows of one unit, or of several joined ones."""

    layer: int
    """1 for the first rows of units. Photographs that failed there and have a mask later are in the layers above."""
    first: int
    """Number of the first unit."""
    last: int
    """Number of the last unit."""

    @classmethod
    def of(cls, name: str) -> "PartName | None":
        """Read a name; None if it is not that of a job's file."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        layer, first, last = found.groups()
        made = cls(int(layer or 1), int(first), int(last or first))
        return made if str(made) == name else None

    def __str__(self) -> str:
        layer = "" if self.layer == 1 else self.layer
        last = "" if self.last == self.first else f"-{self.last:06d}"
        return f"part{layer}-{self.first:06d}{last}.parquet"

    @property
    def joined(self) -> bool:
        """Whether it holds several units."""
        return self.last > self.first

    def covers(self, other: "PartName") -> bool:
        """Return whether it holds all rows of another file."""
        return self != other and self.layer == other.layer and self.first <= other.first and other.last <= self.last


def covered(names: Iterable[str]) -> set[str]:
    """Return the names of files whose rows are in a joined file too: the job was killed before it deleted them."""
    parts = [part for name in names if (part := PartName.of(name)) is not None]
    found, widest = set[str](), PartName(0, 0, 0)
    for part in sorted(parts, key=lambda one: (one.layer, one.first, -one.last)):
        if widest.covers(part):
            found.add(str(part))
        elif part.layer > widest.layer or part.last > widest.last:
            widest = part
    return found
