"""Batches of a training, prepared ahead by threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from dhr.errors import ItemError
from dhr.flow.ahead import PATIENCE, ahead_in_batches

K = TypeVar("K")


def loaded(
    batches: Iterable[Sequence[K]],
    load: Callable[[K], tuple[Tensor, ...]],
    source: Callable[[K], str],
    *,
    device: torch.device,
    workers: int = 0,
    patience: float = PATIENCE,
) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches in their order, on the device: the tensors of ``load``, stacked.

    Threads load the next batches while the caller works on the present one. Results do not depend on their number.

    Args:
        load: called in a thread; all its results have the same shapes.
        source: name of an item in messages.
        workers: threads; 0: as many as there are cores, at most 8.
        patience: seconds for one item.

    Raises:
        ItemError: an item cannot be loaded, or it takes longer than ``patience``; the message names it.
    """
    for batch in ahead_in_batches(batches, load, workers=workers or None, patience=patience):
        items = []
        for key, item in batch:
            try:
                items.append(item.get())
            except ItemError as error:
                raise ItemError(_named(str(error), source(key))) from error
            except MemoryError as error:
                raise ItemError(f"{source(key)}: not enough memory to read it; lower --image.long-side") from error
        columns = [torch.stack(column) for column in zip(*items, strict=True)]
        if device.type == "cuda":  # pinned memory is copied while the device computes
            columns = [column.pin_memory() for column in columns]
        yield tuple(column.to(device, non_blocking=True) for column in columns)


def _named(message: str, source: str) -> str:
    return message if source in message else f"{source}: {message}"
