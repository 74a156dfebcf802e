"""A student on photographs without tags."""

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

import dhr
from dhr.data.images import SUFFIXES, read_mask, read_rgb, write_mask
from dhr.data.listing import Names, list_files, name_of, too_long
from dhr.data.matching import match_lines
from dhr.data.palette import class_palette
from dhr.data.samples import Problem
from dhr.data.tags import read_tags
from dhr.data.transforms import working_image
from dhr.errors import ConfigError, DataError, ItemError
from dhr.files import write_atomic
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BoundaryConfig, Kind
from dhr.models.views import average_views
from dhr.ops.upsample import upsampled_labels
from dhr.pipeline.folder import OutputFolder
from dhr.pipeline.run import Progress
from dhr.pipeline.settings import RunConfig
from dhr.train.student_file import read_student

_SHOWN = 24  # photographs of the overview
_TILE = 240  # pixels of its longer sides


@dataclass(frozen=True)
class PredictConfig:
    """How a student looks at photographs."""

    scales: tuple[float, ...] = (1.0,)
    """Sizes, relative to the working image, whose probabilities are averaged."""
    flip: bool = True
    """Average with the mirrored photograph."""
    boundary: Kind = "none"
    """Correction of the masks: `none`, `crf` or `pamr`."""
    long_side: int | None = None
    """Photographs with a longer side are shrunk to it; by default as in the student's training."""
    device: str = "auto"
    """`auto` (a CUDA GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError(f"scales must be positive numbers, got {self.scales}")
        if self.boundary not in ("none", "crf", "pamr"):
            raise ConfigError(f"boundary must be none, crf or pamr; got {self.boundary!r}")
        if self.long_side is not None and self.long_side < 32:
            raise ConfigError(f"long_side must be 32 or more, got {self.long_side}")


@dataclass(frozen=True)
class Predicted:
    """What :func:`predict` ended with."""

    masks: int
    skipped: tuple[Problem, ...]
    overview: Path
    notes: tuple[str, ...] = ()
    """What was decided while the tags were read."""


def predict(
    student: Path,
    images: Path,
    out: Path,
    config: PredictConfig,
    tags: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Predicted:
    """Segment every photograph of the folder ``images`` into ``out/masks``; interrupted, the same call goes on.

    Args:
        student: a `student.safetensors`.
        tags: a ``tags.csv``; a photograph that it names gets no other classes than its tags (and the background).

    Raises:
        DataError: there is no photograph.
        OutputError: ``out`` cannot be written, or holds something else.
        WeightsError: ``student`` is none.
        ConfigError: there is no such device.
    """
    device = RunConfig(device=config.device).find_device()
    read = read_student(student)
    network, classes = read.student.to(device), read.classes
    colours = class_palette(classes)
    if not images.is_dir():
        raise DataError(f"expected a folder of photographs at {images}, there is none")
    listing = list_files(images, SUFFIXES)
    if not listing.files:
        raise DataError(f"{images} holds no photograph ({', '.join(sorted(SUFFIXES))})")
    notes = list[str]()
    known = None
    if tags is not None:
        known = match_lines(tags, read_tags(tags, classes, notes), Names(listing.files, f"{images.resolve().name}/"))
    problems = list(listing.problems)
    folder = OutputFolder(out)
    with closing(folder.lock()):
        record = folder.read() or {}
        identity = {
            "dhr": dhr.__version__,
            "student": hashlib.sha256(student.read_bytes()).hexdigest(),
            "settings": {
                key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()
            },
            "tags": None if tags is None else hashlib.sha256(tags.read_bytes()).hexdigest(),
        }
        folder.refuse_other(record.get("identity", {}), identity)
        folder.write_record({"status": "running", "identity": identity})
        made: list[tuple[Path, Path]] = []
        for done, file in enumerate(listing.files):
            progress("predict", done, len(listing.files))
            name = name_of(file, SUFFIXES)
            try:
                if reason := too_long(name):
                    raise ItemError(reason)
                if not folder.mask(name).is_file():
                    rgb = read_rgb(images / file)
                    allowed, reason = (None, None) if known is None else known.tags_of(file)
                    if reason:
                        raise ItemError(reason)
                    image = working_image(rgb, config.long_side or read.long_side).to(device).unsqueeze(0)
                    scores = probabilities(network, image, config, allowed)
                    ids = torch.arange(len(classes.names), dtype=torch.uint8, device=device)
                    labels = upsampled_labels(scores[0], ids, (rgb.shape[0], rgb.shape[1])).cpu().numpy()
                    write_mask(folder.mask(name), labels, colours)
                made.append((images / file, folder.mask(name)))
            except ItemError as error:
                problems.append(Problem(str(images / file), str(error)))
            except (MemoryError, torch.OutOfMemoryError):
                problems.append(Problem(str(images / file), "not enough memory to work on it; lower --long_side"))
        progress("predict", len(listing.files), len(listing.files))
        overview = _overview(out, made[:_SHOWN], colours)
        skipped = [asdict(problem) for problem in problems]
        folder.write_record({"status": "finished", "identity": identity, "masks": len(made), "skipped": skipped})
    return Predicted(len(made), tuple(problems), overview, tuple(notes))


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


def _overview(out: Path, made: Sequence[tuple[Path, Path]], colours: UInt8[np.ndarray, "256 3"]) -> Path:
    """Photographs beside their masks, as one picture."""
    tiles = []
    for photograph, mask in made:
        rgb = Image.fromarray(read_rgb(photograph))
        labels = Image.fromarray(colours[read_mask(mask)])
        scale = _TILE / max(rgb.size)
        size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        pair = Image.new("RGB", (2 * _TILE + 4, _TILE + 4), "white")
        pair.paste(rgb.resize(size), (0, 0))
        pair.paste(Image.blend(rgb.resize(size), labels.resize(size, Image.Resampling.NEAREST), 0.65), (size[0] + 2, 0))
        tiles.append(np.asarray(pair))
    path = out / "overview.png"
    if tiles:
        while len(tiles) % 3:
            tiles.append(np.full_like(tiles[0], 255))
        rows = [np.hstack(tiles[at : at + 3]) for at in range(0, len(tiles), 3)]
        picture = Image.fromarray(np.vstack(rows))
        write_atomic(path, lambda file: picture.save(file, "PNG"))
    return path
