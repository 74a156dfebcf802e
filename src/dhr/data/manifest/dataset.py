"""A manifest as a data set."""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.background import background_notes
from dhr.data.image_files import Content
from dhr.data.images import read_rgb
from dhr.data.manifest.row import Row, digest_of, read_truth
from dhr.data.samples import ClassTable, Problem, Sample
from dhr.data.stored import negative_notes
from dhr.errors import ItemError
from dhr.words import counted

_HELD = 32_000_000  # bytes of the largest photograph that is held between two reads

_last = threading.local()


class ManifestDataSet:
    """Rows of a manifest; implements :class:`~dhr.data.samples.DataSet`.

    A remote photograph is fetched whenever it is read; only pixels that are read next after a digest, in the same
    thread, come from the same fetch.

    Args:
        classes: the class table.
        rows: the photographs, with different ids.
        problems: rows that are left out.
        notes: decisions of the reader.
    """

    def __init__(
        self, classes: ClassTable, rows: Iterable[Row], problems: Sequence[Problem] = (), notes: Sequence[str] = ()
    ) -> None:
        self.classes = classes
        self.samples: Sequence[Row] = tuple(sorted(rows, key=lambda row: row.name))
        self.problems: Sequence[Problem] = tuple(problems)
        found = (*classes.notes, *notes, *negative_notes(self.samples), *background_notes(classes, self.samples))
        self.notes: Sequence[str] = tuple(found)

    def __repr__(self) -> str:
        classes = counted(len(self.classes.names), "class", "classes")
        return f"{type(self).__name__}({counted(len(self.samples), 'photograph')}, {classes})"

    def digest(self, sample: Sample) -> str:
        """Return the SHA-256 of the photograph as it is stored, in hex; raises ItemError if it cannot be read."""
        row = _row(sample)
        loaded = row.load()
        if isinstance(loaded, Content) and len(loaded.data) <= _HELD:
            _last.kept = (row.uri, loaded)
        return digest_of(loaded)

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Read the photograph: RGB, upright; see :func:`~dhr.data.images.read_rgb`."""
        row = _row(sample)
        uri, loaded = _last.__dict__.pop("kept", (None, None))
        return read_rgb(loaded if uri == row.uri and loaded is not None else row.load())

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Return class ids and void, of the photograph's size; see :func:`~dhr.data.manifest.row.read_truth`."""
        return read_truth(_row(sample), self.classes)

    def place(self, sample: Sample) -> str:
        """Return the path or URI of the photograph."""
        return _row(sample).uri

    def truth_place(self, sample: Sample) -> str | None:
        """Return the path or URI of the ground truth."""
        return _row(sample).truth

    def mask_file(self, sample: Sample) -> Path | None:
        """Return None: all ground truth of a manifest has a place."""
        return None


def _row(sample: Sample) -> Row:
    if not isinstance(sample, Row):
        raise ItemError(f"{sample.name!r} is not a photograph of a manifest; take samples from this data set")
    return sample
