"""The exceptions that the library raises on purpose.

Each message is one line: what was expected, what came, and what to do. The command prints it unchanged, so it must be
clear to someone who has never seen the code.
"""

from dhr.words import printable


class DhrError(Exception):
    """Base of all errors raised on purpose.

    A message may quote what a file of others says, so control characters are replaced when it is read.

    >>> str(DhrError("no class 'a\\x7f'"))
    "no class 'a\ufffd'"
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(DhrError, ValueError):
    """A setting, or a combination of settings, that cannot work."""


class ShapeError(DhrError, ValueError):
    """Arrays whose shapes, types or values do not fit together."""


class DataError(DhrError):
    """A data set that cannot be used as a whole: images or tags are missing, or the split is unknown."""


class ItemError(DhrError):
    """One photograph, mask or line of tags that cannot be used; a run reports it, skips it and goes on."""


class WeightsError(DhrError):
    """Model weights that are missing, damaged or of another architecture."""


class OutputError(DhrError):
    """An output folder that cannot be written, or that holds another run."""


class PlaceError(OutputError, ItemError):
    """One file that cannot be written: its name is too long, or taken by something else.

    If it belongs to one photograph, that photograph is reported and skipped, as with any ItemError."""


class WorkerError(DhrError):
    """A process of a cluster that ended by itself, again and again."""


class ConflictError(OutputError):
    """Something that was changed elsewhere since it was read."""

    def __init__(self, message: str, revision: int) -> None:
        super().__init__(message)
        self.revision = revision
        """The present revision; 0 if it is gone."""
