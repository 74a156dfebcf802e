"""What a soak has counted, in a JSON file to which each call adds."""

import json
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from dhr.files import write_json

_KEPT = 50
"""Failures that are kept in words; more are counted only."""


@dataclass
class Tally:
    """The counts of one part."""

    next: int = 0
    """The seed of the next round: a later call goes on there."""
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    described: list[dict[str, Any]] = field(default_factory=list)

    def fail(self, seed: int, what: str) -> None:
        """Count a failure; its seed repeats it."""
        self.failures += 1
        if len(self.described) < _KEPT:
            self.described.append({"seed": seed, "what": what[:2_000]})


@dataclass
class Record:
    """The file: parts by name, and the days and commits on which they ran."""

    path: Path
    parts: dict[str, Tally] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read the file, if it is there."""
        if not path.exists():
            return cls(path)
        value = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: Tally(**{**one, "counts": Counter(one["counts"])}) for name, one in value["parts"].items()}
        return cls(path, parts, value["days"], value.get("commits", []))

    def write(self) -> None:
        """Write the file, atomically: a soak may be ended at any moment."""
        today = datetime.now(UTC).date().isoformat()
        self.days = sorted({*self.days, today})
        self.commits = [*dict.fromkeys((*self.commits, _commit()))]
        parts = {name: {**vars(one), "seconds": round(one.seconds, 1)} for name, one in sorted(self.parts.items())}
        write_json(self.path, {"days": self.days, "commits": self.commits, "failures": self.failures, "parts": parts})

    @property
    def failures(self) -> int:
        """Failures of all parts."""
        return sum(one.failures for one in self.parts.values())


@cache
def _commit() -> str:
    """Return the commit that is checked out, with a `+` if files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return "unknown"
    return done.stdout.strip() or "unknown"
