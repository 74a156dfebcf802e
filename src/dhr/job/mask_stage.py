"""Makes all masks: photographs are opened ahead, batches are computed, and files are written behind."""

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from dhr.data.samples import Problem, Sample
from dhr.errors import ItemError
from dhr.flow.ahead import ahead_in_batches
from dhr.flow.behind import Behind
from dhr.flow.halving import BatchSize
from dhr.flow.loaded import Loaded
from dhr.job.drafts import BUDGET, Drafts, Photograph
from dhr.job.kept import Kept, Space, class_ids
from dhr.job.masks import MaskMaker
from dhr.job.scan import Scan
from dhr.method.order import OVER_CLASSES
from dhr.models.sam import Embedding
from dhr.progress import Progress, Step
from dhr.types import Rebalanced

_MEMORY = "not enough memory to work on it; lower --image.long-side"
_WRITERS, _FINISHERS = 4, 16  # threads at most; on a CPU they also correct boundaries, each on one core

Opened = tuple[Photograph, Kept | None]
"""A photograph with its draft, if one was kept."""


@runtime_checkable
class Results(Protocol):
    """Where the masks of photographs go, such as files. Methods are called in several threads, once per photograph."""

    def unfinished(self, found: Scan) -> Sequence[Sample]:
        """Return the photographs whose masks are missing."""
        ...

    def make_room(self, name: str) -> None:
        """Prepare a photograph's mask to be made again."""
        ...

    def write(self, photograph: Photograph, result: Rebalanced, start: float, before: float) -> bool:
        """Write a mask with its record.

        Args:
            photograph: the photograph.
            result: that of the method, for it alone.
            start: when the work on its mask began, by ``time.perf_counter()``.
            before: seconds of earlier work on it.

        Returns:
            Whether another mask was there, which was put aside.

        Raises:
            ItemError: the photograph's mask cannot be written.
            OutputError: no mask can be written.
        """
        ...


class MaskStage:
    """Makes all unfinished masks of a stage."""

    def __init__(self, maker: MaskMaker, results: Results, size: BatchSize, space: Space) -> None:
        """Take the maker and the place of the masks, the size of batches, and the space for drafts made here."""
        self.maker, self.results, self.size, self.space = maker, results, size, space
        self.drafts: Drafts = maker.drafts
        self.device = self.drafts.models.device
        self.together = self.device.type != "cpu"
        """Whether the photographs of a batch are finished together, so that the bytes of a mask depend on all of them;
        on a CPU each is finished by itself, behind the networks."""
        self.failed: dict[str, str] = {}
        """Photographs without a mask, by name, and the reason."""
        self.aside: list[str] = []
        """Photographs with another mask that was put aside."""

    def run(self, batches: Sequence[tuple[Sample, ...]], name: str, progress: Progress) -> list[Problem]:
        """Make the masks; return the problems.

        A batch is computed as a whole if a single mask of it is missing, so that its bytes do not depend on what was
        there.

        Args:
            batches: all photographs.
            name: of the stage.
            progress: called as the work goes on.
        """
        todo = {sample.name for sample in self.results.unfinished(self.drafts.found)}
        total = sum(map(len, batches))
        done = total - len(todo)
        wanted = [batch for batch in batches if any(sample.name in todo for sample in batch)]
        workers = min(_WRITERS if self.together else _FINISHERS, torch.get_num_threads())
        with Behind(workers=workers, budget=BUDGET) as behind:
            for batch in ahead_in_batches(wanted, self._open, weigh=self.drafts.weight, budget=BUDGET):
                progress(Step(name, done, total))
                names = {sample.name for sample, _ in batch} & todo
                done += len(names)
                for sample, _ in batch:
                    if sample.name in names:
                        self.results.make_room(sample.name)
                self._make(self._opened(batch, names), names, behind)
        progress(Step(name, total, total))
        samples = [sample for batch in batches for sample in batch if sample.name in self.failed]
        return [Problem(sample.source, self.failed[sample.name]) for sample in samples]

    def _open(self, sample: Sample) -> Opened:
        known = None if self.drafts.second or not sample.tags else self.drafts.kept(sample)
        return self.drafts.open(sample), known

    def _opened(self, batch: Sequence[tuple[Sample, Loaded[Opened]]], names: set[str]) -> list[Opened]:
        found = []
        for sample, loaded in batch:
            try:
                found.append(loaded.get())
            except ItemError as error:
                self._fail(names, sample, str(error))
            except (MemoryError, torch.OutOfMemoryError):
                self._fail(names, sample, _MEMORY)
        return found

    def _fail(self, names: set[str], sample: Sample, reason: str) -> None:
        if sample.name in names:
            self.failed[sample.name] = reason

    def _make(self, opened: Sequence[Opened], names: set[str], behind: Behind) -> None:
        """Make the masks of ``names`` among the photographs of a batch."""
        wanted = [one for one in opened if one[0].sample.name in names]
        if wanted and not wanted[0][0].sample.tags:
            for one, _ in wanted:
                behind.put(partial(self._write, one, partial(self.maker.background, one), 0.0))
        elif wanted:
            needed = opened if self.together else wanted
            known = all(draft is not None for _, draft in needed)
            for some, loaded in self.size.attempt(needed if known else opened, partial(self._computed, known)):
                try:
                    computed = loaded.get()
                except (MemoryError, torch.OutOfMemoryError):
                    self._fail(names, some[0][0].sample, _MEMORY)
                    continue
                for one, _ in some:
                    if one.sample.name in computed.failed:
                        self._fail(names, one.sample, str(computed.failed[one.sample.name]))
                self._put(computed, [one for one, _ in some if one.sample.name in names], behind)
                self._keep(computed, {one.sample.name for one, draft in some if draft is not None}, behind)

    def _computed(self, known: bool, batch: Sequence[Opened]) -> "_Computed":
        """Return drafts of a batch, those that are ``known`` or new ones; together they are finished, too."""
        start, failed = time.perf_counter(), {}
        parts = [draft for _, draft in batch if draft is not None]
        if not known:
            made = self.drafts([one for one, _ in batch])
            parts, failed = [*made.parts], {**made.failed}
        elif self.together:
            parts = [Kept.together(parts).to(self.device)]
        good = {one.sample.name: one.image for one, _ in batch if one.sample.name not in failed}
        embeddings, lost = self._embedded(good)
        failed, good = {**failed, **lost}, {name: image for name, image in good.items() if name not in lost}
        finished = [self._finished(part, good, embeddings) for part in parts] if self.together else []
        return _Computed(parts, failed, finished, embeddings, (time.perf_counter() - start) / len(batch))

    def _embedded(self, good: Mapping[str, Tensor]) -> tuple[dict[str, Embedding], dict[str, BaseException]]:
        """Return the embedding of each photograph, if the correction needs one, or the reason why it has none."""
        if not good or self.drafts.models.sam is None:
            return {}, {}
        try:
            made = self.maker.embed(torch.stack([*good.values()]))
        except ItemError as error:
            if len(good) == 1:
                return {}, dict.fromkeys(good, error)
            parts = [self._embedded({name: image}) for name, image in good.items()]
            return {k: v for one, _ in parts for k, v in one.items()}, {
                k: v for _, one in parts for k, v in one.items()
            }
        return ({} if made is None else {name: made.one(index) for index, name in enumerate(good)}), {}

    def _finished(
        self, part: Kept, good: Mapping[str, Tensor], embeddings: Mapping[str, Embedding]
    ) -> "_Finished | None":
        """Finish the photographs of a part for which there are images."""
        places = [index for index, sample in enumerate(part.samples) if sample.name in good]
        if not places:
            return None
        if len(places) < len(part.samples):
            part = Kept.together([part.one(index, self.drafts.data.classes) for index in places])
        names = [sample.name for sample in part.samples]
        embedding = Embedding.together([embeddings[name] for name in names]) if embeddings else None
        return _Finished(names, self.maker.finish(part, torch.stack([good[name] for name in names]), embedding))

    def _put(self, computed: "_Computed", wanted: Sequence[Photograph], behind: Behind) -> None:
        """Have the masks of photographs written; if they are not finished yet, each is finished before."""
        classes = self.drafts.data.classes
        photographs = {one.sample.name: one for one in wanted if one.sample.name not in computed.failed}
        for whole in filter(None, computed.finished):
            weight = whole.result.scores[0].numel() * whole.result.scores.element_size()
            for index, name in enumerate(whole.names):
                if photograph := photographs.get(name):
                    finish = partial(alone, whole.result, index, len(class_ids(classes, photograph.sample)))
                    behind.put(partial(self._write, photograph, finish, computed.seconds), weight)
        for part in () if self.together else computed.parts:
            for index, sample in enumerate(part.samples):
                if photograph := photographs.get(sample.name):
                    one, image = part.one(index, classes), photograph.image
                    embedding = computed.embeddings.get(sample.name)
                    finish = partial(self.maker.finish, one, image[None], embedding)
                    weight = one.size + 4 * image.numel() + (0 if embedding is None else embedding.bytes)
                    behind.put(partial(self._write, photograph, finish, computed.seconds), weight)

    def _keep(self, computed: "_Computed", kept: Container[str], behind: Behind) -> None:
        """Have drafts that were made here kept for later updates, until the space is full."""
        for part in computed.parts:
            for index, sample in enumerate(part.samples):
                if not self.space.full and sample.name not in kept and sample.name not in computed.failed:
                    one = part.one(index, self.drafts.data.classes).to(torch.device("cpu"))
                    if self.space.take(one.size):
                        behind.put(partial(self.drafts.keep, one), one.size)

    def _write(self, photograph: Photograph, finish: Callable[[], Rebalanced], before: float) -> None:
        """Finish a mask and write it; failures that concern the photograph are noted."""
        name, start = photograph.sample.name, time.perf_counter()
        try:
            if self.results.write(photograph, finish(), start, before):
                self.aside.append(name)
        except ItemError as error:
            self.failed[name] = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            self.failed[name] = _MEMORY


@dataclass(frozen=True)
class _Finished:
    """The result of some photographs."""

    names: Sequence[str]
    result: Rebalanced


@dataclass(frozen=True)
class _Computed:
    """What was computed of a batch."""

    parts: Sequence[Kept]
    failed: Mapping[str, BaseException]
    """Photographs without a usable draft, by name."""
    finished: Sequence[_Finished | None]
    """The results of the parts, if they are finished together."""
    embeddings: Mapping[str, Embedding]
    """Of the photographs, by name, if `boundary.kind` is sam."""
    seconds: float
    """For each photograph."""


def alone(result: Rebalanced, index: int, classes: int) -> Rebalanced:
    """Return the result of one photograph of a batch, which has this many classes, without padding."""

    def cut(name: str) -> torch.Tensor:
        value: torch.Tensor = getattr(result, name)[index : index + 1]
        if name in (*OVER_CLASSES, "groups", "order"):
            value = value[:, :classes]
        return value[:, :, :classes] if name == "groups" else value

    return replace(result, **{one.name: cut(one.name) for one in fields(Rebalanced)})
