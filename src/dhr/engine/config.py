"""How work is spread over a cluster."""

from dataclasses import dataclass
from typing import Any, Literal

from dhr.errors import ConfigError


@dataclass(frozen=True)
class Engine:
    """The engine of a command."""

    engine: Literal["ray"] | None = None
    """ray: work on a cluster, with rows (docs/cluster.md)"""
    address: str | None = None
    """of the cluster, such as auto or HOST:6379; by default a local one is started"""
    workers: int | None = None
    """of the engine; by default one per GPU, or one per core where there is no GPU"""

    def __post_init__(self) -> None:
        _check(self, "address", "workers")


@dataclass(frozen=True)
class RunEngine(Engine):
    """The engine of a run."""

    fit_on: int | None = None
    """photographs from which classifier and survey learn with an engine; by default 200 of each class"""

    def __post_init__(self) -> None:
        _check(self, "address", "workers", "fit_on")


def _check(config: Any, *names: str) -> None:
    """Refuse members of a cluster without an engine, and numbers below 1."""
    for name in names:
        value, option = getattr(config, name), f"--{name.replace('_', '-')}"
        if value is not None and config.engine is None:
            raise ConfigError(f"{option} is for a cluster; add --engine ray, or leave it out")
        if isinstance(value, int) and value < 1:
            raise ConfigError(f"{option} must be 1 or more, got {value}")
