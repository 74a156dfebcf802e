"""The progress of long work: one type for the whole project."""

from collections.abc import Callable
from dataclasses import dataclass

PLAN = "plan"
"""Stage of the first lines of a run; each note is a line."""


@dataclass(frozen=True)
class Step:
    """The progress of a stage."""

    stage: str
    done: int
    total: int
    unit: str = "photographs"
    """The things that are counted."""
    note: str = ""
    """A few more words, such as losses."""


Progress = Callable[[Step], None]
"""Called repeatedly during the work."""


def silent(step: Step) -> None:
    """Show nothing."""
