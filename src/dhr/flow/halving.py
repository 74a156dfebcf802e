"""The batch size: given or chosen, and halved when memory runs out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from dhr.flow.loaded import Loaded

T = TypeVar("T")
R = TypeVar("R")

_CPU_PIXELS = 2**18  # larger batches are no faster on a CPU, and memory is short there
_MOST = 64  # larger batches are no faster on a GPU either
_BYTES_PER_PIXEL = 8192  # of a network's activations for one photograph, generously
_SHARE = 0.5  # of the free memory of a GPU


def automatic(device: torch.device, pixels: int) -> int:
    """Return a batch size that suits a device, for photographs of this many pixels."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what earlier work has left to PyTorch is free as well
        free, _ = torch.cuda.mem_get_info(device)
        fits = int(free * _SHARE) // (pixels * _BYTES_PER_PIXEL)
        return 1 << (max(1, min(_MOST, fits)).bit_length() - 1)  # a power of two, so that free memory seldom matters
    return 1 << (max(1, min(8, _CPU_PIXELS // pixels)).bit_length() - 1)


@dataclass
class BatchSize:
    """The size of batches, which is halved when memory runs out.

    Results of half a batch may differ in the last bits from those of the whole, so the last size is recorded, and
    a call that goes on begins with it.
    """

    most: int
    """Photographs in a batch."""
    say: Callable[[str], object]
    """Takes the line that says that the size was halved."""
    whole: int = 0
    """The size before it was halved, by default ``most``. Batches are made of so many photographs, and then divided: so
    their parts are the same in a call that begins with the halved size."""

    def __post_init__(self) -> None:
        self.whole = self.whole or self.most

    def attempt(self, batch: Sequence[T], work: Callable[[Sequence[T]], R]) -> Iterator[tuple[Sequence[T], Loaded[R]]]:
        """Yield a batch with the result of ``work``; if memory runs out, its parts of at most half, a power of two.

        If memory runs out for a single item, its result is that failure, and the size stays, because the item is the
        cause. Other failures of ``work`` are raised at once.
        """
        parts = [batch]
        while parts:
            part = parts.pop(0)
            if len(part) > self.most:  # also what is left of a batch after it was halved: see ``whole``
                parts[:0] = [part[: self.most], part[self.most :]]
                continue
            loaded = _result(part, work)
            if loaded is not None:
                yield part, loaded
            else:
                self.most = 1 << ((len(part) - 1).bit_length() - 1)  # so that smaller parts lie within larger ones
                parts.insert(0, part)
                self.say(f"batch size halved to {self.most}, because memory ran out")


def _result(part: Sequence[T], work: Callable[[Sequence[T]], R]) -> Loaded[R] | None:
    """Return the result, or the failure of a single item; None if memory ran out for several."""
    try:
        return Loaded(work(part))
    except (MemoryError, torch.OutOfMemoryError) as error:
        failure = error.with_traceback(None)  # whose frames hold the memory
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return Loaded(_error=failure) if len(part) == 1 else None
