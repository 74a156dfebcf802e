"""One photograph: maps, rebalancing, files."""

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.images import write_mask
from dhr.data.samples import VOID, ClassTable, DataSet, Sample
from dhr.data.transforms import grid_size, working_image
from dhr.errors import ItemError
from dhr.features import Features
from dhr.files import write_bytes, write_json
from dhr.job.folder import OutputFolder
from dhr.job.negatives import background_alone
from dhr.job.settings import RunConfig
from dhr.job.stored_maps import StoredMaps
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch
from dhr.method.survey import Survey, agreed, survey_features
from dhr.models.views import average_views
from dhr.models.wss import WssModel
from dhr.ops.upsample import resize, upsampled_labels
from dhr.types import Rebalanced


@dataclass(frozen=True)
class Maps:
    """What the models see in one photograph."""

    image: Float[Tensor, "1 3 h w"]
    cams: Float[Tensor, "1 k u v"]
    """CAMs of the tagged classes, in the order of the tags."""
    uss: Float[Tensor, "1 d u v"]
    wss: Float[Tensor, "1 e u v"]
    edges: Float[Tensor, "1 1 p q"] | None = None
    """Probability of a class boundary, from WSS models that learn it."""
    probabilities: Float[Tensor, "1 _ p q"] | None = None
    """Of the photograph's classes, the background first, from a student."""


_FURTHER = ("edges", "probabilities")
"""What few WSS models know; on a grid of its own."""


@torch.no_grad()
def see(
    rgb: UInt8[np.ndarray, "h w 3"],
    sample: Sample,
    classes: ClassTable,
    wss: WssModel | StoredMaps,
    uss: Features,
    config: RunConfig,
    device: torch.device,
) -> Maps:
    """Run both models on a photograph at all scales.

    Raises:
        ItemError: what a model sees is not finite.
    """
    image = working_image(rgb, config.image.long_side).unsqueeze(0)
    uss_features = uss(image)
    image = image.to(device)
    grid = grid_size(image.shape[-2], image.shape[-1], config.image.grid_stride)
    positive, signed, wss_features, further = _see_wss(image, sample, classes, wss, grid, config)
    if wss_features is None:
        wss_features = uss_features
    # What a class evokes at one scale counts, even if others deny it; only where none does, the denials are compared.
    for name, maps in (("CAMs", signed), ("WSS features", wss_features)):
        if not bool(torch.isfinite(maps).all()):
            raise ItemError(f"its {name} hold NaN or infinity; check the weights, or those that were trained here")
    cams = torch.where(positive.amax(dim=(2, 3), keepdim=True) > 0, positive, signed)
    return Maps(image, cams, uss_features, wss_features, **further)


def _see_wss(
    image: Tensor,
    sample: Sample,
    classes: ClassTable,
    wss: WssModel | StoredMaps,
    grid: tuple[int, int],
    config: RunConfig,
) -> tuple[Tensor, Tensor, Tensor | None, dict[str, Tensor]]:
    """CAMs after and before the ReLU, WSS features (None: there are none of their own), and what few models know."""
    columns = [tag - classes.foreground.start for tag in sample.tags]
    if isinstance(wss, StoredMaps):
        maps = wss.read(sample).to(image.device)
        positive, signed = (
            interpolate(one, grid, mode="bilinear", align_corners=False, antialias=True) for one in (maps.relu(), maps)
        )
        if wss.network is None:
            return positive, signed, None, {}
        views = average_views(lambda view: (wss.features(view),), image, [grid], config.wss.scales, config.wss.flip)
        return positive, signed, views[0], {}

    def wss_maps(view: Tensor) -> tuple[Tensor, ...]:
        maps = wss.maps(view.contiguous(memory_format=torch.channels_last), columns)
        known.update({name: one for name in _FURTHER if (one := getattr(maps, name)) is not None})
        return maps.cams.relu(), maps.cams, maps.features, *known.values()

    known: dict[str, Tensor] = {}
    # Class boundaries are thin: on a coarser grid than their own they are lost.
    positive, signed, features, *others = average_views(wss_maps, image, 3 * [grid], config.wss.scales, config.wss.flip)
    return positive, signed, features, dict(zip(known, others, strict=True))


def make_mask(
    data: DataSet,
    sample: Sample,
    wss: WssModel | StoredMaps,
    uss: Features,
    config: RunConfig,
    device: torch.device,
    folder: OutputFolder,
    palette: UInt8[np.ndarray, "256 3"],
    survey: Survey | None = None,
    digest: str = "",
) -> None:
    """Make the mask of ``sample`` and write everything that the output folder holds of it, its record last.

    Args:
        digest: of the photograph's content, for the record.

    Raises:
        ItemError: the photograph cannot be read, or a model sees NaN in it.
    """
    start = time.perf_counter()
    classes = data.classes
    rgb = data.read_image(sample)
    if sample.tags:
        maps = see(rgb, sample, classes, wss, uss, config, device)
        batch = Batch(
            maps.cams,
            maps.uss,
            maps.wss,
            maps.image,
            edges=maps.edges,
            background=classes.background,
            prior=photograph_prior(classes, sample, config.method.prior, device),
            survey=None if survey is None else surveyed(survey, maps, classes, sample),
        )
        method = config.method if survey is None else survey.weighed(config.method)
        result = rebalance(batch, method, config.boundary)
    else:
        height, width = working_image(rgb, config.image.long_side).shape[-2:]
        result = background_alone(grid_size(height, width, config.image.grid_stride), (height, width), device)
    size = (rgb.shape[0], rgb.shape[1])
    ids = torch.tensor([*range(classes.foreground.start), *sample.tags], dtype=torch.uint8, device=device)
    mask = _labels(result.scores, result.order, ids, size)
    if config.stages:
        _write_stages(result, folder, sample, ids, size, classes, palette)
    if config.doubtful > 0:
        sure = resize(result.confidence.unsqueeze(1), size)[0, 0].cpu().numpy() >= config.doubtful
        write_mask(folder.training_mask(sample.name), np.where(sure, mask, np.uint8(VOID)), palette)
    write_mask(folder.mask(sample.name), mask, palette)
    record = _record(sample, classes, mask, result)
    write_json(folder.item(sample.name), {**record, "digest": digest, "seconds": round(time.perf_counter() - start, 4)})


def photograph_prior(
    classes: ClassTable, sample: Sample, shares: Mapping[str, float], device: torch.device
) -> Float[Tensor, "1 k"] | None:
    """Shares of the classes of a photograph, the background first where there is one; None if none are given."""
    if not shares:
        return None
    usual = sum(shares.values()) / len(shares)
    names = [classes.names[label] for label in (*range(classes.foreground.start), *sample.tags)]
    return torch.tensor([[shares.get(name, usual) for name in names]], device=device)


def surveyed(survey: Survey, maps: Maps, classes: ClassTable, sample: Sample) -> Float[Tensor, "1 k u v"]:
    """What those who know the other photographs say of this one: the survey, and the student, if there is one."""
    ids = torch.tensor([[*range(classes.foreground.start), *sample.tags]], device=maps.uss.device)
    valid = torch.ones_like(ids, dtype=torch.bool)
    grid = (maps.uss.shape[-2], maps.uss.shape[-1])
    said = survey.shares(survey_features(maps.uss), ids, valid)
    if maps.probabilities is not None:
        said = agreed(said, resize(maps.probabilities, grid).flatten(2))
    return said.view(1, -1, *grid)


def _labels(scores: Tensor, order: Tensor, ids: Tensor, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    return upsampled_labels(scores[0, order[0]], ids[order[0]], size).cpu().numpy()  # of equal scores the first wins


def _write_stages(
    result: Rebalanced,
    folder: OutputFolder,
    sample: Sample,
    ids: UInt8[Tensor, " k"],
    size: tuple[int, int],
    classes: ClassTable,
    palette: Any,
) -> None:
    base = interpolate(result.base[:, None].float(), size, mode="nearest-exact")[0, 0].long()
    with_void = torch.cat([ids, ids.new_tensor([VOID])])  # where the label is -1
    write_mask(folder.stage("base", sample.name), with_void[base].cpu().numpy(), palette)
    for stage, scores in (
        ("cam", result.activation),
        ("seed", result.seed),
        ("inter", result.inter),
        ("intra", result.intra),
    ):
        write_mask(folder.stage(stage, sample.name), _labels(scores, result.order, ids, size), palette)
    activation = result.activation[0, classes.foreground.start :]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        cams=activation.half().cpu().numpy(),
        classes=np.asarray(sample.tags, dtype=np.int64),
    )
    write_bytes(folder.cams(sample.name), buffer.getvalue())


def _record(sample: Sample, classes: ClassTable, mask: UInt8[np.ndarray, "h w"], result: Rebalanced) -> dict[str, Any]:
    counts = {tag: int((mask == tag).sum()) for tag in (*range(classes.foreground.start), *sample.tags)}
    return {
        "image": sample.source,
        "tags": [classes.names[tag] for tag in sample.tags],
        "width": mask.shape[1],
        "height": mask.shape[0],
        "quality": round(float(result.quality), 4),
        "moved": round(float(result.moved), 4),
        "ratios": {classes.names[tag]: round(count / mask.size, 5) for tag, count in counts.items()},
        "vanished": [classes.names[tag] for tag in sample.tags if counts[tag] == 0],
    }
