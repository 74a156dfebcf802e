"""Something that was left out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of the data set that was left out, and why, in one line."""

    source: str
    reason: str
