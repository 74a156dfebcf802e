"""What a run wrote about itself, read with tolerance: a report of half a run is better than none."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dhr.data.json_text import MAX_RECORD, MAX_RECORDS, load_json
from dhr.data.samples import ClassTable, Problem
from dhr.parsing import as_number

_MOST = 1 << 40  # of whatever is counted
_LONGEST = 1000  # characters of a name that is no class


@dataclass(frozen=True)
class StageRecord:
    """What a stage of the run cost; NaN where unknown."""

    name: str
    seconds: float
    peak_memory_mb: float


@dataclass(frozen=True)
class RunRecord:
    """``run.json``; what is missing there is empty, NaN or ``None``."""

    status: str
    facts: tuple[tuple[str, str], ...]
    """Label and value of what identifies the run: preset, seed, device, version."""
    command: str
    settings: Mapping[str, Any]
    versions: Mapping[str, Any]
    counts: Mapping[str, int]
    seconds: float
    stages: tuple[StageRecord, ...]
    skipped: tuple[Problem, ...]


@dataclass(frozen=True)
class Item:
    """One finished photograph, ``items/<name>.json``."""

    name: str
    tags: tuple[str, ...]
    """Names of classes."""
    width: int
    height: int
    quality: float
    """0..1, or NaN where unknown."""
    ratios: Mapping[str, float]
    """Share of the mask, 0..1, by class name."""
    vanished: tuple[str, ...]
    """Names of tagged classes without a pixel in the mask."""


def read_run(out: Path) -> RunRecord:
    """Read ``out/run.json``; a missing or damaged one gives an empty record."""
    try:
        run = _mapping(load_json(out / "run.json", MAX_RECORDS))
    except (OSError, ValueError):
        run = {}
    facts = (("preset", "preset"), ("seed", "seed"), ("device", "device"), ("version", "dhr"))
    command = run.get("command", "")
    return RunRecord(
        status=str(run.get("status", "")),
        facts=tuple((label, str(run[key])) for label, key in facts if run.get(key) is not None),
        command=" ".join(map(str, command)) if isinstance(command, list) else str(command),
        settings=_mapping(run.get("settings") or _mapping(run.get("identity")).get("settings")),
        versions=_mapping(run.get("versions")),
        counts={key: count for key, count in _mapping(run.get("counts")).items() if _is_count(count)},
        seconds=_number(run.get("seconds")),
        stages=tuple(
            StageRecord(
                str(entry.get("name", "?")), _number(entry.get("seconds")), _number(entry.get("peak_memory_mb"))
            )
            for entry in map(_mapping, _list(run.get("stages")))
        ),
        skipped=tuple(
            Problem(str(entry.get("source", "?")), str(entry.get("reason", "")))
            for entry in map(_mapping, _list(run.get("skipped")))
        ),
    )


def read_items(out: Path, classes: ClassTable) -> Iterator[Item | Problem]:
    """Read the records of the finished photographs one by one, in no order; a damaged one comes as a problem."""
    folder = out / "items"
    for path in folder.rglob("*.json"):
        name = path.relative_to(folder).as_posix()[: -len(".json")]
        try:
            record = load_json(path, MAX_RECORD)
            if not isinstance(record, dict):
                raise ValueError("it is not a JSON object")
        except (OSError, ValueError) as error:
            yield Problem(name, f"its record cannot be read: {getattr(error, 'strerror', None) or error}")
            continue
        ratios = _mapping(record.get("ratios"))
        yield Item(
            name=name,
            tags=tuple(_class_name(tag, classes) for tag in _list(record.get("tags"))),
            width=_count(record.get("width")),
            height=_count(record.get("height")),
            quality=_number(record.get("quality"), 1),
            ratios={key: share for key, value in ratios.items() if not math.isnan(share := _number(value, 1))},
            vanished=tuple(_class_name(tag, classes) for tag in _list(record.get("vanished"))),
        )


def _class_name(value: Any, classes: ClassTable) -> str:
    known = _is_count(value) and value < len(classes.names)
    return classes.names[value] if known else str(value)[:_LONGEST]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any, high: float | int = math.inf) -> float:
    """A number of 0 or more; NaN for whatever else stands there."""
    try:
        return as_number(value, 0, high)
    except ValueError:
        return math.nan


def _count(value: Any) -> int:
    return value if _is_count(value) else 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
