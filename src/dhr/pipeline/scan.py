"""Reading every photograph once, before any time is spent on the rest."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dhr.data.problems import told
from dhr.data.samples import DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.files import write_json
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
        DataError: none can be read, or none of those that can is tagged.
    """
    known = _known(folder)
    found: dict[str, dict[str, str | None]] = {}
    samples, problems = [], list(data.problems)
    whole = hashlib.sha256(json.dumps([data.classes.names, data.classes.background]).encode())
    for done, sample in enumerate(data.samples, start=1):
        reason, digest = None, ""
        try:
            digest = data.digest(sample)
            before = known.get(sample.name, {})
            if before.get("digest") == digest:
                reason = before.get("reason")
            else:
                data.read_image(sample)
        except ItemError as error:
            reason = str(error)
        found[sample.name] = {"digest": digest, "reason": reason}
        if reason is None:
            samples.append(sample)
            whole.update(json.dumps([sample.name, digest, sample.tags]).encode())
        else:
            problems.append(Problem(sample.source, reason))
        progress(done, len(data.samples))
    if not samples:
        raise DataError(f"none of the {len(data.samples)} photographs can be read: {' | '.join(told(problems, 3))}")
    if not any(sample.tags for sample in samples):
        raise DataError(f"none of the {len(samples)} photographs that can be read has a tag; tag what they show")
    if found != known:
        write_json(folder.scan, found)
    return Scan(tuple(samples), tuple(problems), "sha256:" + whole.hexdigest())


def _known(folder: OutputFolder) -> dict[str, Any]:
    try:
        known = json.loads(folder.scan.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
