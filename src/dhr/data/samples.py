"""The interface of data sets: a class table, and photographs with their tags."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from jaxtyping import UInt8
from numpy.typing import NDArray

from dhr.records.problem import Problem as Problem

VOID = 255
"""Label of pixels without a class, in ground truth and in masks of dhr."""

UNTAGGED = (
    "no tags, and without a background its pixels can be of no class; tag it, remove it, or make `background` the "
    "first class"
)
"""Why a photograph without tags cannot be used where the class table has no background."""


@dataclass(frozen=True)
class ClassTable:
    """Names of the classes; a class's id is its index, as in the masks."""

    names: tuple[str, ...]
    """1 to 255 distinct names (255 is :data:`VOID`)."""
    background: bool
    """Whether class 0 is the background: it is in every photograph, is never tagged, and has no CAM."""
    supers: tuple[str, ...] | None = None
    """Super-class of each class, if the data set has them."""
    colours: tuple[tuple[int, int, int], ...] | None = None
    """RGB of each class, 0..255, where the data set has its own; otherwise ``data.palette`` gives the colours."""
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Decisions of its reader, a sentence each."""

    @property
    def foreground(self) -> range:
        """Ids of the classes that can be tagged."""
        return range(int(self.background), len(self.names))


@dataclass(frozen=True, slots=True)
class Sample:
    """One photograph: its name, its tags."""

    name: str
    """Relative POSIX path without suffix, unique in the data set; its mask is ``masks/<name>.png``."""
    source: str
    """Its name in messages: the file's path, or the number of a generated scene."""
    tags: tuple[int, ...]
    """Class ids, sorted, never the background. Empty only if the table has a background: a negative, whose pixels are
    all background."""
    has_ground_truth: bool


@dataclass(frozen=True, slots=True)
class Tagged:
    """The tags of one photograph, or why it has none."""

    tags: tuple[int, ...] = ()
    """Class ids, in any order; the background does not count. Empty if there is a ``reason``, and for a negative."""
    reason: str | None = None
    """Why the photograph cannot be used."""
    unread: str | None = None
    """A thing in its annotation that the reader does not understand, by place and kind. The photograph is left out
    unless the user ignores such things."""


def in_random_order(samples: Iterable[Sample]) -> list[Sample]:
    """Return photographs in a random order that depends on their names alone."""
    return sorted(samples, key=lambda sample: (zlib.crc32(sample.name.encode()), sample.name))


@runtime_checkable
class DataSet(Protocol):
    """Photographs with tags. Listing is cheap; pixels are read one photograph at a time."""

    @property
    def classes(self) -> ClassTable:
        """The class table."""
        ...

    @property
    def samples(self) -> Sequence[Sample]:
        """The usable photographs, in an order that depends only on their names."""
        ...

    @property
    def problems(self) -> Sequence[Problem]:
        """Things that are left out."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Decisions of the reader, a sentence each, for the user."""
        ...

    def digest(self, sample: Sample) -> str:
        """Return the SHA-256 of the photograph's content as stored, in hex."""
        ...

    def read_image(self, sample: Sample) -> UInt8[NDArray[Any], "h w 3"]:
        """Read the photograph as RGB, upright. Raises ItemError if it cannot be read."""
        ...

    def read_ground_truth(self, sample: Sample) -> UInt8[NDArray[Any], "h w"]:
        """Return class ids and :data:`VOID`, of the photograph's size; raise ItemError if there are none.

        Only ``evaluate``, ``inspection`` and ``report`` call this.
        """
        ...
