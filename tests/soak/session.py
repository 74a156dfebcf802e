"""What the parts of a soak share."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..conftest import Forks
from .calls import CALLS, copy_stock, results, write_stock


@dataclass
class Session:
    """A server of processes, a folder to work in, and the calls as they end undisturbed."""

    forks: Forks
    root: Path
    kept: Path
    """A folder for what later soaks need."""
    _undisturbed: dict[str, tuple[dict[str, Any], dict[str, int]]] = field(default_factory=dict)

    @cached_property
    def stock(self) -> Path:
        """See :func:`calls.write_stock`."""
        return write_stock(self.forks, self.root / "stock")

    def place(self, name: str = "place") -> Path:
        """A fresh copy of the stock."""
        return copy_stock(self.stock, self.root / name)

    def undisturbed(self, name: str, watch: str) -> tuple[dict[str, Any], int]:
        """The results of a call that nobody disturbs, and how many events of a watch it has."""
        known, counts = self._undisturbed.setdefault(name, ({}, {}))
        if watch not in counts:
            place, call = self.place("undisturbed"), CALLS[name]
            ended = self.forks(call.arguments(place), watch=watch, root=str(place))
            assert ended.code == 0, ended.err
            found = results(place, call)
            assert found and (not known or known == found), f"{name} does not come out the same twice"
            known.update(found)
            counts[watch] = len(ended.trace)
        return known, counts[watch]

    @cached_property
    def idle_mb(self) -> float:
        """Resident memory of a command that reads nothing."""
        return self.forks(["settings", "seed"]).peak_mb
