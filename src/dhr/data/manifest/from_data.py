"""Make the rows of a manifest from a data set of any format."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dhr.data.image_files import Content, suffix_of
from dhr.data.images import mask_bytes, read_size
from dhr.data.labels import plain, read_labels
from dhr.data.manifest.row import Row, load
from dhr.data.manifest.write import Entry
from dhr.data.palette import class_palette
from dhr.data.samples import DataSet, Problem, Sample
from dhr.data.uris import relative_to
from dhr.errors import ItemError, OutputError
from dhr.files import inside, write_bytes
from dhr.flow.ahead import ahead
from dhr.progress import Progress, Step, silent

OWN = "made-by-dhr-manifest"
"""File that marks a folder of photographs and masks as part of a manifest."""


@runtime_checkable
class Placed(Protocol):
    """A data set whose photographs have places."""

    def place(self, sample: Sample) -> str | Content:
        """Return the path or URI of the photograph, or its content if it is inside another file."""
        ...

    def truth_place(self, sample: Sample) -> str | None:
        """Return the path or URI of its ground truth, if that is certain to be a mask of class ids."""
        ...

    def mask_file(self, sample: Sample) -> Path | None:
        """Return the file of its ground truth, if that is a mask of any numbering."""
        ...


@dataclass
class FromData:
    """Makes entries of the photographs of a data set.

    Photographs inside other files, and ground truth that is not a mask of class ids, are written into a folder beside
    the manifest: ``photos.files/`` of ``photos.parquet``.
    """

    data: DataSet
    placed: Placed
    """The same data set."""
    file: Path
    """The manifest."""
    split: str | None = None
    sizes: bool = False
    """Read the size of each photograph."""
    workers: int | None = None
    progress: Progress = silent
    problems: list[Problem] = field(default_factory=list)
    """Photographs and ground truth that are left out."""

    @property
    def beside(self) -> Path:
        """The folder of files that are made."""
        return self.file.with_name(f"{self.file.stem}.files")

    def check(self) -> None:
        """Refuse a folder beside the manifest that something else made.

        Raises:
            OutputError: there is one.
        """
        if self.beside.exists() and not (self.beside / OWN).is_file():
            raise OutputError(
                f"{self.beside} exists, and `dhr manifest` did not make it; rename it, or choose another --file"
            )

    def entries(self) -> Iterator[Entry]:
        """Yield the entry of each photograph, by name."""
        made = ahead(self.data.samples, self._entry, workers=self.workers)
        for done, (sample, loaded) in enumerate(made, start=1):
            try:
                entry, problems = loaded.get()
                self.problems += problems
                yield entry
            except ItemError as error:
                self.problems.append(Problem(sample.source, str(error)))
            self.progress(Step("manifest", done, len(self.data.samples)))

    def _entry(self, sample: Sample) -> tuple[Entry, list[Problem]]:
        place, folder, problems = self.placed.place(sample), self.file.parent, list[Problem]()
        uri = place if isinstance(place, str) else self._write(f"images/{sample.name}{suffix_of(place)}", place.data)
        size = None
        if self.sizes:
            try:
                size = read_size(load(place) if isinstance(place, str) else place)
            except ItemError as error:
                problems.append(Problem(sample.source, f"{error}; its size is not in the manifest"))
        truth = None
        if sample.has_ground_truth:
            try:
                truth = self.placed.truth_place(sample) or self._truth(sample)
            except ItemError as error:
                problems.append(Problem(sample.source, f"{error}; its ground truth is not in the manifest"))
        names = tuple(self.data.classes.names[tag] for tag in sample.tags)
        places = [None if one is None else relative_to(one, folder) for one in (uri, truth)]
        split = self.split or (sample.split if isinstance(sample, Row) else None)
        return Entry(sample.name, str(places[0]), names, size, split, places[1]), problems

    def _truth(self, sample: Sample) -> str:
        """Return the place of a ground-truth mask of class ids; it is written if there is none yet."""
        labels = self.data.read_ground_truth(sample)
        if (path := self.placed.mask_file(sample)) is not None and self._is_plain(path, labels):
            return str(path)
        return self._write(f"truth/{sample.name}.png", mask_bytes(labels, class_palette(self.data.classes)))

    def _is_plain(self, path: Path, labels: UInt8[np.ndarray, "h w"]) -> bool:
        """Tell whether a mask, read as class ids, is the ground truth."""
        try:
            return np.array_equal(read_labels(path, plain(self.data.classes)), labels)
        except ItemError:  # its numbers are not class ids
            return False

    def _write(self, relative: str, content: bytes) -> str:
        if not (self.beside / OWN).is_file():
            write_bytes(self.beside / OWN, b"Photographs and masks of a manifest, beside this folder.\n")
        path = inside(self.beside, relative)
        write_bytes(path, content, durable=False)
        return str(path)
