"""Reading every photograph once, before any time is spent on the rest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dhr.data.problems import summary
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.files import write_json
from dhr.job.folder import OutputFolder
from dhr.parsing import MAX_RECORDS, Fields, as_whole, load_json
from dhr.progress import Progress, Step


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


def scan(data: DataSet, folder: OutputFolder, progress: Progress) -> Scan:
    """Decode every photograph, remembering those that were decoded before and have not changed.

    Raises:
        DataError: none can be read, or none of those that can is tagged.
    """
    known = _known(folder)
    found: dict[str, _Known] = {}
    seen: dict[str, Seen] = {}
    samples, problems = [], list(data.problems)
    whole = hashlib.sha256(json.dumps([data.classes.names, data.classes.background]).encode())
    for done, sample in enumerate(data.samples, start=1):
        digest = ""
        try:
            digest = data.digest(sample)
            before = known.get(sample.name)
            if before is not None and before.digest == digest:
                entry = before
            else:
                height, width = data.read_image(sample).shape[:2]
                entry = _Known(digest, None, (height, width))
        except ItemError as error:
            entry = _Known(digest, str(error), None)
        found[sample.name] = entry
        if entry.size is not None:
            seen[sample.name] = Seen(digest, *entry.size)
            samples.append(sample)
            whole.update(json.dumps([sample.name, digest, sample.tags]).encode())
        else:
            problems.append(Problem(sample.source, entry.reason or ""))
        progress(Step("scan", done, len(data.samples)))
    if not samples:
        raise DataError(f"none of the {len(data.samples)} photographs can be read: {summary(problems, 3)}")
    if not any(sample.tags for sample in samples):
        raise DataError(f"none of the {len(samples)} photographs that can be read has a tag; tag what they show")
    if found != known:
        write_json(folder.scan, {name: asdict(one) for name, one in found.items()})
    return Scan(tuple(samples), tuple(problems), "sha256:" + whole.hexdigest(), seen)


@dataclass(frozen=True)
class _Known:
    """What a scan found of a photograph."""

    digest: str
    reason: str | None
    """Why it cannot be used."""
    size: tuple[int, int] | None
    """Height and width; None if it cannot be used."""

    @staticmethod
    def parse(value: Any) -> "_Known":
        record = Fields(value)
        digest = record.text("digest")
        if "reason" in record:
            return _Known(digest, record.text("reason"), None)
        height, width = (as_whole(side, 1, 1 << 31, "size") for side in record.entries("size", 2))
        return _Known(digest, None, (height, width))


def _known(folder: OutputFolder) -> dict[str, _Known]:
    """What an earlier scan found; nothing if its record is damaged: then all is read again."""
    try:
        found = Fields(load_json(folder.scan, MAX_RECORDS))
        return {name: _Known.parse(found.value(name)) for name in found.names()}
    except (OSError, ValueError):
        return {}
