"""Reading every photograph once, before any time is spent on the rest."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dhr.data.json_text import parse_json
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.files import read_regular, write_json
from dhr.pipeline.folder import OutputFolder

_MOST = 1_000_000_000  # bytes of scan.json; a million photographs have a fifth of it


@dataclass(frozen=True)
class Seen:
    """What the scan keeps of a photograph."""

    digest: str
    """SHA-256, in hex, of its content."""
    height: int
    width: int


@dataclass(frozen=True)
class Scan:
    """Which photographs can be used."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    """What the listing and the reading left out."""
    digest: str
    """``sha256:`` and the hexadecimal digest of names, contents, tags and classes of the usable photographs."""
    seen: Mapping[str, Seen]
    """What was found out of each usable photograph, by name."""


def scan(data: DataSet, folder: OutputFolder, progress: Callable[[int, int], None]) -> Scan:
    """Decode every photograph, remembering those that were decoded before and have not changed.

    Raises:
        DataError: none can be read, or none of those that can is tagged.
    """
    known = _known(folder)
    found: dict[str, dict[str, Any]] = {}
    seen: dict[str, Seen] = {}
    samples, problems = [], list(data.problems)
    whole = hashlib.sha256(json.dumps([data.classes.names, data.classes.background]).encode())
    for done, sample in enumerate(data.samples, start=1):
        entry: dict[str, Any] = {"digest": "", "reason": None, "size": None}
        try:
            entry["digest"] = digest = data.digest(sample)
            before = known.get(sample.name, {})
            if before.get("digest") == digest:
                entry = before
            else:
                entry["size"] = list(data.read_image(sample).shape[:2])
        except ItemError as error:
            entry["reason"] = str(error)
        found[sample.name] = entry
        if entry["reason"] is None:
            seen[sample.name] = Seen(digest, *entry["size"])
            samples.append(sample)
            whole.update(json.dumps([sample.name, digest, sample.tags]).encode())
        else:
            problems.append(Problem(sample.source, entry["reason"]))
        progress(done, len(data.samples))
    if not samples:
        first = f": {problems[0].source}: {problems[0].reason}" if problems else ""
        raise DataError(f"none of the {len(data.samples)} photographs can be read{first}")
    if not any(sample.tags for sample in samples):
        raise DataError(f"none of the {len(samples)} photographs that can be read has a tag; tag what they show")
    if found != known:
        write_json(folder.scan, found)
    return Scan(tuple(samples), tuple(problems), "sha256:" + whole.hexdigest(), seen)


def _known(folder: OutputFolder) -> dict[str, Any]:
    """What an earlier scan found, as far as it is whole."""
    try:
        known = parse_json(read_regular(folder.scan, _MOST).decode())
    except (OSError, ValueError):
        return {}
    return {name: entry for name, entry in known.items() if _whole(entry)} if isinstance(known, dict) else {}


def _whole(entry: Any) -> bool:
    """Whether it has a digest, and a size or the reason why there is none."""
    if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
        return False
    size, reason = entry.get("size"), entry.get("reason")
    if reason is not None:
        return isinstance(reason, str) and size is None
    return isinstance(size, list) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
