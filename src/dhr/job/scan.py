"""The scan: every photograph is read once, before any other work."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dhr.corrections import Corrections
from dhr.corrections.decisions import DecisionReader, Decisions, decided, rejected_note
from dhr.data.problems import problem_lines
from dhr.data.samples import ClassTable, DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.files import write_json
from dhr.flow.ahead import ahead
from dhr.job.folder import OutputFolder
from dhr.parsing import MAX_RECORDS, load_json
from dhr.progress import Progress, Step
from dhr.records.members import to_json
from dhr.records.scan import Scanned, ScanRecord


@dataclass(frozen=True)
class Scan:
    """The usable photographs."""

    samples: tuple[Sample, ...]
    problems: tuple[Problem, ...]
    """Photographs that cannot be used, for a reason that was found when they were listed or read."""
    digest: str
    """``sha256:`` and the hexadecimal digest of names, contents, tags and classes of the usable photographs."""
    seen: Mapping[str, Scanned]
    """Each usable photograph, by name."""
    before: Mapping[str, Scanned]
    """The photographs of the last scan of this folder, by name."""
    now: Mapping[str, Scanned]
    """All photographs, by name."""
    decisions: Decisions = field(default_factory=Decisions)
    """People's decisions on them."""
    rejected: tuple[Sample, ...] = ()
    """Photographs that can be read, but were rejected in review. That is a decision, and no problem."""

    @property
    def notes(self) -> list[str]:
        """Tell of the rejected photographs."""
        return rejected_note(sample.name for sample in self.rejected)

    def save(self, folder: OutputFolder) -> None:
        """Write the record; the next scan skips the photographs in it."""
        if self.now != self.before:
            write_json(folder.scan, to_json(ScanRecord(self.now)), indent=None)  # indented, it takes long


def scan(data: DataSet, folder: OutputFolder, progress: Progress, corrections: Corrections | None = None) -> Scan:
    """Decode every photograph that is new or has changed since the last scan, in threads; nothing is written.

    Tags that a person corrected replace those of the data set. Photographs that a person rejected are left out.

    Args:
        data: the photographs.
        folder: has the record of the last scan.
        progress: called after each photograph.
        corrections: by default those of the folder.

    Raises:
        DataError: all photographs are unreadable or rejected, or the others lack tags.
    """
    before = _before(folder)
    now: dict[str, Scanned] = {}
    seen: dict[str, Scanned] = {}
    samples, rejected, problems = [], list[Sample](), list(data.problems)
    names: dict[tuple[int, ...], tuple[str, ...]] = {}
    for sample in data.samples:  # few of them differ
        names.setdefault(sample.tags, tuple(data.classes.names[tag] for tag in sample.tags))
    reader = DecisionReader(corrections or Corrections.of(folder.root))
    read = ahead(data.samples, lambda one: scanned(data, one, names[one.tags], before.get(one.name)))
    for done, (sample, loaded) in enumerate(read, start=1):
        try:
            one = now[sample.name] = loaded.get()
        except ItemError as error:  # it took too long
            one = now[sample.name] = Scanned("", str(error), None, names[sample.tags])
        correction = None if one.size is None else reader.decide(sample, one.digest, data.classes)
        if correction is not None:
            sample = decided(sample, correction, data.classes)
            tags = tuple(data.classes.names[tag] for tag in sample.tags)
            one = now[sample.name] = replace(one, tags=tags, rejected=correction.state == "rejected" or None)
        if one.rejected:
            rejected.append(sample)
        elif one.size is not None:
            seen[sample.name] = one
            samples.append(sample)
        else:
            problems.append(Problem(sample.source, one.reason or ""))
        progress(Step("scan", done, len(data.samples)))
    if not samples:
        reasons = " | ".join([*rejected_note(sample.name for sample in rejected), *problem_lines(problems, 3)])
        raise DataError(
            f"none of the {len(data.samples)} photographs can be {'used' if rejected else 'read'}: {reasons}"
        )
    if not any(sample.tags for sample in samples):
        raise DataError(f"none of the {len(samples)} photographs that can be read has a tag; tag what they show")
    return Scan(
        tuple(samples),
        tuple(problems),
        photographs_digest(data.classes, ((one.name, seen[one.name].digest, one.tags) for one in samples)),
        seen,
        before,
        now,
        reader.decisions,
        tuple(rejected),
    )


def photographs_digest(classes: ClassTable, photographs: Iterable[tuple[str, str, Sequence[int]]]) -> str:
    """Return the digest by which a run recognises its photographs and tags.

    Args:
        classes: the class table.
        photographs: name, digest of the content, and ids of the tags of each, in the order of the names.
    """
    whole = hashlib.sha256(json.dumps([classes.names, classes.background]).encode())
    for name, digest, tags in photographs:
        whole.update(json.dumps([name, digest, tags]).encode())
    return f"sha256:{whole.hexdigest()}"


def scanned(data: DataSet, sample: Sample, tags: tuple[str, ...], before: Scanned | None = None) -> Scanned:
    """Read a photograph once; if it is as it was ``before``, only its digest."""
    digest = ""
    try:
        digest = data.digest(sample)
        if before is not None and before.digest == digest:
            return Scanned(digest, before.reason, before.size, tags)
        height, width = data.read_image(sample).shape[:2]
    except ItemError as error:
        return Scanned(digest, str(error), None, tags)
    return Scanned(digest, None, (height, width), tags)


def _before(folder: OutputFolder) -> Mapping[str, Scanned]:
    """Return the photographs of an earlier scan; empty if its record is damaged: then all are read again."""
    try:
        return ScanRecord.parse(load_json(folder.scan, MAX_RECORDS)).photographs
    except (OSError, ValueError):
        return {}
