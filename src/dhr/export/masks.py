"""The masks that are exported, read one at a time; those that cannot be read are noted and left out."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.corrections.beside import corrections_beside, masks_at
from dhr.corrections.decisions import DecisionReader, decided, outdated_note, rejected_among, rejected_note
from dhr.data.agreement import Agreement
from dhr.data.images import SUFFIXES, read_size
from dhr.data.listing import escapes
from dhr.data.samples import ClassTable, DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.files import write_bytes
from dhr.progress import Progress, Step, silent
from dhr.results.origin import mismatch


@dataclass(frozen=True)
class Item:
    """One photograph with its mask."""

    number: int
    """Place of the photograph in the data set, from 1, whether or not other masks are missing."""
    name: str
    """Of the sample: relative POSIX path without suffix."""
    file: str
    """``name`` with the photograph's suffix."""
    photograph: Path | None
    """The path of the photograph, if it is a file."""
    labels: UInt8[np.ndarray, "h w"]
    """Class ids, 255 for void."""
    digest: str
    """SHA-256, in hex, of the mask's file, its numbering of classes, and the photograph's digest."""

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.labels.shape[0])

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.labels.shape[1])


class Masks:
    """The masks of a data set's photographs in class ids of the data set, 255 for void.

    Photographs that a person rejected in review are left out; a note tells it, and they are no problems.

    If the folder has a class table, classes are matched by name with those of the data set.

    Iteration reads them one at a time, in the order of the data set. A mask that is missing, damaged, of another size
    than its photograph, or with an id that is not a class, becomes one of ``problems``.

    Args:
        data: photographs, tags and classes; ground truth is not read.
        folder: the masks.
        palette: the RGB colour of each id.
        progress: called after each photograph.

    Raises:
        DataError: the folder is missing, or its class table does not fit.
    """

    def __init__(
        self, data: DataSet, folder: Path, palette: UInt8[np.ndarray, "256 3"], progress: Progress = silent
    ) -> None:
        if not folder.is_dir():
            raise DataError(
                f"expected a folder of masks at {folder}, found none; give the folder that holds the PNG files"
            )
        self._data, self._folder, self._progress = data, folder, progress
        self._masks, store = masks_at(folder), corrections_beside(folder)
        self._decisions = DecisionReader(store)
        self._rejected = {sample.name for sample in rejected_among(data, store)}
        self.palette = palette
        self.problems: list[Problem] = [*self._masks.problems]
        self.read_names: set[str] = set()
        """Photographs whose masks are exported, now or by an earlier call."""
        self.kept = 0
        """Number of those from an earlier call."""
        there = ((self._masks.mask(one.name), one.tags) for one in data.samples if self._masks.has(one.name))
        self._numbering = self._masks.numbering(data.classes, there)
        self._agreement = self._new_agreement()

    @property
    def classes(self) -> ClassTable:
        """The class table."""
        return self._data.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the masks that were read, one sentence each."""
        outdated = outdated_note(self._decisions.decisions.outdated)
        decided = (*rejected_note(self._rejected), *outdated)
        return (*self._numbering.all_notes, *(check.text for check in self._agreement.checks()), *decided)

    def write_class_names(self, folder: Path, classes: ClassTable | None = None) -> None:
        """Write ``classes.txt``, so that ``--data`` reads the same ids: few formats tell whether there is a background.

        Args:
            folder: its folder.
            classes: the table whose numbers the masks bear, if it is not that of the data set.

        Raises:
            OutputError: the folder or the disk refuses.
        """
        names = (classes or self.classes).names
        write_bytes(folder / "classes.txt", "".join(f"{name}\n" for name in names).encode())

    def refuse_untagged(self) -> None:
        """Check that at least one mask shows a class that its photograph is tagged with.

        Raises:
            DataError: there are masks, but no such mask.
        """
        seen = self._new_agreement()
        for sample in self._data.samples:
            if sample.tags and not escapes(sample.name):
                try:
                    pixels = np.bincount(self._numbering.read(self._masks.mask(sample.name)).ravel(), minlength=256)
                except ItemError:
                    continue  # the export reports it
                seen.add(sample.name, sample.tags, pixels)
                if pixels[list(sample.tags)].any():
                    return
        seen.refuse_nothing()

    def __iter__(self) -> Iterator[Item]:
        return self.items(lambda name, digest: False)

    def items(self, finished: Callable[[str, str], bool]) -> Iterator[Item]:
        """Yield the items for which ``finished(name, digest of mask and photograph)`` is false.

        Raises:
            DataError: at the end, if no mask could be read.
        """
        wanted = (pair for pair in enumerate(self._data.samples, start=1) if pair[1].name not in self._rejected)
        total = len(self._data.samples) - len(self._rejected)
        for done, (number, sample) in enumerate(wanted, start=1):
            try:
                item = self._item(number, sample, finished)
                self.read_names.add(sample.name)
                if item is None:
                    self.kept += 1
                else:
                    yield item
            except ItemError as error:
                self.problems.append(Problem(sample.name, str(error)))
            self._progress(Step("export", done, total))
        if not self.read_names:
            reasons = [*rejected_note(self._rejected), *(one.reason for one in self.problems)]
            first = reasons[0] if reasons else "the data set is empty"
            raise DataError(f"none of the {len(self._data.samples)} masks in {self._folder} can be exported: {first}")

    def refuse(self, item: Item, reason: str) -> None:
        """Note that ``item`` was read, but cannot be exported."""
        self.read_names.discard(item.name)
        self.problems.append(Problem(item.name, reason))

    def _item(self, number: int, sample: Sample, finished: Callable[[str, str], bool]) -> Item | None:
        if escapes(sample.name):
            raise ItemError(f"{sample.name!r} leads out of the folder; rename the photograph")
        digest_of_mask, mask = self._masks.digest(sample.name), self._masks.mask(sample.name)
        if reason := mismatch(self._masks.records.record(sample.name), self._data, sample):
            raise ItemError(f"{mask}: {reason}")
        content = self._data.digest(sample)
        if correction := self._decisions.decide(sample, content, self.classes):
            sample = decided(sample, correction, self.classes)
        made_of = f"{digest_of_mask} {self._numbering.key} {content}"
        digest = hashlib.sha256(made_of.encode()).hexdigest()
        if finished(sample.name, digest):
            return None
        photograph = _photograph(sample)
        shape = read_size(photograph) if photograph else self._data.read_image(sample).shape[:2]
        labels = self._numbering.read(mask, (int(shape[0]), int(shape[1])))
        self._agreement.add(sample.name, sample.tags, np.bincount(labels.ravel(), minlength=256))
        suffix = photograph.suffix if photograph else ".png"
        return Item(number, sample.name, sample.name + suffix, photograph, labels, digest)

    def _new_agreement(self) -> Agreement:
        return Agreement(self.classes, f"masks in {self._folder}", complete=False)


def _photograph(sample: Sample) -> Path | None:
    path = Path(sample.source)
    return path if path.suffix.lower() in SUFFIXES and path.is_file() else None
