"""A mask that another program holds, and the masks of a file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from dhr.data.outlines import Size
from dhr.data.samples import Problem, Sample

By = Literal["person", "program", "unknown"]
"""Who made a mask, as far as its file tells."""


@dataclass(frozen=True)
class Drawing:
    """The mask of one photograph; it is read when it is needed."""

    sample: Sample
    read: Callable[[Size], UInt8[np.ndarray, "h w"]]
    """Returns class ids, 255 for void, and :data:`~dhr.imports.target.FREE`, of the given height and width; raises
    ItemError if the mask cannot be read, or is of another size."""
    by: By
    """``person``: somebody drew, changed or submitted it. ``program``: nobody did."""
    holds_void: bool = True
    """Whether the format can hold void; else void of the machine's mask stays where nothing is drawn."""


@dataclass
class Drawings:
    """The content of a file."""

    found: list[Drawing] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Things that cannot be used."""
    notes: list[str] = field(default_factory=list)
    untouched: int = 0
    """Photographs that nobody has annotated."""
    by_number: bool = False
    """Whether the classes are known by their numbers alone, which may be those of another table."""
