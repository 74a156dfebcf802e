"""How long networks take: alone, inside whatever calls them.

:class:`NetworkTime` counts the seconds between entering and leaving the outermost module of a thread, through hooks
that PyTorch calls for every module. So it does not depend on the program that it watches. :class:`Steps` notes the
steps of a training in the same way, and takes them again without anything else around them.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from common import wait_for
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook


class Watch(ABC):
    """A context in which the calls of all modules are seen."""

    _handles: Sequence[Any] = ()

    def __enter__(self) -> Self:
        self._handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    @abstractmethod
    def _enter(self, module: nn.Module, given: Any) -> None:
        """See a module that is called."""

    @abstractmethod
    def _leave(self, module: nn.Module, given: Any, result: Any) -> None:
        """See a module that returns."""


@dataclass
class NetworkTime(Watch):
    """A context that adds up the seconds of the outermost modules."""

    device: torch.device
    seconds: float = 0.0
    calls: int = 0
    _inside: threading.local = field(default_factory=threading.local)

    def _enter(self, module: nn.Module, given: Any) -> None:
        depth = getattr(self._inside, "depth", 0)
        if depth == 0:
            wait_for(self.device)
            self._inside.start = time.perf_counter()
        self._inside.depth = depth + 1

    def _leave(self, module: nn.Module, given: Any, result: Any) -> None:
        self._inside.depth -= 1
        if self._inside.depth == 0:
            wait_for(self.device)
            self.seconds += time.perf_counter() - self._inside.start
            self.calls += 1


@dataclass(frozen=True)
class Step:
    """A kind of training step: a network and the shape of its input."""

    network: nn.Module
    shape: tuple[int, ...]
    channels_last: bool
    autocast: torch.dtype | None


@dataclass
class Steps(Watch):
    """A context that notes the steps of a training: the outermost modules that are called in training mode."""

    device: torch.device
    found: Counter[Step] = field(default_factory=Counter)
    _depth: int = 0

    def _enter(self, module: nn.Module, given: Any) -> None:
        self._depth += 1
        if self._depth == 1 and module.training and torch.is_grad_enabled() and given and given[0].ndim == 4:
            images: Tensor = given[0]
            kind = self.device.type
            autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
            last = images.is_contiguous(memory_format=torch.channels_last)
            self.found[Step(module, tuple(images.shape), last, autocast)] += 1

    def _leave(self, module: nn.Module, given: Any, result: Any) -> None:
        self._depth -= 1

    def again(self) -> float:
        """Seconds that forward and backward passes of all steps take alone, on random images.

        Of each kind of step a few are timed, and the fastest counts.
        """
        total = 0.0
        for step, times in self.found.items():
            images = torch.rand(step.shape, device=self.device)
            if step.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            seconds = []
            for _ in range(3):
                wait_for(self.device)
                start = time.perf_counter()
                enabled, dtype = step.autocast is not None, step.autocast
                with torch.autocast(self.device.type, dtype=dtype, enabled=enabled):
                    result = step.network(images)
                loss = (result[0] if isinstance(result, tuple) else result).float().square().mean()
                loss.backward()
                wait_for(self.device)
                seconds.append(time.perf_counter() - start)
                step.network.zero_grad(set_to_none=True)
            total += times * min(seconds)
        return total
