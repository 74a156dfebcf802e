"""A student on a worker: it segments the photographs of one unit after another, as rows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

import dhr
from dhr.data.images import mask_bytes, read_rgb, read_size
from dhr.data.manifest import Row as Photo
from dhr.data.manifest.row import digest_of
from dhr.data.palette import class_palette
from dhr.data.samples import ClassTable, Problem
from dhr.engine.manifest import Manifest
from dhr.engine.networks import check_device, check_files, check_version
from dhr.errors import ItemError
from dhr.flow.ahead import ahead
from dhr.flow.halving import BatchSize, automatic
from dhr.job.predict import opened_segmenter, predict_settings, student_digest
from dhr.job.predict_config import PredictConfig
from dhr.job.segment import Segmenter, Wanted
from dhr.job.segment_batches import SegmentBatches, Todo
from dhr.job.settings import RunConfig
from dhr.models.precision import resolved
from dhr.progress import Progress
from dhr.records.run import Identity, RunRecord
from dhr.results.row import Row, settings_digest
from dhr.words import printable


@dataclass(frozen=True)
class StudentWork:
    """All that a worker needs to segment photographs; implements :class:`~dhr.engine.worker.Work`."""

    out: Path
    student: Path
    config: PredictConfig
    """With the precision of the job."""
    manifest: Manifest
    record: RunRecord

    @property
    def settings(self) -> str:
        """Digest of the job's identity, which each row holds."""
        return settings_digest(self.record.identity)

    @property
    def classes(self) -> ClassTable:
        """The student's classes."""
        return ClassTable(self.record.classes or (), bool(self.record.background))

    def opened(self) -> "UnitPredictions":
        """Build the student on this machine.

        Raises:
            DhrError: this machine has another version of dhr, another device, or another file.
        """
        identity = self.record.identity
        check_version(identity.dhr)
        check_files({self.student: identity.student or ""}, "--student")
        config = replace(self.config, device=self.config.device if torch.cuda.is_available() else "cpu")
        segment = opened_segmenter(self.student, config, device_of(config))
        check_device(segment.device, self.record)
        names = segment.classes.names
        ids = {name: names.index(name) for name in self.manifest.classes.names if name in names}
        size = BatchSize(self.record.batch or 1, lambda line: None)
        return UnitPredictions(segment, self.settings, size, self.manifest, ids)


@dataclass(frozen=True)
class Described:
    """What the driver must know of a student, which only a worker opens."""

    identity: Identity
    classes: ClassTable
    config: PredictConfig
    """With the precision of the device."""
    batch: int


def describe(student: Path, config: PredictConfig, digest: str, tagged: bool, progress: Progress) -> Described:
    """Open a student, and describe the job; it is done in a task of Ray.

    Args:
        student: its file.
        config: the settings.
        digest: of the manifest.
        tagged: whether the tags of the manifest are used.
        progress: not called.

    Raises:
        WeightsError: it is not the file of a student.
        ConfigError: the device is missing.
    """
    device = device_of(config)
    config = replace(config, precision=resolved(config.precision, device))
    settings = {**predict_settings(config, device, tagged), "device": device.type}
    segment = opened_segmenter(student, config, device)
    identity = Identity(dhr.__version__, data=digest, settings=settings, student=student_digest(student))
    return Described(identity, segment.classes, config, automatic(device, segment.long_side**2))


def device_of(config: PredictConfig) -> torch.device:
    """Return the device of a student; raises ConfigError if it is missing."""
    return RunConfig(device=config.device).find_device()


@dataclass
class UnitPredictions:
    """Segments the photographs of units; implements :class:`~dhr.engine.worker.Masks`."""

    segment: Segmenter
    settings: str
    """Digest of the job's identity."""
    size: BatchSize
    manifest: Manifest
    ids: Mapping[str, int]
    """The student's ids of the manifest's classes."""
    palette: UInt8[np.ndarray, "256 3"] = field(init=False)

    def __post_init__(self) -> None:
        self.palette = class_palette(self.segment.classes)

    def rows(self, photographs: Sequence[tuple[str, Photo | Problem]], known: Sequence[Row]) -> list[Row] | None:
        """See :class:`~dhr.engine.worker.Masks`."""
        kept = {row.id: row for row in known if row.record is not None}
        problems = {name: one.reason for name, one in photographs if isinstance(one, Problem)}
        samples = {one.name: one for _, one in photographs if not isinstance(one, Problem)}
        seen = self._seen([one for one in samples.values() if one.name not in kept], problems)
        if {name for name, _ in photographs} <= {row.id for row in known} and not seen:
            return None
        seen |= {name: self._finished(samples[name], row) for name, row in kept.items() if name in samples}
        made = dict(kept)

        def write(one: Todo, labels: UInt8[np.ndarray, "h w"], quality: float) -> None:
            content = mask_bytes(labels, self.palette)
            record = one.record(labels, quality, hashlib.sha256(content).hexdigest(), self.segment.classes)
            made[one.name] = Row(one.name, self.settings, record, content)

        work = SegmentBatches(self.segment, lambda one: _read(samples[one.name], one), write, problems)
        for _ in work.run([[seen[name] for name in samples if name in seen]], self.size):
            pass
        return [
            made.get(name) or Row(name, self.settings, reason=problems.get(name) or "it has no mask")
            for name, _ in photographs
        ]

    def _seen(self, samples: Sequence[Photo], problems: dict[str, str]) -> dict[str, Todo]:
        """Look at photographs; note why some cannot be used."""
        found = {}
        for sample, loaded in ahead(samples, _looked):
            try:
                allowed = self._allowed(sample)
                digest, size = loaded.get()
                found[sample.name] = self._todo(sample, digest, size, allowed, False)
            except ItemError as error:
                problems[sample.name] = str(error)
        return found

    def _finished(self, sample: Photo, row: Row) -> Todo:
        assert row.record is not None
        size = (row.record.height, row.record.width)
        return self._todo(sample, row.record.digest, size, None, True)

    def _todo(
        self, sample: Photo, digest: str, size: tuple[int, int], allowed: tuple[int, ...] | None, finished: bool
    ) -> Todo:
        tags = tuple(self.segment.classes.names[tag] for tag in allowed or ())
        wanted, source = Wanted(size, allowed), printable(sample.source)
        return Todo(sample.name, source, digest, wanted, tags, self.segment.long_side, finished)

    def _allowed(self, sample: Photo) -> tuple[int, ...] | None:
        """Return the student's ids of the tags; None if tags are not used; raises ItemError."""
        if not self.manifest.tagged:
            return None
        names = [self.manifest.classes.names[tag] for tag in sample.tags]
        if lost := [name for name in names if name not in self.ids]:
            raise ItemError(f"the student has no class {lost[0]!r}; correct the tags, or leave out --tags")
        return tuple(sorted(self.ids[name] for name in names))


def _looked(sample: Photo) -> tuple[str, tuple[int, int]]:
    """Return the digest of a photograph, and its height and width."""
    loaded = sample.load()
    return digest_of(loaded), read_size(loaded)


def _read(sample: Photo, one: Todo) -> UInt8[np.ndarray, "h w 3"]:
    loaded = sample.load()
    rgb = read_rgb(loaded)
    if rgb.shape[:2] != one.wanted.size or digest_of(loaded) != one.digest:
        raise ItemError(f"{sample.source}: it changed while it was read; start again when nobody changes it")
    return rgb
