"""Find ids that occur more than once, in a few bytes per row."""

from array import array
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import xxhash

from dhr.data.classes import enumeration
from dhr.data.listing import mask_key
from dhr.data.manifest.row import Row
from dhr.data.samples import Problem

_NAMED = 4  # rows with the same id that a message names


@dataclass
class Listed:
    """Rows that were read. Two whose masks would share a name are both left out."""

    place: Callable[[int], str]
    """Names the row of a number, for messages."""
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    numbers: "array[int]" = field(default_factory=lambda: array("Q"))
    """The number of each row."""
    keys: "array[int]" = field(default_factory=lambda: array("Q"))
    """A hash of each id, as masks' names are compared."""

    def add(self, number: int, found: Row | Problem) -> None:
        """Add a row, or why it cannot be used."""
        if isinstance(found, Problem):
            self.problems.append(found)
            return
        self.rows.append(found)
        self.numbers.append(number)
        self.keys.append(xxhash.xxh64_intdigest(mask_key(found.name).encode()))

    def unique(self) -> tuple[list[Row], list[Problem]]:
        """Return the rows with an id of their own, and all problems."""
        keys = np.frombuffer(self.keys, np.uint64) if self.keys else np.empty(0, np.uint64)
        values, counts = np.unique(keys, return_counts=True)
        if (counts < 2).all():
            return self.rows, self.problems
        same: dict[str, list[int]] = defaultdict(list)
        for index in np.flatnonzero(np.isin(keys, values[counts > 1])).tolist():
            same[mask_key(self.rows[index].name)].append(index)
        again = {index: group[:_NAMED] for group in same.values() if len(group) > 1 for index in group}
        for index, group in sorted(again.items()):
            own = self.place(self.numbers[index])
            others = enumeration([self.place(self.numbers[one]) for one in group if one != index], 3, quoted=False)
            reason = f"its id {self.rows[index].name!r} is also in {others}; give each its own"
            self.problems.append(Problem(self.rows[index].source, f"{own}: {reason}"))
        return [row for index, row in enumerate(self.rows) if index not in again], self.problems
