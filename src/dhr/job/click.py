"""A click on a photograph."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Click:
    """Points and a box on one thing, in pixels of the photograph."""

    points: Sequence[tuple[float, float, bool]] = ()
    """Column, row, and whether it is on the thing (else beside it)."""
    box: tuple[float, float, float, float] | None = None
    """Left, top, right and bottom."""
