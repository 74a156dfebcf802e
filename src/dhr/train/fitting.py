"""The loop of all trainings by epochs: resumable, its randomness a function of seed, epoch and sample."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from dhr.errors import ConfigError, OutputError
from dhr.progress import Progress, Step
from dhr.train.checkpoint import load_network, load_optimiser, read_state, write_state


class EpochDataset(Dataset[tuple[Tensor, ...]], ABC):
    """Items that depend only on their index and on the epoch."""

    epoch = 0

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""


@dataclass(frozen=True)
class Schedule:
    """Length and learning rates of a training."""

    stage: str
    """Its name in the progress."""
    epochs: int
    batch: int
    """Items per step."""
    seed: int
    advice: str
    """Remedy if the training diverges, for the message."""
    weight_decay: float = 0.0
    workers: int = 0
    """Processes that load items."""
    before: int = 0
    """Epochs of the same stage that came before this training, for the progress."""
    after: int = 0
    """Epochs that follow it."""


def fit(
    network: nn.Module,
    groups: Iterable[tuple[Iterable[nn.Parameter], float]],
    data: EpochDataset,
    loss: Callable[..., Tensor],
    schedule: Schedule,
    checkpoint: Path,
    progress: Progress,
) -> None:
    """Minimise ``loss`` with AdamW; learning rates fall by a polynomial of power 0.9.

    After each epoch ``checkpoint`` holds network, optimiser and epoch. If it exists already, training continues from it
    and ends with the same weights.

    Args:
        network: its state is kept in the checkpoint; the caller has set the modes of its modules.
        groups: parameters, each group with its learning rate at the beginning.
        data: all items are seen once per epoch, in an order that differs between epochs.
        loss: from a batch of items to a number.

    Raises:
        ConfigError: the loss became NaN or infinite.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
    """
    groups = list(groups)
    optimiser = torch.optim.AdamW(
        [{"params": parameters, "lr": rate} for parameters, rate in groups], weight_decay=schedule.weight_decay
    )
    count, epochs, batch, seed = len(data), schedule.epochs, schedule.batch, schedule.seed
    steps = math.ceil(count / batch)

    def tell(done: int) -> None:
        whole = (schedule.before + epochs + schedule.after) * count
        progress(Step(schedule.stage, schedule.before * count + done, whole, "crops"))

    for epoch in range(_restore(checkpoint, network, optimiser, schedule), epochs):
        torch.manual_seed(mix(seed, epoch))  # for networks with dropout
        data.epoch = epoch
        tell(epoch * count)
        order = list(batches(count, batch, seed, epoch))
        for step, items in enumerate(DataLoader(data, batch_sampler=order, num_workers=schedule.workers)):
            decay = (1 - (epoch * steps + step) / (epochs * steps)) ** 0.9
            for group, (_, rate) in zip(optimiser.param_groups, groups, strict=True):
                group["lr"] = rate * decay
            value = loss(*items)
            optimiser.zero_grad()
            if not math.isfinite(value.item()):
                raise ConfigError(
                    f"the training diverged in epoch {epoch + 1} (loss {value.item()}); {schedule.advice}"
                )
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            tell(epoch * count + min((step + 1) * batch, count))
        write_state(checkpoint, epoch + 1, {"model": network.state_dict(), "optimiser": optimiser.state_dict()}, {})


def _restore(checkpoint: Path, network: nn.Module, optimiser: torch.optim.Optimizer, schedule: Schedule) -> int:
    """Load the state of the last epoch, if there is one; return the number of the next epoch."""
    if not checkpoint.exists():
        return 0
    try:
        state = read_state(checkpoint, next(network.parameters()).device)
        load_network(network, state.parts.get("model"))
        load_optimiser(optimiser, state.parts.get("optimiser"))
        if state.step > schedule.epochs:
            raise ValueError(f"epoch: expected at most {schedule.epochs}, got {state.step}")
        return state.step
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{checkpoint} is damaged ({reason}); train again with --redo {schedule.stage}, or in a new folder "
            "with --out"
        ) from error


def mix(*numbers: int) -> int:
    """Make a seed from several numbers; seeds of different numbers are unrelated."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def batches(count: int, size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Yield the indices of each batch of an epoch."""
    order = np.random.default_rng(mix(seed, epoch)).permutation(count).tolist()
    for start in range(0, count, size):
        yield order[start : start + size]
