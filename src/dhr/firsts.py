"""Lists of which only the first entries are kept, so that memory does not grow."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Firsts(Generic[T]):
    """The first entries of a list, and the number of all.

    >>> found = Firsts[str](2)
    >>> found.extend(["a", "b", "c"])
    >>> len(found), found.first
    (3, ['a', 'b'])
    """

    most: int | None
    """Entries that are kept; None for all."""
    first: list[T] = field(default_factory=list)
    count: int = 0

    def append(self, one: T) -> None:
        """Count an entry, and keep it if there is room."""
        self.extend([one])

    def extend(self, more: "list[T] | Firsts[T]") -> None:
        """Add entries in their order."""
        found = more.first if isinstance(more, Firsts) else more
        room = len(found) if self.most is None else self.most - len(self.first)
        self.first += found[: max(room, 0)]
        self.count += len(more)

    def __len__(self) -> int:
        return self.count
