"""The first pass over a data set: what its photographs together say of the classes (dhr.method.survey)."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save

from dhr.data.samples import ClassTable, DataSet, Sample
from dhr.errors import ItemError, OutputError
from dhr.files import write_bytes
from dhr.job.folder import OutputFolder
from dhr.job.masks import Maps, photograph_prior, see
from dhr.job.models import Models
from dhr.job.settings import RunConfig
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch
from dhr.method.survey import Sighting, Survey, fit_survey, survey_features
from dhr.ops.discriminant import Discriminant
from dhr.parsing import as_number
from dhr.tensors import check_finite, check_kinds, check_shapes, read_tensors

PER_CLASS = 200
"""Photographs of each class that suffice; of large data sets not all are looked at."""

MEMORY = 1 << 30
"""Bytes that the features and scores of all these photographs may take; of more, each gives a part of its cells. To fit
the discriminants takes some ten matrices of channels by channels beside it, however many photographs there are."""

_LEAST = 16  # cells for which a photograph is worth a look: rather than fewer, fewer photographs are looked at


def make_survey(
    models: Models,
    data: DataSet,
    samples: Sequence[Sample],
    config: RunConfig,
    device: torch.device,
    folder: OutputFolder,
    progress: Callable[[str, int, int], None],
) -> Survey | None:
    """Rebalance photographs, keep what is seen in them, and fit the discriminants; read them if that is done.

    A pass that was killed goes on with the next photograph, and ends with the same bytes. Photographs that cannot be
    read count nothing; who makes their masks reports them. None, and no file, if none of them can, or none fits.

    Raises:
        OutputError: the file of a finished survey is damaged, or the disk refuses.
    """
    if folder.survey.is_file():
        folder.remove_sightings()  # if it was killed in between
        try:
            return read_survey(folder.survey, len(data.classes.names), models.uss.channels).to(device)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"{folder.survey} is damaged ({reason}); delete it, and it is made again") from error
    looked_at, cells = plan(samples, models.uss.channels, data.classes.background)
    sightings = []
    for done, sample in enumerate(looked_at):
        progress("survey", done, len(looked_at))
        path = folder.sighting(sample.name)
        try:
            sighting = _sighting(path, len(data.classes.names), models.uss.channels)
            if sighting is None:
                maps = see(data.read_image(sample), sample, data.classes, models.wss, models.uss, config, device)
                sighting = sight(maps, sample, data.classes, config, cells)
                write_bytes(path, save({name: value.cpu() for name, value in vars(sighting).items()}))
        except (ItemError, MemoryError, torch.OutOfMemoryError):
            continue
        sightings.append(sighting)
    progress("survey", len(looked_at), len(looked_at))
    if not sightings:
        return None
    survey = fit_survey(
        sightings,
        len(data.classes.names),
        config.method,
        device,
        lambda done, total: progress("discriminants", done, total),
    )
    kept = {name: value.cpu().contiguous() for name, value in vars(survey.discriminant).items()}
    write_bytes(folder.survey, save({**kept, "trust": torch.tensor(survey.trust, dtype=torch.float64)}))
    folder.remove_sightings()
    return survey


def chosen(samples: Sequence[Sample], per_class: int = PER_CLASS) -> list[Sample]:
    """Photographs to look at: each that has a class of which there are not enough yet, in an order drawn by name.

    Those without tags are left out: every cell of theirs would count as background for certain, and outweigh the cells
    of photographs in which it had to be told from something.
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
    """Photographs to look at, and cells that each may give, so that all that is kept of them fits into :data:`MEMORY`.

    Half as many photographs of each class, and half of that again, where cells would be fewer than :data:`_LEAST`. None
    at all where not even a cell of one photograph of each class fits.

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


def sight(maps: Maps, sample: Sample, classes: ClassTable, config: RunConfig, cells: int) -> Sighting:
    """What Steps 1 to 3 see in a photograph, in so many of its cells; in half precision, on the CPU."""
    background = classes.background
    prior = photograph_prior(classes, sample, config.method.prior, maps.cams.device)
    batch = Batch(
        maps.cams, maps.uss, maps.wss, maps.image, edges=maps.edges, background=background, prior=prior
    )  # fmt: skip
    result = rebalance(batch, config.method, replace(config.boundary, kind="none"))
    features, scores = survey_features(maps.uss)[0], result.intra[0].flatten(1)
    scores = scores / scores.amax().clamp_min(1e-12)  # half precision has little below 1e-4
    if cells < features.shape[1]:
        draw = torch.Generator().manual_seed(zlib.crc32(sample.name.encode()))
        some = torch.randperm(features.shape[1], generator=draw)[:cells].sort().values.to(features.device)
        features, scores = features[:, some], scores[:, some]
    ids = torch.tensor([*range(int(background)), *sample.tags])
    return Sighting(features.half().cpu().contiguous(), scores.half().cpu().contiguous(), ids)


def read_survey(path: Path, classes: int, channels: int) -> Survey:
    """The survey that a file holds, for so many classes and channels of the USS features.

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


def _sighting(path: Path, classes: int, channels: int) -> Sighting | None:
    """What an interrupted pass has kept; None if there is nothing, or it is damaged: then it is looked at again."""
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
    return Sighting(features, scores, ids)
