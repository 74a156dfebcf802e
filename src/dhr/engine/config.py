"""How work is spread over a cluster."""

from dataclasses import dataclass
from typing import Literal

from dhr.errors import ConfigError


@dataclass(frozen=True)
class EngineConfig:
    """The engine, and its share of a cluster."""

    engine: Literal["ray"] | None = None
    """spread the work with Ray, and write rows (docs/cluster.md); by default this process does all, and writes files"""
    address: str | None = None
    """with an engine: address of the cluster, such as auto or ray://HOST:10001; by default a local one is started"""
    workers: int | None = None
    """with an engine: number of workers; by default one per GPU, or one per core without GPUs"""

    def __post_init__(self) -> None:
        given = [name for name in ("address", "workers", "fit_on") if getattr(self, name, None) is not None]
        if self.engine is None and given:
            raise ConfigError(f"--{given[0].replace('_', '-')} is for a cluster; add --engine ray")
        for name in ("workers", "fit_on"):
            value = getattr(self, name, None)
            if value is not None and value < 1:
                raise ConfigError(f"--{name.replace('_', '-')} must be 1 or more, got {value}")


@dataclass(frozen=True)
class RunEngine(EngineConfig):
    """The engine of a run."""

    fit_on: int | None = None
    """with an engine: photographs from which classifier and survey learn; by default up to 200 of each class"""
