"""The first pass over a data set: what its photographs together say of the classes (dhr.method.survey)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from dhr.data.samples import DataSet, Sample
from dhr.errors import ItemError, OutputError
from dhr.files import write_bytes
from dhr.method.rebalance import rebalance
from dhr.method.survey import Survey, add_photograph, survey_features
from dhr.ops.discriminant import Discriminant, Moments, discriminant
from dhr.pipeline.folder import OutputFolder
from dhr.pipeline.masks import Maps, photograph_prior, see
from dhr.pipeline.models import Models
from dhr.pipeline.settings import RunConfig

SAVE_EVERY = 50
"""Photographs after which the sums are written, for a pass that is killed."""


def make_survey(
    models: Models,
    data: DataSet,
    samples: Sequence[Sample],
    config: RunConfig,
    device: torch.device,
    folder: OutputFolder,
    progress: Callable[[int, int], None],
) -> Survey | None:
    """Rebalance every photograph, sum up what it is sure of, and fit the discriminants; read them if that is done.

    A pass that was killed goes on where it was last written, and ends with the same bytes. Photographs that cannot be
    read count nothing; who makes their masks reports them. None, and no file, if none of them can.

    Raises:
        OutputError: the file of a finished survey is damaged.
    """
    if folder.survey.is_file():
        try:
            found, _ = _read(folder.survey)
            return Survey(Discriminant(found["weights"], found["bias"], found["known"])).to(device)
        except (OSError, KeyError, SafetensorError) as error:
            raise OutputError(f"{folder.survey} is damaged ({error}); delete it, and it is made anew") from error
    moments, start = _checkpoint(folder.survey_checkpoint) or (None, 0)
    for done, sample in enumerate(samples):
        if done < start:
            continue
        progress(done, len(samples))
        try:
            maps = see(data.read_image(sample), sample, data.classes, models.wss, models.uss, config, device)
            moments = add_maps(moments, maps, sample, data, config)
        except (ItemError, MemoryError, torch.OutOfMemoryError):
            continue
        if (done + 1) % SAVE_EVERY == 0:
            _write(folder.survey_checkpoint, vars(moments), {"next": str(done + 1)})
    progress(len(samples), len(samples))
    if moments is None:
        return None
    fitted = discriminant(moments, config.method.survey_shrinkage)
    _write(folder.survey, vars(fitted), {})
    folder.survey_checkpoint.unlink(missing_ok=True)
    return Survey(fitted).to(device)


def add_maps(moments: Moments | None, maps: Maps, sample: Sample, data: DataSet, config: RunConfig) -> Moments:
    """The sums, or new ones, with a photograph added to them."""
    background = data.classes.background
    result = rebalance(
        maps.cams, maps.uss, maps.wss, maps.image, edges=maps.edges, background=background,
        prior=photograph_prior(data.classes, sample, config.method.prior, maps.cams.device),
        config=config.method, boundary=replace(config.boundary, kind="none"),
    )  # fmt: skip
    features = survey_features(maps.uss, maps.wss)
    if moments is None:
        moments = Moments.nothing(len(data.classes.names), len(features))
    ids = torch.tensor([*range(int(background)), *sample.tags], device=features.device)
    add_photograph(moments, features, result.intra, ids)
    return moments


def _write(path: Path, tensors: dict[str, Tensor], notes: dict[str, str]) -> None:
    write_bytes(path, save({name: value.cpu().contiguous() for name, value in tensors.items()}, notes))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _checkpoint(path: Path) -> tuple[Moments, int] | None:
    """Sums, and the first photograph that they lack; None if there are none, or they are damaged."""
    try:
        found, notes = _read(path)
        return Moments(found["mass"], found["sums"], found["products"]), int(notes["next"])
    except (OSError, KeyError, ValueError, SafetensorError):
        return None
