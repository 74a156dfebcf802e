"""What every reader makes: photographs that lie somewhere, their tags, and where their truth comes from."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dhr.data.background import background_notes
from dhr.data.ground_truth import GroundTruth, NoGroundTruth, stray_notes
from dhr.data.images import MAX_BYTES, Content, read_rgb, read_size
from dhr.data.listing import mask_key, overwritten, printable, too_long
from dhr.data.problems import summary
from dhr.data.samples import UNTAGGED, ClassTable, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.files import digest_regular


@runtime_checkable
class Kept(Protocol):
    """A photograph that is kept in another file, and is read from it when it is needed."""

    def load(self) -> Content:
        """Its bytes.

        Raises:
            ItemError: they cannot be read.
        """
        ...


@dataclass(frozen=True)
class Found:
    """A photograph as a reader found it, usable or not."""

    name: str
    """Relative POSIX path without suffix."""
    source: str
    """What a person would look for."""
    image: Path | Kept
    tags: tuple[int, ...]
    """Class ids, in any order; empty where ``reason`` is given, and for a negative (see
    :class:`~dhr.data.samples.Sample`)."""
    truth: GroundTruth | None = None
    """:class:`~dhr.data.ground_truth.NoGroundTruth` where it should be there, and why it is not."""
    reason: str | None = None
    """Why it cannot be used."""
    unread: str | None = None
    """A thing in its annotation that the reader does not understand, by place and kind. The photograph is then left
    out, unless the user says that such things do not count."""


class StoredDataSet:
    """Photographs that a reader found; implements :class:`~dhr.data.samples.DataSet`.

    Two photographs whose masks would have the same name are both left out.

    Args:
        where: the folder, and the split if any, for messages.
        classes: the class table.
        found: the photographs, in any order.
        problems: what else the listing left out.
        remedy: what to do if there is no photograph at all.
        notes: what the reader decided by itself.
        ignore_unknown: use photographs whose annotations hold things that are not understood; a note counts them.
        stray_ground_truth: files of ground truth that are the mask of no photograph; a note names them.

    Raises:
        DataError: no photograph is usable.
    """

    def __init__(
        self,
        where: str,
        classes: ClassTable,
        found: Iterable[Found],
        problems: Iterable[Problem] = (),
        remedy: str = "",
        notes: Iterable[str] = (),
        ignore_unknown: bool = False,
        stray_ground_truth: Iterable[Problem] = (),
    ) -> None:
        self._where, self.classes = where, classes
        self.stray_ground_truth = tuple(stray_ground_truth)
        unread: list[str] = []
        broken = list(problems)
        self._found: dict[str, Found] = {}
        same: dict[str, list[Found]] = defaultdict(list)
        for one in found:
            same[mask_key(one.name)].append(one)
        samples = []
        for group in same.values():
            for one in group:
                reason = one.reason or too_long(one.name)
                if len(group) > 1:
                    reason = overwritten([other.source for other in group if other is not one])
                elif reason is None and one.unread is not None:
                    unread.append(one.unread)
                    if not ignore_unknown:
                        reason = f"{one.unread} is not read; remove it, or ignore all such things with --ignore_unknown"
                if reason is None and not one.tags and not classes.background:
                    reason = UNTAGGED
                if reason is None:
                    self._found[one.name] = one
                    tags = tuple(sorted(set(one.tags)))
                    samples.append(
                        Sample(one.name, printable(one.source), tags, has_ground_truth=_has_ground_truth(one))
                    )
                else:
                    broken.append(Problem(printable(one.source), reason))
        if not samples:
            raise DataError(f"{where}: no usable photograph; {summary(broken, 3) or remedy}")
        self.samples = tuple(sorted(samples, key=lambda sample: sample.name))
        self.problems = tuple(broken)
        self.notes = (
            *classes.notes,
            *notes,
            *self._negatives(),
            *background_notes(classes, self.samples),
            *_passed_over(unread if ignore_unknown else []),
            *_without_truth(self._found.values()),
            *stray_notes(self.stray_ground_truth),
        )

    def _negatives(self) -> list[str]:
        bare = [sample for sample in self.samples if not sample.tags]
        if not bare:
            return []
        whole = f"{len(bare)} of {len(self.samples)} photographs"
        return [f"{whole} have no tag and count as background throughout, such as {bare[0].source}"]

    def digest(self, sample: Sample) -> str:
        """SHA-256, in hex, of the photograph's bytes.

        Raises:
            ItemError: it cannot be read.
        """
        image = self._one(sample).image
        if not isinstance(image, Path):
            return hashlib.sha256(image.load().data).hexdigest()
        try:
            return digest_regular(image, MAX_BYTES)
        except OSError as error:
            raise ItemError(f"{image}: cannot be read: {error.strerror or error}; check the file") from error

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph: RGB, upright; see :func:`~dhr.data.images.read_rgb`.

        Raises:
            ItemError: it cannot be read.
        """
        return read_rgb(_loaded(self._one(sample).image))

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`, of the size of the upright photograph.

        Raises:
            ItemError: there is none, it cannot be read, has another size, or ids that are no class.
        """
        one = self._one(sample)
        if one.truth is None:
            raise ItemError(f"{one.source}: there is no ground-truth mask of it; add one")
        return one.truth.read(read_size(_loaded(one.image)))

    def _one(self, sample: Sample) -> Found:
        try:
            return self._found[sample.name]
        except KeyError:
            raise ItemError(
                f"{sample.name!r} is not a photograph of {self._where}; take samples from this data set"
            ) from None


def _has_ground_truth(one: Found) -> bool:
    return one.truth is not None and not isinstance(one.truth, NoGroundTruth)


def _without_truth(found: Iterable[Found]) -> list[str]:
    """A note on photographs that have tags, but no ground truth, since some of it is missing."""
    lost = sorted((one.name, one.truth.reason) for one in found if isinstance(one.truth, NoGroundTruth))
    if not lost:
        return []
    name, reason = lost[0]
    return [f"photographs without ground truth that are tagged: {len(lost)}, such as {printable(name)!r} ({reason})"]


def _passed_over(unread: list[str]) -> list[str]:
    if not unread:
        return []
    what = f"{len(unread)} photographs have things in their annotations that are not read and do not count"
    return [f"{what}, such as {unread[0]}"]


def _loaded(image: Path | Kept) -> Path | Content:
    return image if isinstance(image, Path) else image.load()
