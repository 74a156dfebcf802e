"""A student on photographs without tags."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

import dhr
from dhr.data.images import SUFFIXES, read_rgb, write_mask
from dhr.data.listing import list_files, mask_key, name_of, printable
from dhr.data.names import Names
from dhr.data.palette import class_palette
from dhr.data.photographs import Photograph, UntaggedDataSet, photographs_below
from dhr.data.samples import ClassTable, Problem
from dhr.data.tags import match_lines, read_tags
from dhr.data.transforms import working_image
from dhr.errors import DataError, ItemError, WeightsError
from dhr.files import digest_regular, is_own_file, write_json
from dhr.job.folder import OutputFolder
from dhr.job.predict_config import PredictConfig as PredictConfig
from dhr.job.settings import RunConfig, plain
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BoundaryConfig
from dhr.models.views import average_views
from dhr.ops.upsample import upsampled_labels
from dhr.progress import Progress, Step, silent
from dhr.records.item import read_item
from dhr.train.student_file import read_student


@dataclass(frozen=True)
class Predicted:
    """What :func:`predict` ended with."""

    masks: int
    skipped: tuple[Problem, ...]
    photographs: UntaggedDataSet
    """Whatever was listed, for the report."""
    strange: tuple[str, ...] = ()
    """Masks in the folder that are of none of these photographs, or of one that changed and cannot be used now."""
    notes: tuple[str, ...] = ()
    """What was decided while the tags were read."""


@dataclass(frozen=True)
class _Segmenter:
    """A student, and how it looks at photographs."""

    student: Any
    classes: ClassTable
    long_side: int
    config: PredictConfig
    device: torch.device

    def __call__(
        self, rgb: UInt8[np.ndarray, "h w 3"], allowed: Sequence[int] | None
    ) -> tuple[UInt8[np.ndarray, "h w"], float]:
        """Return the mask of a photograph, and how certain it is, 0..1."""
        image = working_image(rgb, self.long_side).to(self.device).unsqueeze(0)
        scores = probabilities(self.student, image, self.config, allowed)
        ids = torch.arange(len(self.classes.names), dtype=torch.uint8, device=self.device)
        labels: UInt8[np.ndarray, "h w"] = upsampled_labels(scores[0], ids, (rgb.shape[0], rgb.shape[1])).cpu().numpy()
        return labels, confidence(scores[0].cpu())


def predict(
    student: Path,
    images: Path,
    out: Path,
    config: PredictConfig,
    tags: Path | None = None,
    progress: Progress = silent,
) -> Predicted:
    """Segment every photograph of the folder ``images`` into ``out/masks``; interrupted, the same call goes on.

    A mask is kept if its record says that it is of the photograph's present content. New and changed photographs are
    segmented; masks of photographs that are gone are left and named.

    Args:
        student: a `student.safetensors`.
        tags: a ``tags.csv``; a photograph that it names gets no other classes than its tags (and the background).

    Raises:
        DataError: there is no photograph, or ``tags`` cannot be read.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: ``student`` is not the file of a student.
        ConfigError: there is no such device.
    """
    device = RunConfig(device=config.device).find_device()
    content = student_digest(student)
    read = read_student(student)
    classes = read.classes
    segment = _Segmenter(read.student.to(device), classes, config.long_side or read.long_side, config, device)
    colours = class_palette(classes)
    listing = photographs_below(images)
    notes: list[str] = []
    known = None if tags is None else _tags(tags, images, listing.listed, classes, notes)
    problems = list(listing.problems)
    folder = OutputFolder(out)
    with closing(folder.lock()):
        record = folder.read() or {}
        identity = {
            "dhr": dhr.__version__,
            "student": content,
            "settings": plain(asdict(config)),
            "tags": None if tags is None else _digest(tags),
        }
        folder.refuse_other(record.get("identity", {}), identity)
        state: dict[str, Any] = {"command": "predict", "identity": identity}
        state |= {"classes": list(classes.names), "background": classes.background}
        folder.write_record({"status": "running", **state})
        made: list[Photograph] = []
        for done, photograph in enumerate(listing.listed):
            progress(Step("predict", done, len(listing.listed)))
            try:
                _make(photograph, folder, segment, colours, known)
                made.append(photograph)
            except ItemError as error:
                problems.append(Problem(printable(str(photograph.path)), str(error)))
            except (MemoryError, torch.OutOfMemoryError):
                reason = "not enough memory to work on it; lower --long-side"
                problems.append(Problem(printable(str(photograph.path)), reason))
        progress(Step("predict", len(listing.listed), len(listing.listed)))
        strange = _strange(folder, made)
        skipped = [asdict(problem) for problem in problems]
        folder.write_record(
            {"status": "finished", **state, "masks": len(made), "skipped": skipped, "strange": list(strange)}
        )
    photographs = UntaggedDataSet(classes, listing.listed)
    return Predicted(len(made), tuple(problems), photographs, strange, tuple(notes))


def student_digest(student: Path) -> str:
    """SHA-256, in hex, of a student's file, before any library opens it.

    Raises:
        WeightsError: it is no regular file, or cannot be read.
    """
    try:
        return _digest(student)
    except OSError as error:
        raise WeightsError(
            f"--student: cannot read {student}: {error.strerror or error}; expected student.safetensors of a training"
        ) from error


def _make(
    photograph: Photograph,
    folder: OutputFolder,
    segment: _Segmenter,
    colours: UInt8[np.ndarray, "256 3"],
    known: Mapping[str, tuple[tuple[int, ...], str | None]] | None,
) -> None:
    """Make the mask of a photograph, then its record, unless they are there."""
    name, path = photograph.name, photograph.path
    allowed, reason = (None, None) if known is None else known[name]
    if reason:
        raise ItemError(reason)
    try:
        digest = _digest(path)
    except OSError as error:
        raise ItemError(f"{path}: cannot be read: {error.strerror or error}; check the file") from error
    item = read_item(folder.item(name))
    if item is not None and item.digest == digest and is_own_file(folder.mask(name)):
        return
    rgb = read_rgb(path)
    labels, quality = segment(rgb, allowed)
    write_mask(folder.mask(name), labels, colours)
    record = {"image": printable(str(path)), "width": rgb.shape[1], "height": rgb.shape[0], "digest": digest}
    pixels = np.bincount(labels.ravel(), minlength=256)
    ratios = {one: pixels[index] / labels.size for index, one in enumerate(segment.classes.names) if pixels[index]}
    write_json(folder.item(name), {**record, "quality": quality, "ratios": ratios})


def confidence(scores: Float[Tensor, "c h w"]) -> float:
    """Return how certain a mask is, 0..1: the mean over its classes of their mean probability where they win.

    Every class has the same weight, as in mIoU.

    >>> confidence(torch.tensor([[[0.75, 0.2, 0.05]], [[0.25, 0.8, 0.95]]]))
    0.8125
    """
    best, winners = (scores / scores.sum(0).clamp_min(1e-12)).max(0)  # (h, w) each
    sums = torch.bincount(winners.flatten(), best.flatten().double(), len(scores))  # (c,)
    pixels = torch.bincount(winners.flatten(), minlength=len(scores))
    return round(float((sums[pixels > 0] / pixels[pixels > 0]).mean()), 6)


def _strange(folder: OutputFolder, made: Sequence[Photograph]) -> tuple[str, ...]:
    """Masks in the folder that are of no photograph of ``made``."""
    ours = {mask_key(photograph.name) for photograph in made}
    found = list_files(folder.root / "masks", frozenset({".png"})).files
    return tuple(file for file in found if mask_key(name_of(file, SUFFIXES)) not in ours)


@torch.no_grad()
def probabilities(
    student: Any, image: Float[Tensor, "1 3 h w"], config: PredictConfig, allowed: Sequence[int] | None = None
) -> Float[Tensor, "1 c h w"]:
    """Probabilities of the classes, averaged over scales and flips; of ``allowed`` ids only, and the background.

    Raises:
        ItemError: they hold NaN or infinity, which a mask of them (or of a CRF's correction of them) would not show.
    """
    size = (image.shape[-2], image.shape[-1])
    (scores,) = average_views(lambda view: (student.segment(view),), image, [size], config.scales, config.flip)
    if not bool(scores.isfinite().all()):
        raise ItemError("the student's probabilities hold NaN or infinity")
    if allowed is not None:
        kept = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
        kept[[*range(student.background), *allowed]] = True
        if int(kept.sum()) == 1:  # nothing to choose from, and nothing that a correction could compare
            return kept[:, None, None].expand_as(scores).to(scores.dtype)
        scores = scores * kept[:, None, None]
        if config.boundary != "none":  # a CRF would see classes that cannot be
            scores = scores[:, kept]
    if config.boundary == "none":
        return scores
    refine = BOUNDARIES[config.boundary](replace(BoundaryConfig(), kind=config.boundary), Guide(image, None))
    fine = refine(image, scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-12))
    if allowed is None:
        return fine
    whole = fine.new_zeros(1, len(kept), *size)
    whole[:, kept] = fine
    return whole


def _tags(
    path: Path, images: Path, photographs: Sequence[Photograph], classes: ClassTable, notes: list[str]
) -> dict[str, tuple[tuple[int, ...], str | None]]:
    """Tags by name, or why a photograph has none that can be used."""
    by_file = {photograph.path.relative_to(images).as_posix(): photograph.name for photograph in photographs}
    names = Names([*by_file], f"{images.resolve().name}/")
    problems: list[Problem] = []
    matched = match_lines(path, read_tags(path, classes, notes), names, problems)
    if problems:  # the table may be of more photographs than these
        notes.append(f"lines of {path.name} that are not used: {len(problems)}, such as {problems[0].reason}")
    tagged = {name: matched.tags_of(file) for file, name in by_file.items()}
    return {name: (one.tags, one.reason) for name, one in tagged.items()}


def _digest(path: Path) -> str:
    try:
        return digest_regular(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; check the file") from error
