"""The survey: a first pass over a data set, which fits discriminants of the classes (dhr.method.survey)."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save

from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import working_image
from dhr.errors import ItemError, OutputError
from dhr.files import write_bytes
from dhr.job.drafts import Drafts
from dhr.job.folder import OutputFolder
from dhr.job.kept import Kept, Room
from dhr.job.scan import Scan
from dhr.job.settings import RunConfig
from dhr.method.order import take_classes
from dhr.method.survey import Survey, SurveyCells, fit_survey, survey_features
from dhr.ops.discriminant import Discriminant
from dhr.parsing import as_number
from dhr.progress import Progress, Step
from dhr.tensors import check_finite, check_kinds, check_shapes, read_tensors

PER_CLASS = 200
"""Number of photographs per class that suffices; in large data sets the others are skipped."""

MEMORY = 1 << 30
"""Bytes that the features and scores of all these photographs may take; if all cells would take more, each photograph
gives a part of its cells. The fit takes some ten matrices of channels by channels besides."""

_LEAST = 16  # cells per photograph; with less memory, fewer photographs are used


def make_survey(
    drafts: Drafts, data: DataSet, found: Scan, config: RunConfig, folder: OutputFolder, progress: Progress
) -> Survey | None:
    """Make drafts of photographs, keep them, and fit the discriminants to their cells; read these if that is done.

    Drafts are kept for the masks, as far as ``config.work_space`` allows; of other photographs only the cells are kept.
    A pass that was killed continues with the next photograph, and ends with the same bytes. Photographs that cannot be
    read are skipped here, and reported when their masks are made. Returns None and writes nothing if all fail, or if
    the memory is too small for any cell.

    Raises:
        OutputError: the file of a finished survey is damaged, or the disk refuses.
    """
    classes, uss = len(data.classes.names), drafts.models.uss
    if folder.survey.is_file():
        try:
            return read_survey(folder.survey, classes, uss.channels).to(uss.device)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{folder.survey} is damaged ({reason}); make it again with --redo survey") from error
    looked_at, most = plan(found.samples, uss.channels, data.classes.background)
    room, cells = Room.of(folder, config.work_bytes()), []
    for done, sample in enumerate(looked_at):
        progress(Step("survey", done, len(looked_at)))
        try:
            cells.append(_cells(drafts, data, sample, found.seen[sample.name].digest, most, room))
        except (ItemError, MemoryError, torch.OutOfMemoryError):
            continue
    progress(Step("survey", len(looked_at), len(looked_at)))
    if not cells:
        return None
    survey = fit_survey(cells, classes, config.method, uss.device, progress)
    kept = {name: value.cpu().contiguous() for name, value in vars(survey.discriminant).items()}
    write_bytes(folder.survey, save({**kept, "trust": torch.tensor(survey.trust, dtype=torch.float64)}))
    return survey


def _cells(drafts: Drafts, data: DataSet, sample: Sample, digest: str, most: int, room: Room) -> SurveyCells:
    """Return cells of a photograph: those that were kept, else computed and kept, with the draft if there is room."""
    keeper = drafts.kept
    path = keeper.folder.survey_cells(sample.name)
    if known := keeper.read(sample, digest):
        room.take(path.stat().st_size)
        return draw_cells(known, sample, most)
    if cells := read_cells(path, len(data.classes.names), keeper.channels):
        return cells
    image = working_image(data.read_image(sample), drafts.config.image.long_side).unsqueeze(0)
    made = drafts.new(image, sample)
    cells = draw_cells(made, sample, most)
    content = keeper.content(made, digest)
    if room.take(len(content)):
        write_bytes(path, content, durable=False)
    else:
        write_bytes(path, save(dict(vars(cells))))
    return cells


def chosen(samples: Sequence[Sample], per_class: int = PER_CLASS) -> list[Sample]:
    """Choose photographs, in an order drawn by name: each with a class that has too few photographs so far.

    Those without tags are left out. All their cells would count as certain background, and outweigh the cells of
    photographs in which the background stands beside a class.
    """
    counts: dict[int, int] = {}
    found = []
    for sample in sorted(samples, key=lambda sample: (zlib.crc32(sample.name.encode()), sample.name)):
        if any(counts.get(tag, 0) < per_class for tag in sample.tags):
            found.append(sample)
            for tag in sample.tags:
                counts[tag] = counts.get(tag, 0) + 1
    return found


def plan(samples: Sequence[Sample], dim: int, background: bool) -> tuple[list[Sample], int]:
    """Choose photographs, and the number of cells of each, so that all cells fit into :data:`MEMORY`.

    The number of photographs of each class is halved until each gives at least :data:`_LEAST` cells. The list is empty
    if not even one cell of one photograph of each class fits.

    Args:
        samples: photographs with their tags.
        dim: channels of the features.
        background: whether each photograph has a background beside its tags.
    """
    per_class = PER_CLASS
    while True:
        found = chosen(samples, per_class)
        numbers = sum(dim + len(sample.tags) + background for sample in found)  # of one cell of each, 2 bytes each
        cells = MEMORY // max(2 * numbers, 1)
        if cells >= _LEAST or per_class == 1:
            return (found, cells) if cells else ([], 0)
        per_class //= 2


def draw_cells(made: Kept, sample: Sample, most: int) -> SurveyCells:
    """Draw at most ``most`` cells of a photograph, with the scores of Steps 1 to 3; in half precision, on the CPU."""
    draft = made.draft
    features = survey_features(made.uss.unpacked(draft.cams.device))[0]
    scores = take_classes(draft.steps.intra, draft.order.argsort(dim=1))[0]
    scores = scores / scores.amax().clamp_min(1e-12)  # half precision has little below 1e-4
    if most < features.shape[1]:
        draw = torch.Generator().manual_seed(zlib.crc32(sample.name.encode()))
        some = torch.randperm(features.shape[1], generator=draw)[:most].sort().values.to(features.device)
        features, scores = features[:, some], scores[:, some]
    return SurveyCells(features.half().cpu().contiguous(), scores.half().cpu().contiguous(), made.ids)


def read_survey(path: Path, classes: int, channels: int) -> Survey:
    """Read a survey for this number of classes and of channels of the USS features.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another data set or features.
    """
    found, _ = read_tensors(path)
    check_shapes(
        found, {"weights": (classes, channels), "bias": (classes,), "known": (classes,), "trust": ()}
    )  # fmt: skip
    check_kinds(found, {**dict.fromkeys(("weights", "bias", "known"), (torch.float32,)), "trust": (torch.float64,)})
    check_finite(found)
    known, trust = found["known"], float(found["trust"])
    if not bool(((known == 0) | (known == 1)).all()):
        raise ValueError("known: expected 0 and 1 only")
    return Survey(Discriminant(found["weights"], found["bias"], known), as_number(trust, 0, 1, "trust"))


def read_cells(path: Path, classes: int, channels: int) -> SurveyCells | None:
    """Read the cells that an interrupted pass has kept; None if the file is missing or damaged: it is made again."""
    try:
        found, _ = read_tensors(path, 4 * MEMORY)
        check_shapes(found, {"features": (channels, None), "scores": (None, None), "ids": (None,)})
        check_kinds(found, {**dict.fromkeys(("features", "scores"), (torch.float16,)), "ids": (torch.int64,)})
        check_finite(found)
        features, scores, ids = found["features"], found["scores"], found["ids"]
        if features.shape[1] != scores.shape[1] or len(scores) != len(ids) or not len(ids):
            raise ValueError("its tensors do not fit together")
        if bool((scores < 0).any()) or int(ids.min()) < 0 or int(ids.max()) >= classes:
            raise ValueError("it holds scores or classes that cannot be")
    except (OSError, ValueError):
        return None
    return SurveyCells(features, scores, ids)
