"""The masks of `dhr predict`: photographs are read ahead, segmented in batches, and their masks written behind."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from dhr.corrections.decisions import DecisionReader
from dhr.corrections.validity import outdated
from dhr.data.image_files import digest_image
from dhr.data.images import read_rgb, read_size
from dhr.data.listing import printable
from dhr.data.palette import class_palette
from dhr.data.photographs import Photograph
from dhr.data.samples import Problem
from dhr.data.transforms import WORKING_BYTES, working_image, working_size
from dhr.errors import ItemError
from dhr.files import digest_regular, write_json
from dhr.flow.ahead import ahead, ahead_in_batches
from dhr.flow.batches import batches
from dhr.flow.behind import Behind
from dhr.flow.halving import BatchSize, automatic
from dhr.flow.loaded import Loaded
from dhr.job.items import Items
from dhr.job.job import Job
from dhr.job.person_masks import Present
from dhr.job.segment import Segmented, Segmenter, Wanted
from dhr.progress import Step
from dhr.records.item import ItemRecord, table_key
from dhr.records.members import to_json

Tags = Mapping[str, tuple[tuple[int, ...], str | None]]
"""Tags by name of the photograph, or why its tags cannot be used."""

_FLOAT = 4  # bytes
_BAND = 1 << 20  # pixels


@dataclass(frozen=True)
class Todo:
    """A photograph that can be segmented."""

    photograph: Photograph
    present: Present
    wanted: Wanted
    tags: tuple[str, ...]
    shape: tuple[int, int]
    """Height and width of its working image."""
    finished: bool

    @property
    def weight(self) -> int:
        """Bytes that it takes while it is read: the photograph, and its working image."""
        (height, width), (tall, wide) = self.wanted.size, self.shape
        return 0 if self.finished else 3 * height * width + WORKING_BYTES * tall * wide


@dataclass
class SegmentPhotographs:
    """Makes the masks that are not finished."""

    photographs: Sequence[Photograph]
    items: Items
    reader: DecisionReader
    segment: Segmenter
    tags: Tags | None
    made: list[Photograph] = field(default_factory=list)
    """Photographs with a mask."""
    aside: list[str] = field(default_factory=list)
    """Photographs with another mask, which was put aside."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why photographs have no mask, by name."""

    @cached_property
    def palette(self) -> UInt8[np.ndarray, "256 3"]:
        """Colours of the classes."""
        return class_palette(self.items.classes)

    def __call__(self, job: Job) -> None:
        """Make the masks; failures become problems of the job, in the order of the photographs.

        Batches hold all photographs of one working size, finished or not. In place of a finished photograph, or of one
        that fails, the network gets an empty image. So a call that goes on computes the same bytes as one that was
        never interrupted.
        """
        try:
            todo = self._look(job)
            most = job.record.batch or automatic(self.segment.device, self.segment.long_side**2)
            size = BatchSize(most, partial(_note, job))
            job.save(batch=most)
            found = batches(todo, lambda one: one.shape, most)
            with Behind() as behind:
                unfinished = [batch for batch in found if not all(one.finished for one in batch)]
                for batch in ahead_in_batches(unfinished, self._load, weigh=lambda one: one.weight):
                    self._progress(job, "predict", len(self.made) + len(self.problems))
                    for part, loaded in size.attempt(batch, self._begin):
                        self._finish(part, loaded, behind)
                    if size.most != job.record.batch:
                        job.save(batch=size.most)
        finally:
            named = [one for one in self.photographs if one.name in self.problems]
            job.problems += [Problem(_source(one), self.problems[one.name]) for one in named]
        self._progress(job, "predict", len(self.photographs))

    def _progress(self, job: Job, stage: str, done: int) -> None:
        job.progress(Step(stage, done, len(self.photographs)))

    def _look(self, job: Job) -> list[Todo]:
        """Return the photographs that can be segmented, with what is known of them before they are decoded."""
        found = []
        usable = [one for one in self.photographs if not self._refused(one)]
        for done, (photograph, looked) in enumerate(ahead(usable, _looked), start=1):
            try:
                digest, size = looked.get()
                found.append(self._todo(photograph, digest, size))
            except ItemError as error:
                self.problems[photograph.name] = str(error)
            job.progress(Step("scan", done, len(usable)))
        return found

    def _refused(self, photograph: Photograph) -> bool:
        """Return whether the tags of a photograph forbid its use, and note the reason."""
        reason = None if self.tags is None else self.tags[photograph.name][1]
        if reason:
            self.problems[photograph.name] = reason
        return bool(reason)

    def _todo(self, photograph: Photograph, digest: str, size: tuple[int, int]) -> Todo:
        classes, name = self.items.classes, photograph.name
        allowed = None if self.tags is None else self.tags[name][0]
        tags = tuple(classes.names[tag] for tag in allowed or ())
        correction = self.reader.read(name, partial(outdated, digest=digest, given=tags, classes=classes))
        present = Present(name, digest, tags if correction is None else correction.tags, tags, _source(photograph))
        finished = self.items.settle(present)
        if finished:
            self.made.append(photograph)
        shape = working_size(*size, self.segment.long_side)
        return Todo(photograph, present, Wanted(size, allowed), tags, shape, finished)

    def _load(self, one: Todo) -> Float[Tensor, "3 h w"] | None:
        """Return the working image of a photograph; None if it is finished."""
        if one.finished:
            return None
        path = one.photograph.path
        rgb = read_rgb(path)
        if rgb.shape[:2] != one.wanted.size or digest_image(path) != one.present.digest:
            raise ItemError(f"{path}: it changed while it was read; start again when nobody changes it")
        return working_image(rgb, self.segment.long_side)

    def _begin(self, batch: Sequence[tuple[Todo, Loaded[Tensor | None]]]) -> list[Callable[[], Segmented] | None]:
        """Run the network on a batch."""
        shown = [self._shown(one, loaded) for one, loaded in batch]
        blank = torch.zeros(3, *batch[0][0].shape)
        images = torch.stack([blank if image is None else image for image in shown])
        if self.segment.device.type == "cuda":
            images = images.pin_memory()
        wanted = [None if image is None else one.wanted for (one, _), image in zip(batch, shown, strict=True)]
        return self.segment.begin(images, wanted)

    def _shown(self, one: Todo, loaded: Loaded[Tensor | None]) -> Tensor | None:
        """Return the working image of a photograph; None if it is finished, or cannot be read."""
        try:
            return loaded.get()
        except ItemError as error:
            self.problems[one.photograph.name] = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            self.problems[one.photograph.name] = _NO_MEMORY
        return None

    def _finish(
        self,
        batch: Sequence[tuple[Todo, Loaded[Tensor | None]]],
        loaded: Loaded[list[Callable[[], Segmented] | None]],
        behind: Behind,
    ) -> None:
        """Have the masks of a batch finished and written."""
        try:
            parts: Iterable[Callable[[], Segmented] | None] = loaded.get()
        except (MemoryError, torch.OutOfMemoryError):
            self.problems[batch[0][0].photograph.name] = _NO_MEMORY
            return
        for (one, _), finish in zip(batch, parts, strict=True):
            if finish is not None:
                height, width = one.wanted.size
                weight = height * width + _FLOAT * len(self.items.classes.names) * one.shape[0] * one.shape[1]
                behind.put(partial(self._write, one, finish), weight)

    def _write(self, one: Todo, finish: Callable[[], Segmented]) -> None:
        """Finish the mask of a photograph, and write it and then its record."""
        try:
            self._written(one, *finish())
            self.made.append(one.photograph)
        except ItemError as error:
            self.problems[one.photograph.name] = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            self.problems[one.photograph.name] = _NO_MEMORY

    def _written(self, one: Todo, labels: UInt8[np.ndarray, "h w"], quality: float) -> None:
        name, classes, folder = one.photograph.name, self.items.classes, self.items.folder
        self.items.make_room(name)
        if folder.write_mask(name, labels, self.palette):
            self.aside.append(name)
        shares = _shares(labels)
        ratios = {known: round(float(shares[id]), 5) for id, known in enumerate(classes.names) if shares[id] > 0}
        record = ItemRecord(
            digest=one.present.digest, width=labels.shape[1], height=labels.shape[0], tags=one.tags, ratios=ratios,
            vanished=tuple(tag for tag in one.tags if tag not in ratios), image=_source(one.photograph),
            quality=quality, mask=digest_regular(folder.mask(name)), table=table_key(classes.names, classes.background),
        )  # fmt: skip
        write_json(folder.item(name), to_json(record))


_NO_MEMORY = "not enough memory to work on it; lower --long-side"


def _looked(photograph: Photograph) -> tuple[str, tuple[int, int]]:
    """Return the digest of a photograph, and its height and width."""
    return digest_image(photograph.path), read_size(photograph.path)


def _shares(labels: UInt8[np.ndarray, "h w"]) -> Float64[np.ndarray, "256"]:
    """Return the share of each id; bincount takes 8 bytes for each pixel that it gets."""
    flat = labels.reshape(-1)
    parts = (np.bincount(flat[start : start + _BAND], minlength=256) for start in range(0, flat.size, _BAND))
    shares: Float64[np.ndarray, 256] = sum(parts, np.zeros(256)) / flat.size
    return shares


def _source(photograph: Photograph) -> str:
    return printable(str(photograph.path))


def _note(job: Job, line: str) -> None:
    job.notes.append(f"{line[0].upper()}{line[1:]}.")
