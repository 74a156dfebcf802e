"""Where the truth mask of a photograph comes from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dhr.data.images import Content
from dhr.data.labels import Storage, plain, read_labels
from dhr.errors import ItemError

__all__ = ["MaskFile", "NoTruth", "Storage", "Truth", "plain"]


@runtime_checkable
class Truth(Protocol):
    """Where the truth mask of one photograph comes from."""

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`, of the height and width ``shape``.

        Raises:
            ItemError: it cannot be read, or is of another size.
        """
        ...


@dataclass(frozen=True)
class NoTruth:
    """Why a photograph has no ground truth, though its annotations hold some of it."""

    reason: str

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """There is none, so this raises ItemError."""
        raise ItemError(f"{self.reason}; mend it, or score without this photograph")


@dataclass(frozen=True)
class MaskFile:
    """A mask in a PNG file; see :func:`~dhr.data.labels.read_labels`."""

    path: Path | Content
    storage: Storage
    note: str = field(default="classes.txt")
    """Where the class ids stand, for messages."""

    def read(self, shape: tuple[int, int] | None) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`.

        Raises:
            ItemError: it cannot be read, is not of ``shape``, or holds numbers or colours of no class.
        """
        return read_labels(self.path, self.storage, shape, self.note)
