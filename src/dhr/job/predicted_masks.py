"""The masks of `dhr predict` in files: those that are not finished are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from jaxtyping import UInt8

from dhr.corrections.decisions import DecisionReader
from dhr.corrections.validity import outdated
from dhr.data.image_files import digest_image
from dhr.data.images import read_rgb, read_size
from dhr.data.palette import class_palette
from dhr.data.photographs import Photograph
from dhr.data.samples import Problem
from dhr.errors import ItemError
from dhr.files import digest_regular, write_json
from dhr.flow.ahead import ahead
from dhr.flow.halving import BatchSize, automatic
from dhr.job.drafts import group_size
from dhr.job.items import Items
from dhr.job.job import Job
from dhr.job.person_masks import Present
from dhr.job.segment import Segmenter, Wanted
from dhr.job.segment_batches import SegmentBatches, Todo
from dhr.progress import Step
from dhr.records.members import to_json
from dhr.words import printable

Tags = Mapping[str, tuple[tuple[int, ...], str | None]]
"""Tags by name of the photograph, or why its tags cannot be used."""


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

    @cached_property
    def listed(self) -> Mapping[str, Photograph]:
        """The photographs by name."""
        return {one.name: one for one in self.photographs}

    def __call__(self, job: Job) -> None:
        """Make the masks; failures become problems of the job, in the order of the photographs.

        Batches lie within groups of consecutive photographs, as on a cluster.
        """
        try:
            todo = self._look(job)
            most = job.record.batch or automatic(self.segment.device, self.segment.long_side**2)
            size = BatchSize(most, partial(_note, job))
            job.save(batch=most)
            work = SegmentBatches(self.segment, self._read, self._written, self.problems)
            for _ in work.run(self._groups(todo), size):
                self._progress(job, "predict", len(self.made) + len(self.problems))
                if size.most != job.record.batch:
                    job.save(batch=size.most)
        finally:
            named = [one for one in self.photographs if one.name in self.problems]
            job.problems += [Problem(_source(one), self.problems[one.name]) for one in named]
        self._progress(job, "predict", len(self.photographs))

    def _progress(self, job: Job, stage: str, done: int) -> None:
        job.progress(Step(stage, done, len(self.photographs)))

    def _groups(self, todo: Sequence[Todo]) -> list[list[Todo]]:
        """Return the photographs in groups; those that cannot be used have their places, too."""
        places = {one.name: place for place, one in enumerate(self.photographs)}
        groups: dict[int, list[Todo]] = {}
        for one in todo:
            groups.setdefault(places[one.name] // group_size(self.segment.device), []).append(one)
        return [*groups.values()]

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
        classes, name, source = self.items.classes, photograph.name, _source(photograph)
        allowed = None if self.tags is None else self.tags[name][0]
        tags = tuple(classes.names[tag] for tag in allowed or ())
        correction = self.reader.read(name, partial(outdated, digest=digest, given=tags, classes=classes))
        present = Present(name, digest, tags if correction is None else correction.tags, tags, source)
        finished = self.items.settle(present)
        if finished:
            self.made.append(photograph)
        return Todo(name, source, digest, Wanted(size, allowed), tags, self.segment.long_side, finished)

    def _read(self, one: Todo) -> UInt8[np.ndarray, "h w 3"]:
        path = self.listed[one.name].path
        rgb = read_rgb(path)
        if rgb.shape[:2] != one.wanted.size or digest_image(path) != one.digest:
            raise ItemError(f"{path}: it changed while it was read; start again when nobody changes it")
        return rgb

    def _written(self, one: Todo, labels: UInt8[np.ndarray, "h w"], quality: float) -> None:
        """Write a mask and then its record."""
        name, folder = one.name, self.items.folder
        self.items.make_room(name)
        if folder.write_mask(name, labels, self.palette):
            self.aside.append(name)
        record = one.record(labels, quality, digest_regular(folder.mask(name)), self.items.classes)
        write_json(folder.item(name), to_json(record))
        self.made.append(self.listed[name])


def _looked(photograph: Photograph) -> tuple[str, tuple[int, int]]:
    """Return the digest of a photograph, and its height and width."""
    return digest_image(photograph.path), read_size(photograph.path)


def _source(photograph: Photograph) -> str:
    return printable(str(photograph.path))


def _note(job: Job, line: str) -> None:
    job.notes.append(f"{line[0].upper()}{line[1:]}.")
