"""Something that was left out."""

from dataclasses import dataclass

from dhr.words import printable


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of the data set that was left out, and why, in one line."""

    source: str
    reason: str

    def __post_init__(self) -> None:  # both may quote what a file of others says
        object.__setattr__(self, "source", printable(self.source))
        object.__setattr__(self, "reason", printable(self.reason))
