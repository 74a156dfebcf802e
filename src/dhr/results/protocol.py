"""The interface of masks and records, however a job has stored them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from dhr.data.image_files import Content
from dhr.data.numbering import Numbering
from dhr.data.samples import ClassTable
from dhr.records.item import ItemRecord
from dhr.records.problem import Problem

Record = TypeVar("Record")
Tags = tuple[int, ...] | None
"""The tags of a photograph; None if they are unknown."""


@runtime_checkable
class Records(Protocol):
    """The records of a job, by the name of the photograph. Many threads may use it."""

    def names(self) -> Iterator[str]:
        """Yield the photographs that have a record."""
        ...

    def record(self, name: str) -> ItemRecord | None:
        """Read the record of a photograph; None if it is missing or damaged."""
        ...

    def each(self, kind: type[Record], *, lenient: bool = False) -> Iterator[tuple[str, Record | Problem]]:
        """Read the records of all photographs one by one; a damaged one comes as a problem.

        Args:
            kind: a dataclass with some members of the records: only these are read.
            lenient: whether a damaged member takes its default.
        """
        ...


@runtime_checkable
class Masks(Protocol):
    """The masks of a job, or of another program, by the name of the photograph. Many threads may use it."""

    @property
    def folder(self) -> Path:
        """The folder that holds them."""
        ...

    @property
    def records(self) -> Records:
        """The records of their photographs."""
        ...

    @property
    def problems(self) -> Sequence[Problem]:
        """Parts that cannot be used."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the photographs that have a mask."""
        ...

    def listed(self) -> tuple[Mapping[str, str], Sequence[Problem]]:
        """List all masks without opening them.

        Returns:
            The place of each mask by the name of its photograph, for :meth:`at`; and what else is there.
        """
        ...

    def at(self, place: str) -> Path | Content:
        """Return the mask at a place that :meth:`listed` gives; raises as :meth:`mask`."""
        ...

    def has(self, name: str) -> bool:
        """Return whether a photograph has a mask."""
        ...

    def mask(self, name: str) -> Path | Content:
        """Return the mask of a photograph as a file: the path of one that may be missing, or its content.

        Raises:
            ItemError: it is in another file, which cannot be read or does not hold it.
        """
        ...

    def state(self, name: str) -> str:
        """Return a text that changes whenever the mask of a photograph does; empty if it is missing."""
        ...

    def digest(self, name: str) -> str:
        """Return the SHA-256 of the mask of a photograph, in hex.

        Raises:
            ItemError: it is missing or cannot be read.
        """
        ...

    def numbering(self, classes: ClassTable, examples: Iterable[tuple[Path | Content, Tags]]) -> Numbering:
        """Match the classes of the masks by name with those of a data set.

        Args:
            classes: those of the data set.
            examples: masks with the tags of their photographs; some may be opened.

        Raises:
            DataError: the two share no class, or the class table of the masks is damaged.
        """
        ...
