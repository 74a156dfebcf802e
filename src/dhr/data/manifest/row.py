"""One row of a manifest: a sample that can be opened without its data set."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.ground_truth import MaskFile
from dhr.data.image_files import Content, digest_image
from dhr.data.images import read_size
from dhr.data.labels import plain
from dhr.data.remote import fetch
from dhr.data.samples import ClassTable, Sample
from dhr.data.uris import scheme
from dhr.errors import ItemError


@dataclass(frozen=True, slots=True)
class Row(Sample):
    """A photograph of a manifest; ``source`` is its URI without secrets."""

    uri: str = field(repr=False)
    """As it is opened: a path, or the URI of a remote file."""
    truth: str | None = field(default=None, repr=False)
    """Its ground truth, in the same form."""
    size: tuple[int, int] | None = None
    """Height and width of the upright photograph, if the manifest has them."""
    split: str | None = None

    def load(self) -> Path | Content:
        """Return the path of a local photograph, or the content of a remote one, which is read as a whole.

        Raises:
            ItemError: a remote photograph cannot be read; see :func:`~dhr.data.remote.fetch`.
        """
        return load(self.uri)


def load(uri: str) -> Path | Content:
    """Return a local path, or the content of a remote file; raises as :func:`~dhr.data.remote.fetch`."""
    return Path(uri) if scheme(uri) is None else fetch(uri)


def digest_of(loaded: Path | Content) -> str:
    """Return the SHA-256 of a photograph as it is stored, in hex; raises ItemError if it cannot be read."""
    return digest_image(loaded) if isinstance(loaded, Path) else hashlib.sha256(loaded.data).hexdigest()


def read_truth(row: Row, classes: ClassTable) -> UInt8[np.ndarray, "h w"]:
    """Return the ground truth of a row as class ids and void, of the photograph's size.

    Raises:
        ItemError: there is none, it cannot be read, has another size, or holds ids of no class.
    """
    if row.truth is None:
        raise ItemError(f"{row.source}: it has no ground-truth mask; name one in the column truth")
    size = row.size or read_size(row.load())
    return MaskFile(load(row.truth), plain(classes), "the manifest's classes").read(size)
