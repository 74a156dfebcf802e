"""What a data set is to the rest of the program: a class table, and photographs with their tags."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dhr.records.problem import Problem as Problem

VOID = 255
"""Label of pixels that carry no class, in truth masks and in ours."""

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
    """Super-class of each class, where the data set knows it."""
    colours: tuple[tuple[int, int, int], ...] | None = None
    """RGB of each class, 0..255, where the data set has its own; otherwise ``data.palette`` gives the colours."""
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """What its reader decided by itself, a sentence each."""

    @property
    def foreground(self) -> range:
        """Ids of the classes that can be tagged."""
        return range(int(self.background), len(self.names))


@dataclass(frozen=True)
class Sample:
    """One photograph: where its mask goes, and what is in it."""

    name: str
    """Relative POSIX path without suffix, unique in the data set; its mask is ``masks/<name>.png``."""
    source: str
    """What a person would look for: the file's path, or the number of a generated scene."""
    tags: tuple[int, ...]
    """Class ids, sorted, never the background. Empty only where there is a background: a negative, of which every
    pixel is background."""
    has_ground_truth: bool


@runtime_checkable
class DataSet(Protocol):
    """Photographs with tags. Listing is cheap; pixels are read one photograph at a time."""

    @property
    def classes(self) -> ClassTable:
        """The class table."""
        ...

    @property
    def samples(self) -> Sequence[Sample]:
        """The usable photographs, in an order that depends on their names only."""
        ...

    @property
    def problems(self) -> Sequence[Problem]:
        """What the listing left out."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What the reader decided by itself, a sentence each, for whoever opens the data set."""
        ...

    def digest(self, sample: Sample) -> str:
        """SHA-256, in hex, of the photograph's content as stored."""
        ...

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph as a person sees it: RGB, upright.

        Raises:
            ItemError: it cannot be read.
        """
        ...

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`VOID`, of the photograph's size. Only ``evaluate`` and ``report`` call this.

        Raises:
            ItemError: there is none, or it cannot be read.
        """
        ...
