"""A student on photographs without tags."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

import dhr
from dhr.corrections import Corrections
from dhr.corrections.decisions import DecisionReader
from dhr.data.images import SUFFIXES
from dhr.data.listing import list_files, mask_key, name_of
from dhr.data.names import Names
from dhr.data.photographs import Photograph, UntaggedDataSet, photographs_below
from dhr.data.samples import ClassTable, Problem
from dhr.data.tags import match_lines, read_tags
from dhr.errors import WeightsError
from dhr.files import digest_regular
from dhr.job.folder import OutputFolder
from dhr.job.items import Items
from dhr.job.job import Job, Stage, go
from dhr.job.notes import person_notes, put_aside_note
from dhr.job.person_masks import PersonMasks
from dhr.job.predict_config import PredictConfig
from dhr.job.predicted_masks import SegmentPhotographs, Tags
from dhr.job.segment import Segmenter
from dhr.job.settings import RunConfig, plain
from dhr.models.folding import fold
from dhr.models.precision import resolved
from dhr.progress import Progress, silent
from dhr.records.run import Identity, RunRecord
from dhr.shards import out_of_shard
from dhr.train.student_file import read_student


@dataclass(frozen=True)
class Predicted:
    """The result of :func:`predict`."""

    masks: int
    skipped: tuple[Problem, ...]
    photographs: UntaggedDataSet
    """All listed photographs, for the report."""
    strange: tuple[str, ...] = ()
    """Masks in the folder that belong to other photographs, or to one that changed and cannot be used now."""
    notes: tuple[str, ...] = ()
    """Notes on the tags."""


def predict(
    student: Path,
    images: Path,
    out: Path,
    config: PredictConfig,
    *,
    tags: Path | None = None,
    progress: Progress = silent,
) -> Predicted:
    """Segment every photograph of the folder ``images`` into ``out/masks``; the same call continues interrupted work.

    A mask is kept if its record matches the photograph's present content and tags. New and changed photographs are
    segmented. Masks of photographs that are gone stay and are named.

    Args:
        student: a `student.safetensors`.
        images: the folder of photographs.
        out: a new or empty folder, or one of the same student and settings.
        config: sizes and views of the photographs, and the boundary correction.
        tags: a ``tags.csv``; a photograph that it names gets only its tags and the background.
        progress: called as the work goes on.

    Raises:
        DataError: there is no photograph, or ``tags`` cannot be read.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: ``student`` is not the file of a student.
        ConfigError: the device is missing.
    """
    device = RunConfig(device=config.device).find_device()
    settings = predict_settings(config, device, tags is not None)
    identity = Identity(dhr.__version__, settings=settings, student=student_digest(student))
    segment = opened_segmenter(student, config, device)
    classes, notes = segment.classes, list[str]()
    listing = photographs_below(images)
    known = None if tags is None else _tags(tags, images, listing.listed, classes, notes)
    now = RunRecord(
        identity, kind="predict", dhr=dhr.__version__, classes=tuple(classes.names), background=classes.background
    )
    names = [photograph.name for photograph in listing.listed]
    with Job.open(out, partial(_continued, now), device, names, progress=progress) as job:
        job.refuse_other(identity)
        job.changes = True
        job.problems += listing.problems
        job.notes += notes
        reader = DecisionReader(Corrections.of(job.folder.root))
        person = PersonMasks(Corrections.of(job.folder.root), job.folder, classes, reader.decisions)
        items = Items(job.folder, classes, person)
        masks = SegmentPhotographs(listing.listed, items, reader, segment, known)
        job.save()
        go(job, [Stage("predict", masks)])
        strange = _strange(job.folder, masks.made)
        job.notes += person_notes(person)
        job.notes += put_aside_note(masks.aside, job.folder.root / "gone" / "masks")
        job.record = replace(job.record, masks=len(masks.made), strange=strange)
        photographs = UntaggedDataSet(classes, listing.listed)
        notes = [*dict.fromkeys(job.notes)]
        return Predicted(len(masks.made), tuple(job.problems), photographs, strange, tuple(notes))


def predict_settings(config: PredictConfig, device: torch.device, tagged: bool) -> dict[str, Any]:
    """Return the settings on which masks depend; ``tagged``: whether tags restrict the classes."""
    return {**plain(asdict(config)), "precision": resolved(config.precision, device), "tags": tagged}


def opened_segmenter(student: Path, config: PredictConfig, device: torch.device) -> Segmenter:
    """Open a student on a device; raises WeightsError if it is not the file of one."""
    read = read_student(student)
    network = read.student.to(device, memory_format=torch.channels_last)
    fold(network)
    return Segmenter(network, read.classes, config.long_side or read.long_side, config, device)


def _continued(now: RunRecord, before: RunRecord | None) -> RunRecord:
    return replace(now, batch=None if before is None else before.batch)


def student_digest(student: Path) -> str:
    """Return the SHA-256 of a student's file, in hex, before any library opens it.

    Raises:
        WeightsError: it is not a regular file, or cannot be read.
    """
    try:
        return digest_regular(student)
    except OSError as error:
        raise WeightsError(
            f"--student: cannot read {student}: {error.strerror or error}; expected student.safetensors of a training"
        ) from error


def _strange(folder: OutputFolder, made: Sequence[Photograph]) -> tuple[str, ...]:
    """Return the masks in the folder that do not belong to ``made``."""
    ours = {mask_key(photograph.name) for photograph in made}
    found = list_files(folder.root / "masks", frozenset({".png"})).files
    return tuple(file for file in found if mask_key(out_of_shard(name_of(file, SUFFIXES))) not in ours)


def _tags(path: Path, images: Path, photographs: Sequence[Photograph], classes: ClassTable, notes: list[str]) -> Tags:
    """Return tags by name, or why the tags of a photograph cannot be used."""
    by_file = {photograph.path.relative_to(images).as_posix(): photograph.name for photograph in photographs}
    names = Names([*by_file], f"{images.resolve().name}/")
    problems: list[Problem] = []
    matched = match_lines(path, read_tags(path, classes, notes), names, problems)
    if problems:  # the table may name more photographs than these
        notes.append(f"lines of {path.name} that are not used: {len(problems)}, such as {problems[0].reason}")
    tagged = {name: matched.tags_of(file) for file, name in by_file.items()}
    return {name: (one.tags, one.reason) for name, one in tagged.items()}
