"""The photographs and classes that masks of other programs are matched with."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dhr.data.background import is_background
from dhr.data.class_names import class_of
from dhr.data.images import SUFFIXES
from dhr.data.names import Names
from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.data.spelling import Spelling

FREE = 254
"""The value of pixels that a file leaves open."""


@dataclass(frozen=True)
class Target:
    """A run's photographs by name, and its classes."""

    classes: ClassTable
    samples: Mapping[str, Sample]
    """By the name of the photograph, with its suffix where it is a file."""
    unknown: Counter[str] = field(default_factory=Counter)
    """How often each name occurs in the file that is not a class of the run."""

    @staticmethod
    def of(data: DataSet) -> "Target":
        """Take the photographs and classes of a data set."""
        return Target(data.classes, {_file(sample): sample for sample in data.samples})

    def names(self, uploads: bool = False) -> Names:
        """Return the names of the photographs; see :class:`~dhr.data.names.Names`."""
        return Names(list(self.samples), "the run", uploads)

    def id_of(self, label: str) -> int | None:
        """Return the id of a class by name; :data:`FREE` for a background that the run does not have.

        None for other names, which are counted.
        """
        name = class_of(label)
        if is_background(name):
            return 0 if self.classes.background else FREE
        found = self._spelling.read(name)
        if found is None:
            self.unknown[name] += 1
        return found

    def hint(self, label: str) -> str:
        """Suggest a remedy for a name that is not a class."""
        return self._spelling.hint(class_of(label))

    @property
    def notes(self) -> list[str]:
        """Report names in another case than the class has."""
        return self._spelling.notes

    @cached_property
    def _spelling(self) -> Spelling:
        return Spelling(self.classes.names, None)


def _file(sample: Sample) -> str:
    suffix = Path(sample.source).suffix
    return f"{sample.name}{suffix}" if suffix.lower() in SUFFIXES else sample.name
