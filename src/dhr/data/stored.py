"""Data sets on disk: all readers fill a :class:`Draft` and finish it as a :class:`StoredDataSet`."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from dhr.data.background import background_notes
from dhr.data.ground_truth import GroundTruth, InMaskFile, MaskFile, NoGroundTruth, ground_truth_files, stray_notes
from dhr.data.image_files import Content, digest_image
from dhr.data.images import SUFFIXES, read_rgb, read_size
from dhr.data.labels import plain
from dhr.data.listing import mask_key, name_of, overwritten, too_long
from dhr.data.places import chosen_split
from dhr.data.problems import summary
from dhr.data.samples import UNTAGGED, ClassTable, DataSet, Problem, Sample, Tagged
from dhr.errors import DataError, ItemError
from dhr.progress import Progress, Step, silent
from dhr.words import counted, printable


@runtime_checkable
class Kept(Protocol):
    """A photograph inside another file, read on demand; its text names its place."""

    def load(self) -> Content:
        """Return its bytes, or raise ItemError."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A photograph that a reader found, usable or not."""

    name: str
    """Relative POSIX path without suffix."""
    image: Path | Kept
    """The photograph; its text names its place for messages."""
    tagged: Tagged
    ground_truth: GroundTruth | None = None
    """:class:`~dhr.data.ground_truth.NoGroundTruth` if its annotation should hold it but does not."""


@dataclass(frozen=True, slots=True)
class _Usable:
    """The part of a usable photograph that a data set keeps."""

    image: str | Kept
    """A path is kept as text: a Path takes five times the memory."""
    ground_truth: GroundTruth | None

    def loaded(self) -> Path | Content:
        """Return the path of the photograph, or its content if it is inside another file."""
        return Path(self.image) if isinstance(self.image, str) else self.image.load()


@dataclass
class Draft:
    """A data set that is being read: what the caller asked for, and what the reader has found so far."""

    root: Path
    split: str | None = None
    progress: Progress = silent
    ignore_unknown: bool = False
    """Use photographs with annotations that the reader does not support; a note counts them."""
    found: list[Found] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Other things that are left out."""
    notes: list[str] = field(default_factory=list)
    """Decisions of the reader."""
    stray_ground_truth: list[Problem] = field(default_factory=list)
    """Files of ground truth that belong to no photograph; a note names them."""

    def add(
        self,
        images: Path,
        files: Iterable[str],
        tags_of: Callable[[str], Tagged],
        masks: Mapping[str, GroundTruth],
        prefix: str = "",
    ) -> None:
        """Add photographs of the folder ``images``, with the masks of their names; ``prefix`` precedes these names."""
        files = list(files)
        for number, file in enumerate(files, start=1):
            if number % 500 == 0:
                self.progress(Step("open", number, len(files)))
            name = prefix + name_of(file, SUFFIXES)
            self.found.append(Found(name, images / file, tags_of(file), masks.get(name)))

    def masks(self, folder: Path, names: Iterable[str]) -> Mapping[str, Path]:
        """Return the masks of a folder by photograph, and note the others; see :func:`ground_truth_files`."""
        files = ground_truth_files(folder, names)
        self.stray_ground_truth += files.stray
        return files.by_name

    def finish(self, classes: ClassTable, remedy: str, folder: Path | None = None) -> "StoredDataSet":
        """Make the data set; see :class:`StoredDataSet`."""
        return StoredDataSet(self, classes, remedy, folder)

    def choose(self, known: Sequence[str]) -> list[str]:
        """Return the splits to read: all that are ``known``, or the one that was asked for by any of its names."""
        if self.split is None:
            return list(known)
        self.split = chosen_split(self.root, self.split, known)
        return [self.split]


@dataclass(frozen=True)
class Reader:
    """Recognises and reads one data format."""

    looks_for: str
    """The files that it looks for, for messages and the manual."""
    fits: Callable[[Path], bool]
    """Whether a folder has this format; opens no photograph."""
    read: Callable[[Draft], DataSet]
    """Reads the folder of a draft. Raises DataError if the folder does not have this format, is damaged, or has no such
    split or no usable photograph."""
    published: bool = False
    """Whether it is the format of a published data set. Two of these that fit the same folder are refused."""
    needs: tuple[tuple[str, ...], ...] = ()
    """Parts of the format, for advice on folders that lack one: of each group, one must exist."""


class StoredDataSet:
    """Photographs that a reader found; implements :class:`~dhr.data.samples.DataSet`.

    Two photographs whose masks would have the same name are both left out.

    Args:
        draft: all that was found.
        classes: the class table.
        remedy: what to do if there is no photograph at all.
        folder: the folder that messages name; by default the root of the draft.

    Raises:
        DataError: no photograph is usable.
    """

    def __init__(self, draft: Draft, classes: ClassTable, remedy: str = "", folder: Path | None = None) -> None:
        self._where = f"{folder or draft.root}" + ("" if draft.split is None else f" in split {draft.split!r}")
        self.classes = classes
        self.stray_ground_truth = tuple(draft.stray_ground_truth)
        self._found: dict[str, _Usable] = {}
        same_tags: dict[tuple[int, ...], tuple[int, ...]] = {}
        unread: list[str] = []
        problems = draft.problems
        same: dict[str, list[Found]] = defaultdict(list)
        for one in draft.found:
            same[mask_key(one.name)].append(one)
        samples = []
        for one in draft.found:
            others, tagged = [other for other in same[mask_key(one.name)] if other is not one], one.tagged
            reason = tagged.reason or too_long(one.name)
            if others:
                reason = overwritten([str(other.image) for other in others])
            elif reason is None and tagged.unread is not None:
                unread.append(tagged.unread)
                if not draft.ignore_unknown:
                    reason = f"{tagged.unread} is not read; remove it, or ignore all such things with --ignore-unknown"
            if reason is None and not tagged.tags and not classes.background:
                reason = UNTAGGED
            source = printable(str(one.image))
            if reason is None:
                image = str(one.image) if isinstance(one.image, Path) else one.image
                self._found[one.name] = _Usable(image, one.ground_truth)
                truth = one.ground_truth is not None and not isinstance(one.ground_truth, NoGroundTruth)
                tags = tuple(sorted(tag for tag in {*tagged.tags} if tag in classes.foreground))
                samples.append(Sample(one.name, source, same_tags.setdefault(tags, tags), has_ground_truth=truth))
            else:
                problems.append(Problem(source, reason))
        if not samples:
            raise DataError(f"{self._where}: no usable photograph; {summary(problems, 3) or remedy}")
        self.samples = tuple(sorted(samples, key=lambda sample: sample.name))
        self.problems = tuple(problems)
        notes = (
            *classes.notes,
            *dict.fromkeys(draft.notes),
            *negative_notes(self.samples),
            *background_notes(classes, self.samples),
            *_ignored(unread if draft.ignore_unknown else []),
            *_without_ground_truth(self._found),
            *stray_notes(self.stray_ground_truth),
        )
        self.notes = tuple(map(printable, notes))

    def __repr__(self) -> str:
        photographs = counted(len(self.samples), "photograph")
        classes = counted(len(self.classes.names), "class", "classes")
        return f"{type(self).__name__}({photographs}, {classes}, {self._where})"

    def digest(self, sample: Sample) -> str:
        """Return the SHA-256 of the photograph's bytes, in hex; raises ItemError if it cannot be read."""
        image = self._one(sample).loaded()
        return digest_image(image) if isinstance(image, Path) else hashlib.sha256(image.data).hexdigest()

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Read the photograph: RGB, upright; see :func:`~dhr.data.images.read_rgb`."""
        return read_rgb(self._one(sample).loaded())

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Return class ids and :data:`~dhr.data.samples.VOID`, of the size of the upright photograph.

        Raises:
            ItemError: the mask is missing, cannot be read, has another size, or holds ids of no class.
        """
        one = self._one(sample)
        if one.ground_truth is None:
            raise ItemError(f"{one.image}: it has no ground-truth mask; add one")
        return one.ground_truth.read(read_size(one.loaded()))

    def place(self, sample: Sample) -> str | Content:
        """Return the path of the photograph's file, or its content if it is inside another file.

        Raises:
            ItemError: its content cannot be read.
        """
        image = self._one(sample).image
        return image if isinstance(image, str) else image.load()

    def truth_place(self, sample: Sample) -> str | None:
        """Return the path of the ground truth if it is certain to be a mask of class ids; None for all other."""
        truth, path = self._one(sample).ground_truth, self.mask_file(sample)
        return str(path) if path and isinstance(truth, MaskFile) and truth.storage == plain(self.classes) else None

    def mask_file(self, sample: Sample) -> Path | None:
        """Return the file of the ground truth if it is a mask, of whatever numbers or colours."""
        truth = self._one(sample).ground_truth
        return truth.mask_file if isinstance(truth, InMaskFile) else None

    def _one(self, sample: Sample) -> _Usable:
        if sample.name not in self._found:
            raise ItemError(f"{sample.name!r} is not a photograph of {self._where}; take samples from this data set")
        return self._found[sample.name]


def negative_notes(samples: Sequence[Sample]) -> list[str]:
    """Note the photographs without tags, if there are any."""
    bare = [sample for sample in samples if not sample.tags]
    if not bare:
        return []
    many = f"{len(bare)} of {counted(len(samples), 'photograph')}"
    verbs = "has no tag and counts" if len(bare) == 1 else "have no tag and count"
    return [f"{many} {verbs} as background throughout, such as {bare[0].source}"]


def _without_ground_truth(found: Mapping[str, _Usable]) -> list[str]:
    """Note photographs that have tags but whose ground truth is incomplete."""
    lost = sorted(
        (name, one.ground_truth.reason) for name, one in found.items() if isinstance(one.ground_truth, NoGroundTruth)
    )
    if not lost:
        return []
    name, reason = lost[0]
    return [f"photographs without ground truth that are tagged: {len(lost)}, such as {name!r} ({reason})"]


def _ignored(unread: list[str]) -> list[str]:
    if not unread:
        return []
    verb = "has" if len(unread) == 1 else "have"
    many = f"{counted(len(unread), 'photograph')} {verb} things in their annotations that are not read and do not count"
    return [f"{many}, such as {unread[0]}"]
