"""What all trainings share: epochs that can be resumed, and randomness that is a function of seed, epoch and sample."""

import io
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dhr.errors import ConfigError, OutputError
from dhr.files import write_bytes
from dhr.parsing import Fields
from dhr.progress import Progress, Step
from dhr.tensors import read_pickled
from dhr.train.checkpoint import load_network, load_optimiser


class EpochDataset(Dataset[tuple[Tensor, ...]], ABC):
    """Items that depend on their index and on the epoch, and on nothing that happened before."""

    epoch = 0

    @abstractmethod
    def __len__(self) -> int:
        """Number of photographs."""


def fit(
    model: nn.Module,
    groups: Iterable[tuple[Iterable[nn.Parameter], float]],
    data: EpochDataset,
    loss: Callable[..., Tensor],
    prepare: Callable[[], object],
    *,
    epochs: int,
    batch: int,
    workers: int,
    weight_decay: float,
    seed: int,
    checkpoint: Path,
    progress: Progress,
    stage: str,
    advice: str,
) -> None:
    """Minimise ``loss`` with AdamW and polynomial decay of power 0.9.

    After each epoch ``checkpoint`` holds model, optimiser and epoch; where it exists already, training goes on from it
    and ends with the same weights.

    Args:
        model: what the checkpoint holds.
        groups: parameters, and their learning rate at the beginning.
        data: what is seen once an epoch, in an order that is another one each time.
        loss: from a batch of items to a number.
        prepare: called before each epoch, to set the modes of the modules.
        stage: its name in ``progress``.
        advice: what to change if the training diverges.

    Raises:
        ConfigError: the loss is no number any more.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
    """
    groups = list(groups)
    rates = [rate for _, rate in groups]
    optimiser = torch.optim.AdamW(
        [{"params": parameters, "lr": rate} for parameters, rate in groups], weight_decay=weight_decay
    )
    steps = math.ceil(len(data) / batch)
    total = epochs * steps
    first = _restore(checkpoint, model, optimiser, epochs)
    for epoch in range(first, epochs):
        prepare()
        torch.manual_seed(mix(seed, epoch))  # for networks with dropout
        data.epoch = epoch
        progress(Step(stage, epoch * len(data), epochs * len(data)))
        loader = DataLoader(data, batch_sampler=list(batches(len(data), batch, seed, epoch)), num_workers=workers)
        for step, items in enumerate(loader):
            decay = (1 - (epoch * steps + step) / total) ** 0.9
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * decay
            value = loss(*items)
            optimiser.zero_grad()
            if not math.isfinite(value.item()):
                raise ConfigError(f"the training diverged in epoch {epoch + 1} (loss {value.item()}); {advice}")
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            seen = epoch * len(data) + min((step + 1) * batch, len(data))
            progress(Step(stage, seen, epochs * len(data)))
        state = {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
        buffer = io.BytesIO()  # given a file, torch turns the error of a full disk into one of its own
        torch.save(state, buffer)
        write_bytes(checkpoint, buffer.getvalue())


def _restore(checkpoint: Path, model: nn.Module, optimiser: torch.optim.Optimizer, epochs: int) -> int:
    """Load the last epoch's state, if there is one; the number of the epoch to go on with."""
    if not checkpoint.exists():
        return 0
    try:
        state = Fields(read_pickled(checkpoint, next(model.parameters()).device))
        load_network(model, state.value("model"))
        load_optimiser(optimiser, state.value("optimiser"))
        return state.whole("epoch", 0, epochs)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{checkpoint} is damaged ({reason}); delete it, and the training starts again") from error


def mix(*numbers: int) -> int:
    """A seed from several numbers, different ones unrelated."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def batches(count: int, size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Which samples make each batch of an epoch."""
    order = np.random.default_rng(mix(seed, epoch)).permutation(count).tolist()
    for start in range(0, count, size):
        yield order[start : start + size]
