"""Reading every photograph once, before any time is spent on the rest."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dhr.data.json_text import MAX_RECORDS, load_json
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.files import write_json
from dhr.parsing import Fields
from dhr.pipeline.folder import OutputFolder


@dataclass(frozen=True)
class Scan:
    """Which photographs can be used."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    """What the listing and the reading left out."""
    digest: str
    """``sha256:`` and the hexadecimal digest of names, contents, tags and classes of the usable photographs."""


def scan(data: DataSet, folder: OutputFolder, progress: Callable[[int, int], None]) -> Scan:
    """Decode every photograph, remembering those that were decoded before and have not changed.

    Raises:
        DataError: none can be read.
    """
    known = _known(folder)
    found: dict[str, _Known] = {}
    samples, problems = [], list(data.problems)
    whole = hashlib.sha256(json.dumps([data.classes.names, data.classes.background]).encode())
    for done, sample in enumerate(data.samples, start=1):
        reason, digest = None, ""
        try:
            digest = data.digest(sample)
            before = known.get(sample.name)
            if before is not None and before.digest == digest:
                reason = before.reason
            else:
                data.read_image(sample)
        except ItemError as error:
            reason = str(error)
        found[sample.name] = _Known(digest, reason)
        if reason is None:
            samples.append(sample)
            whole.update(json.dumps([sample.name, digest, sample.tags]).encode())
        else:
            problems.append(Problem(sample.source, reason))
        progress(done, len(data.samples))
    if not samples:
        first = f": {problems[0].source}: {problems[0].reason}" if problems else ""
        raise DataError(f"none of the {len(data.samples)} photographs can be read{first}")
    if found != known:
        write_json(folder.scan, {name: asdict(one) for name, one in found.items()})
    return Scan(tuple(samples), tuple(problems), "sha256:" + whole.hexdigest())


@dataclass(frozen=True)
class _Known:
    """What an earlier scan found of a photograph."""

    digest: str
    reason: str | None
    """Why it cannot be used."""

    @staticmethod
    def parse(value: Any) -> "_Known":
        record = Fields(value)
        return _Known(record.text("digest"), record.text("reason") if "reason" in record else None)


def _known(folder: OutputFolder) -> dict[str, _Known]:
    """What an earlier scan found; nothing if its record is damaged: then all is read again."""
    try:
        found = Fields(load_json(folder.scan, MAX_RECORDS))
        return {name: _Known.parse(found.value(name)) for name in found.names()}
    except (OSError, ValueError):
        return {}
