"""Segments photographs in batches: they are read ahead, and their masks are finished behind the network."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor

from dhr.data.samples import ClassTable
from dhr.data.transforms import WORKING_BYTES, working_image, working_size
from dhr.errors import ItemError
from dhr.flow.ahead import ahead_in_batches
from dhr.flow.batches import batches
from dhr.flow.behind import Behind
from dhr.flow.halving import BatchSize
from dhr.flow.loaded import Loaded
from dhr.job.segment import Segmented, Segmenter, Wanted
from dhr.records.item import ItemRecord, table_key

_FLOAT = 4  # bytes
_BAND = 1 << 20  # pixels


@dataclass(frozen=True)
class Todo:
    """A photograph that can be segmented."""

    name: str
    source: str
    """Its name for people."""
    digest: str
    wanted: Wanted
    tags: tuple[str, ...]
    long_side: int
    """Of its working image, at most."""
    finished: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of its working image."""
        return working_size(*self.wanted.size, self.long_side)

    @property
    def weight(self) -> int:
        """Bytes that it takes while it is read: the photograph, and its working image."""
        (height, width), (tall, wide) = self.wanted.size, self.shape
        return 0 if self.finished else 3 * height * width + WORKING_BYTES * tall * wide

    def record(self, labels: UInt8[np.ndarray, "h w"], quality: float, mask: str, classes: ClassTable) -> ItemRecord:
        """Return the record of its mask, whose file has the digest ``mask``."""
        shares = _shares(labels)
        ratios = {known: round(float(shares[id]), 5) for id, known in enumerate(classes.names) if shares[id] > 0}
        return ItemRecord(
            digest=self.digest, width=labels.shape[1], height=labels.shape[0], tags=self.tags, ratios=ratios,
            vanished=tuple(tag for tag in self.tags if tag not in ratios), image=self.source, quality=quality,
            mask=mask, table=table_key(classes.names, classes.background),
        )  # fmt: skip


@dataclass
class SegmentBatches:
    """Segments photographs."""

    segment: Segmenter
    read: Callable[[Todo], UInt8[np.ndarray, "h w 3"]]
    """Reads a photograph; raises ItemError also if it is not that of its digest."""
    write: Callable[[Todo, UInt8[np.ndarray, "h w"], float], None]
    """Keeps a mask with its confidence; called in another thread."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why photographs have no mask, by name."""

    def run(self, groups: Iterable[Sequence[Todo]], size: BatchSize) -> Iterator[None]:
        """Make the masks that are not finished; yield after each batch.

        Batches hold all photographs of a group with one working size, finished or not. In place of a finished
        photograph, or of one that fails, the network gets an empty image. So a call that goes on computes the same
        bytes as one that was never interrupted, and a group has the same masks wherever it is worked on.
        """
        found = [batch for group in groups for batch in batches(group, lambda one: one.shape, size.whole)]
        with Behind() as behind:
            unfinished = [batch for batch in found if not all(one.finished for one in batch)]
            for batch in ahead_in_batches(unfinished, self._load, weigh=lambda one: one.weight):
                for part, loaded in size.attempt(batch, self._begin):
                    self._finish(part, loaded, behind)
                yield

    def _load(self, one: Todo) -> Float[Tensor, "3 h w"] | None:
        """Return the working image of a photograph; None if it is finished."""
        return None if one.finished else working_image(self.read(one), one.long_side)

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
            self.problems[one.name] = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            self.problems[one.name] = _NO_MEMORY
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
            self.problems[batch[0][0].name] = _NO_MEMORY
            return
        for (one, _), finish in zip(batch, parts, strict=True):
            if finish is not None:
                height, width = one.wanted.size
                weight = height * width + _FLOAT * len(self.segment.classes.names) * one.shape[0] * one.shape[1]
                behind.put(partial(self._write, one, finish), weight)

    def _write(self, one: Todo, finish: Callable[[], Segmented]) -> None:
        """Finish the mask of a photograph, and keep it."""
        try:
            self.write(one, *finish())
        except ItemError as error:
            self.problems[one.name] = str(error)
        except (MemoryError, torch.OutOfMemoryError):
            self.problems[one.name] = _NO_MEMORY


_NO_MEMORY = "not enough memory to work on it; lower --long-side"


def _shares(labels: UInt8[np.ndarray, "h w"]) -> Float64[np.ndarray, "256"]:
    """Return the share of each id; bincount takes 8 bytes for each pixel that it gets."""
    flat = labels.reshape(-1)
    parts = (np.bincount(flat[start : start + _BAND], minlength=256) for start in range(0, flat.size, _BAND))
    shares: Float64[np.ndarray, 256] = sum(parts, np.zeros(256)) / flat.size
    return shares
