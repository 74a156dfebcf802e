"""The loop of all trainings by epochs: resumable, its randomness a function of seed, epoch, step and item."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dhr.errors import ConfigError, OutputError
from dhr.parsing import as_whole
from dhr.progress import Progress, Step
from dhr.train.checkpoint import load_network, load_optimiser, read_state, write_state
from dhr.train.config import Precision
from dhr.train.loading import loaded
from dhr.train.memory import TooLargeError, in_parts
from dhr.train.precision import lower_precision

MINUTES = 3.0
"""Minutes between checkpoints. It takes seconds to write a large network and its optimiser."""
_CHECKED = 16  # steps between looks at the loss, which wait for the device


class EpochDataset(ABC):
    """Items that depend only on the epoch and on their index. Several threads may load them."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    @abstractmethod
    def item(self, epoch: int, index: int) -> tuple[Tensor, ...]:
        """Load an item, as tensors on the CPU.

        Raises:
            ItemError: it cannot be loaded.
        """

    @abstractmethod
    def source(self, index: int) -> str:
        """Return the name of an item in messages."""


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
    smaller: str
    """Remedy if memory runs out, for the message."""
    weight_decay: float = 0.0
    workers: int = 0
    """Threads that load items; 0: as many as there are cores, at most 8."""
    before: int = 0
    """Epochs of the same stage that came before this training, for the progress."""
    after: int = 0
    """Epochs that follow it."""
    divisible: bool = False
    """Whether the loss of a batch is the mean over its items: then a batch that is too large for the memory is computed
    in parts."""
    precision: Precision = "32"
    minutes: float = MINUTES
    """Minutes between checkpoints; there is one at the end in any case."""


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

    Every few minutes, and at the end, ``checkpoint`` holds network, optimiser and step. If it exists already, training
    continues from it and ends with the same weights.

    Args:
        network: its state is kept in the checkpoint; the caller has set the modes of its modules.
        groups: parameters, each group with its learning rate at the beginning.
        data: all items are seen once per epoch, in an order that differs between epochs.
        loss: from a batch of items, on the network's device, to a number.

    Raises:
        ConfigError: the loss became NaN or infinite, or memory ran out.
        OutputError: ``checkpoint`` is damaged, or cannot be written.
        ItemError: an item cannot be loaded.
    """
    _Fit(network, [(list(parameters), rate) for parameters, rate in groups], loss, schedule, checkpoint).run(
        data, progress
    )


class _Fit:
    """All that changes from step to step."""

    def __init__(
        self,
        network: nn.Module,
        groups: list[tuple[list[nn.Parameter], float]],
        loss: Callable[..., Tensor],
        schedule: Schedule,
        checkpoint: Path,
    ) -> None:
        self.network, self.loss, self.schedule, self.checkpoint = network, loss, schedule, checkpoint
        self.rates = [rate for _, rate in groups]
        self.optimiser = torch.optim.AdamW(
            [{"params": parameters, "lr": rate} for parameters, rate in groups], weight_decay=schedule.weight_decay
        )
        self.device = next(network.parameters()).device
        self.parts = 1
        """Parts of a batch that are computed one after the other."""
        self.total = torch.zeros((), device=self.device)
        """Sum of the losses since the last look at it."""
        self.note = ""

    def run(self, data: EpochDataset, progress: Progress) -> None:
        """Take the steps that are left."""
        schedule, count = self.schedule, len(data)
        a_pass = math.ceil(count / schedule.batch)
        steps = schedule.epochs * a_pass
        whole = (schedule.before + schedule.epochs + schedule.after) * count
        first = self._restore(steps)

        def tell(done: int) -> None:
            crops = schedule.before * count + done // a_pass * count + min(done % a_pass * schedule.batch, count)
            progress(Step(schedule.stage, crops, whole, "crops", self.note))

        tell(first)
        saved = time.monotonic()
        batches = loaded(
            _keys(count, schedule, first, steps), lambda key: data.item(*key), lambda key: data.source(key[1]),
            device=self.device, workers=schedule.workers,
        )  # fmt: skip
        for step, items in enumerate(batches, start=first):
            for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
                group["lr"] = rate * (1 - step / steps) ** 0.9
            self._step(mix(schedule.seed, *divmod(step, a_pass)), items)
            done = step + 1
            save = done == steps or time.monotonic() - saved >= 60 * schedule.minutes
            if save or done % _CHECKED == 0:
                self._refuse_divergence(step // a_pass, save)
            if save:
                self._write(done)
                saved = time.monotonic()
            tell(done)

    def _step(self, seed: int, items: tuple[Tensor, ...]) -> None:
        """Change the weights once."""

        def gradients(parts: int) -> None:
            torch.manual_seed(seed)  # for networks with dropout
            self.optimiser.zero_grad()
            size = math.ceil(len(items[0]) / parts)
            for start in range(0, len(items[0]), size):
                here = [one[start : start + size] for one in items]
                with lower_precision(self.schedule.precision, self.device):
                    value = self.loss(*here)
                value = value * (len(here[0]) / len(items[0]))
                value.backward()  # type: ignore[no-untyped-call]
                self.total += value.detach()

        most = len(items[0]) if self.schedule.divisible else 1
        try:
            parts = in_parts(gradients, self.parts, most)
        except TooLargeError as error:
            raise ConfigError(
                f"not enough memory for a step of {len(items[0])} items; {self.schedule.smaller}"
            ) from error
        if parts != self.parts:
            self.parts = parts
            self.note = f"each batch is computed in {parts} parts, because memory ran out"
        self.optimiser.step()

    def _refuse_divergence(self, epoch: int, save: bool) -> None:
        """Refuse a loss that is NaN or infinite; before saving, also such weights."""
        found = self.total.item()
        finite = math.isfinite(found)
        if finite and save:  # the last step may have spoilt the weights after its loss was computed
            finite = bool(torch.stack([one.isfinite().all() for one in self.network.parameters()]).all())
        if not finite:
            raise ConfigError(f"the training diverged by epoch {epoch + 1} (loss {found:.3g}); {self.schedule.advice}")
        self.total.zero_()

    def _write(self, done: int) -> None:
        state = {"model": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "parts": self.parts}
        write_state(self.checkpoint, done, state, {})

    def _restore(self, steps: int) -> int:
        """Load the last state, if there is one; return the number of the next step."""
        if not self.checkpoint.exists():
            return 0
        try:
            state = read_state(self.checkpoint, self.device)
            load_network(self.network, state.parts.get("model"))
            load_optimiser(self.optimiser, state.parts.get("optimiser"))
            self.parts = as_whole(state.parts.get("parts"), 1, self.schedule.batch, "parts")
            if state.step > steps:
                raise ValueError(f"step: expected at most {steps}, got {state.step}")
            return state.step
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{self.checkpoint} is damaged ({reason}); train again with --redo {self.schedule.stage}, or in a new "
                "folder with --out"
            ) from error


def mix(*numbers: int) -> int:
    """Make a seed from several numbers; seeds of different numbers are unrelated."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1


def batches(count: int, size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Yield the indices of each batch of an epoch."""
    order = np.random.default_rng(mix(seed, epoch)).permutation(count).tolist()
    for start in range(0, count, size):
        yield order[start : start + size]


def _keys(count: int, schedule: Schedule, first: int, last: int) -> Iterator[list[tuple[int, int]]]:
    """Yield the (epoch, index) of the items of steps ``first`` to ``last``."""
    a_pass = math.ceil(count / schedule.batch)
    for epoch in range(first // a_pass, math.ceil(last / a_pass)):
        skipped = max(0, first - epoch * a_pass)
        for number, batch in enumerate(batches(count, schedule.batch, schedule.seed, epoch)):
            if number >= skipped:
                yield [(epoch, index) for index in batch]
