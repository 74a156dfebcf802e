"""Masks that a student is trained on, read from a folder."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from dhr.corrections.beside import masks_at
from dhr.data.agreement import Agreement
from dhr.data.numbering import Numbering
from dhr.data.problems import summary
from dhr.data.samples import VOID, ClassTable, DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.job.scan import Scan
from dhr.job.teaching import Labels, cell_labels
from dhr.results.origin import mismatch
from dhr.results.protocol import Masks as StoredMasks

_SEVERAL = 3  # with so many unusable masks a training does not begin


@dataclass(frozen=True)
class Masks:
    """Reads the masks that a student is trained on, and refuses unusable ones.

    If the folder has a class table, its classes are matched by name with the data set's.
    """

    folder: Path
    classes: ClassTable
    samples: tuple[Sample, ...] = ()
    """Photographs with tags, which show whether numbers or colours of the masks count."""

    @cached_property
    def numbering(self) -> Numbering:
        """The numbering of the classes in the masks.

        Raises:
            DataError: the folder's class table does not fit.
        """
        there = ((self.stored.mask(one.name), one.tags) for one in self.samples if self.stored.has(one.name))
        return self.stored.numbering(self.classes, there)

    @cached_property
    def stored(self) -> StoredMasks:
        """The masks as they are stored.

        Raises:
            DataError: they are rows, and none can be used.
        """
        return masks_at(self.folder)

    def __call__(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Read the mask of a photograph.

        Raises:
            ItemError: it is missing, cannot be read, or holds a class beyond the table.
        """
        if not self.stored.has(sample.name):
            raise MissingMaskError(f"it has no mask in {self.folder}")
        return self.numbering.read(self.stored.mask(sample.name))

    def check(self, sample: Sample, size: tuple[int, int]) -> Int64[np.ndarray, "256"]:
        """Count the pixels of a mask by label; refuse a mask of another size than its photograph.

        Raises:
            ItemError: also what :meth:`__call__` raises.
        """
        mask = self(sample)
        if mask.shape != size:
            shapes = " and ".join(f"{width}x{height}" for height, width in (mask.shape, size))
            raise ItemError(f"its mask and itself differ in size: {shapes}")
        return np.bincount(mask.ravel(), minlength=VOID + 1)


@dataclass(frozen=True)
class MaskTeaching:
    """The survey's teacher for a student that is trained on masks: those of its photographs count as certain."""

    masks: Masks
    names: frozenset[str]
    """The photographs whose masks are used."""

    def certain(self, name: str) -> bool:
        """See :class:`~dhr.job.teaching.Teacher`."""
        return name in self.names and self.masks.stored.has(name)

    def labels(self, sample: Sample, grid: tuple[int, int]) -> Labels | None:
        """See :class:`~dhr.job.teaching.Teacher`."""
        try:
            return cell_labels(self.masks(sample), sample, self.masks.classes, grid)
        except ItemError:
            return None


class MissingMaskError(ItemError):
    """A photograph lacks a mask, perhaps on purpose."""


def usable_masks(
    data: DataSet, found: Scan, masks: Masks | None
) -> tuple[list[Sample], list[Problem], tuple[str, ...]]:
    """Return the photographs with a usable mask, the problems of the others, and notes on the masks.

    Raises:
        DataError: several masks cannot be used, or all masks lack the tagged classes.
    """
    if masks is None:
        return list(found.samples), list(found.problems), ()
    agreement = Agreement(data.classes, f"masks in {masks.folder}", complete=False)
    records, usable, missing, unread = masks.stored.records, list[Sample](), [*masks.stored.problems], list[Problem]()
    for sample in found.samples:
        try:
            if reason := mismatch(records.record(sample.name), data, sample):
                raise MissingMaskError(reason)
            height, width, _ = data.read_image(sample).shape
            pixels = masks.check(sample, (height, width))
            agreement.add(sample.name, sample.tags, pixels)
            usable.append(sample)
        except MissingMaskError as error:
            missing.append(Problem(sample.source, str(error)))
        except ItemError as error:
            unread.append(Problem(sample.source, str(error)))
    if len(unread) >= _SEVERAL:  # most likely a person has edited them, so they are the most valuable ones
        raise DataError(
            f"{len(unread)} masks in {masks.folder} cannot be used: {summary(unread, 2)}; correct them, or "
            "remove them to leave these photographs out"
        )
    agreement.refuse_nothing()
    notes = (*masks.numbering.all_notes, *(check.text for check in agreement.checks()))
    return usable, [*found.problems, *missing, *unread], notes


def masks_digest(found: Scan, masks: Masks) -> str:
    """Return the digest of the content of all masks, wherever they lie, and of the numbering of their classes."""
    whole = hashlib.sha256(masks.numbering.key.encode())
    for sample in found.samples:
        try:
            content = masks.stored.digest(sample.name)
        except ItemError:  # then it is left out, and the reason is told
            content = "none"
        whole.update(f"{sample.name} {content}\n".encode())
    return f"sha256:{whole.hexdigest()}"
