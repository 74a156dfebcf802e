"""View a data set at the level of its super-classes."""

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.errors import DataError


class SuperClasses:
    """The same photographs with super-classes as tags and ground truth, in the order of their first class.

    Raises DataError if the data set has no super-classes.
    """

    def __init__(self, data: DataSet) -> None:
        table = data.classes
        if table.supers is None:
            raise DataError(
                "the data set knows no super-classes; add supercategories.csv with the columns class,supercategory"
            )
        start = table.foreground.start
        names = (*table.names[:start], *dict.fromkeys(table.supers[start:]))
        if len(set(names)) < len(names):
            raise DataError(f"a super-class is called {names[0]!r}, as the background is; rename it")
        self._data = data
        self.problems, self.notes = data.problems, data.notes
        self._upper = np.arange(256, dtype=np.uint8)
        for label in table.foreground:
            self._upper[label] = names.index(table.supers[label])
        self.classes = ClassTable(names, table.background)
        self.samples = tuple(
            replace(sample, tags=tuple(sorted({int(self._upper[tag]) for tag in sample.tags})))
            for sample in data.samples
        )

    def digest(self, sample: Sample) -> str:
        """Return the SHA-256 of the photograph's content as stored, in hex."""
        return self._data.digest(sample)

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Read the photograph."""
        return self._data.read_image(sample)

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Return super-classes, and 255 for void."""
        truth: UInt8[np.ndarray, "h w"] = self._upper[self._data.read_ground_truth(sample)]
        return truth
