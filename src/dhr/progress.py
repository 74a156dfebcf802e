"""Says how far a long piece of work is: one type for the whole project."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """How far a stage is."""

    stage: str
    done: int
    total: int
    unit: str = "photographs"
    """The things that are counted."""
    note: str = ""
    """A few words more, such as losses."""


Progress = Callable[[Step], None]
"""Called again and again while the work goes on."""


def silent(step: Step) -> None:
    """Show nothing."""
