"""The outcomes of changes, in a JSON file that later calls add to."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

KILLED, SURVIVED = "noticed", "survived"


@dataclass(frozen=True)
class Outcome:
    """What the tests of a module make of a change."""

    module: str
    line: int
    text: str
    source: str
    """Digest of the module."""
    tests: str
    """Digest of its tests."""
    outcome: str


@dataclass
class Record:
    """Outcomes by the key of the change."""

    path: Path
    outcomes: dict[str, Outcome]

    @classmethod
    def read(cls, path: Path) -> "Record":
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return cls(path, {key: Outcome(**value) for key, value in found.items()})

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({key: asdict(value) for key, value in sorted(self.outcomes.items())}, indent=1)
        new = self.path.with_suffix(".new")
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(self.path)
