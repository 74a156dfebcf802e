"""Makes all masks: photographs are opened ahead, batches are computed, and files are written behind."""

import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial

import torch

from dhr.data.samples import Problem, Sample
from dhr.errors import ItemError
from dhr.flow.ahead import ahead_in_batches
from dhr.flow.behind import Behind
from dhr.flow.halving import BatchSize
from dhr.flow.loaded import Loaded
from dhr.job.drafts import BUDGET, Drafts, Made, Photograph
from dhr.job.items import Items
from dhr.job.kept import Kept, class_ids
from dhr.job.masks import MaskMaker
from dhr.method.order import OVER_CLASSES
from dhr.progress import Progress, Step
from dhr.types import Rebalanced

_MEMORY = "not enough memory to work on it; lower --image.long-side"
_WRITERS = 4  # threads at most; on a CPU they also correct boundaries

Opened = tuple[Photograph, Kept | None]
"""A photograph with the draft that the survey has kept."""


class MaskStage:
    """Makes all unfinished masks of a stage."""

    def __init__(self, maker: MaskMaker, items: Items, size: BatchSize) -> None:
        self.maker, self.items, self.size = maker, items, size
        self.drafts: Drafts = maker.drafts
        self.device = self.drafts.models.device
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
        todo = {sample.name for sample in self.items.unfinished(self.drafts.found)}
        total = sum(map(len, batches))
        done = total - len(todo)
        wanted = [batch for batch in batches if any(sample.name in todo for sample in batch)]
        workers = min(_WRITERS, torch.get_num_threads())
        with Behind(workers=workers, budget=BUDGET) as behind:
            for batch in ahead_in_batches(wanted, self._open, weigh=self.drafts.weight, budget=BUDGET):
                progress(Step(name, done, total))
                names = {sample.name for sample, _ in batch} & todo
                done += len(names)
                for sample, _ in batch:
                    if sample.name in names:
                        self.items.make_room(sample.name)
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
        wanted = {one.sample.name: (one, known) for one, known in opened if one.sample.name in names}
        if all(known is not None or not one.sample.tags for one, known in wanted.values()):
            parts = [known for _, known in wanted.values() if known is not None]
            for one, _ in wanted.values():
                if not one.sample.tags:
                    behind.put(partial(self._write, one, partial(self.maker.background, one), 0.0))
            if parts and self.device.type != "cpu":
                parts = [Kept.together(parts).to(self.device)]
            for part in parts:
                self._finish(part, wanted, 0.0, behind)
            return
        for some, loaded in self.size.attempt([one for one, _ in opened], self._timed):
            try:
                made, seconds = loaded.get()
            except (MemoryError, torch.OutOfMemoryError):
                self._fail(names, some[0].sample, _MEMORY)
                continue
            for sample in (one.sample for one in some if one.sample.name in made.failed):
                self._fail(names, sample, str(made.failed[sample.name]))
            there = {name: one for name, one in wanted.items() if name not in made.failed}
            for part in made.parts:
                self._finish(part, there, seconds / len(some), behind)

    def _timed(self, batch: Sequence[Photograph]) -> tuple[Made, float]:
        start = time.perf_counter()
        made = self.drafts(batch)
        return made, time.perf_counter() - start

    def _finish(self, part: Kept, wanted: dict[str, Opened], seconds: float, behind: Behind) -> None:
        """Finish drafts: on a CPU each photograph in a thread, beside the networks; elsewhere a whole batch at once."""
        classes, start = self.drafts.data.classes, time.perf_counter()
        places = [index for index, sample in enumerate(part.samples) if sample.name in wanted]
        photographs = [wanted[part.samples[index].name][0] for index in places]
        if self.device.type == "cpu":
            for index, photograph in zip(places, photographs, strict=True):
                one = part.one(index, classes)
                finish = partial(self.maker.finish, one, photograph.image[None])
                behind.put(partial(self._write, photograph, finish, seconds), one.size + 4 * photograph.image.numel())
        elif places:
            if len(places) < len(part.samples):
                part = Kept.together([part.one(index, classes) for index in places])
            whole = self.maker.finish(part, torch.stack([one.image for one in photographs]))
            seconds += (time.perf_counter() - start) / len(places)
            weight = whole.scores[0].numel() * whole.scores.element_size()
            for index, photograph in enumerate(photographs):
                finish = partial(alone, whole, index, len(class_ids(classes, photograph.sample)))
                behind.put(partial(self._write, photograph, finish, seconds), weight)

    def _write(self, photograph: Photograph, finish: Callable[[], Rebalanced], before: float) -> None:
        """Finish a mask and write it; failures that concern the photograph are noted."""
        name, start = photograph.sample.name, time.perf_counter()
        try:
            if self.maker.write(photograph, finish(), start, before):
                self.aside.append(name)
        except ItemError as error:
            self.failed[name] = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            self.failed[name] = _MEMORY


def alone(result: Rebalanced, index: int, classes: int) -> Rebalanced:
    """Return the result of one photograph of a batch, which has this many classes, without padding."""

    def cut(name: str) -> torch.Tensor:
        value: torch.Tensor = getattr(result, name)[index : index + 1]
        if name in (*OVER_CLASSES, "groups", "order"):
            value = value[:, :classes]
        return value[:, :, :classes] if name == "groups" else value

    return replace(result, **{one.name: cut(one.name) for one in fields(Rebalanced)})
