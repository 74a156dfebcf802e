"""The pure time of what a run cannot do without: ``end_to_end.py`` calls this in a process of its own.

On the photographs of a data folder, in the batches and with the settings of a run:

- ``networks``: the forward passes of all views of both networks, each photograph once;
- ``crf``: the final boundary correction, with as many classes as the photograph has;
- ``png``: the coding of the masks;
- ``decode``: the decoding of the photographs, which is not part of the limit, because it can be done meanwhile;
- ``predict_networks``, ``predict_png``: the same for a student;
- ``training``, ``training_networks``: a training of the classifier, and its forward and backward passes alone.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import measure
from network_time import NetworkTime, Steps
from PIL import Image
from torch import Tensor

from dhr.api.data import open_data
from dhr.api.settings import run_settings
from dhr.data.images import mask_bytes
from dhr.data.palette import class_palette
from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import grid_size, working_image, working_size
from dhr.files import write_json
from dhr.flow.batches import batches
from dhr.job.folder import OutputFolder
from dhr.job.models import Models, build_models
from dhr.job.predict_config import PredictConfig
from dhr.job.segment import probabilities
from dhr.job.settings import RunConfig
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.ops.upsample import resize
from dhr.progress import silent
from dhr.sources import Given, build_source
from dhr.train.student_file import read_student


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call, the device waited for."""
    return measure(work, 1, 0, device)[0]


def scores_of(cams: Tensor, size: tuple[int, int], background: bool) -> Tensor:
    """Maps of the size of the image with as many classes as a mask has."""
    maps = resize(cams.relu(), size)
    return torch.cat([torch.full_like(maps[:, :1], 0.3), maps], dim=1) if background else maps


def batches_of(data: DataSet, samples: Sequence[Sample], long_side: int, most: int) -> list[tuple[Sample, ...]]:
    """Photographs of one working size, as a run puts them together."""

    def size(sample: Sample) -> tuple[int, int]:
        height, width, _ = data.read_image(sample).shape
        return working_size(height, width, long_side)

    return batches(samples, size, most)


def opened(data: DataSet, batch: Sequence[Sample], long_side: int) -> Tensor:
    """Working images of a batch."""
    return torch.stack([working_image(data.read_image(sample), long_side) for sample in batch])


@torch.no_grad()
def run_seconds(
    data: DataSet, samples: Sequence[tuple[Sample, ...]], config: RunConfig, models: Models
) -> dict[str, float]:
    """Seconds of networks and boundary correction for all batches of a run."""
    device = models.device
    found = dict.fromkeys(("decode", "networks", "views", "crf"), 0.0)
    for batch in samples:
        start = time.perf_counter()
        images = opened(data, batch, config.image.long_side)
        found["decode"] += time.perf_counter() - start
        size = (images.shape[-2], images.shape[-1])
        start = time.perf_counter()
        with NetworkTime(device) as networks:
            images = images.to(device)
            uss = models.uss.compute(images)
            seen = models.source.see(images, batch, grid_size(*size, config.image.grid_stride))
        found["views"] += time.perf_counter() - start
        found["networks"] += networks.seconds
        scores = scores_of(seen.cams, size, data.classes.background)
        for index, sample in enumerate(batch):  # as many classes as each of them has
            one = slice(index, index + 1)
            refine = BOUNDARIES[config.boundary.kind](
                config.boundary, Guide(uss[one], None if seen.edges is None else seen.edges[one])
            )
            given = images[one], scores[one, : len(sample.tags) + data.classes.background]
            found["crf"] += seconds_of(partial(refine, *given), device)
    return found


def png_seconds(masks: Path, data: DataSet) -> float:
    """Seconds for the coding of all masks of a folder."""
    palette, total = class_palette(data.classes), 0.0
    for path in sorted(masks.rglob("*.png")):
        with Image.open(path) as image:
            labels = np.array(image)
        start = time.perf_counter()
        mask_bytes(labels, palette)
        total += time.perf_counter() - start
    return total


@torch.no_grad()
def predict_seconds(
    data: DataSet, samples: Sequence[Sample], student: Path, device: torch.device, most: int
) -> dict[str, float]:
    """Seconds of a student's forward passes for all photographs."""
    read = read_student(student)
    network, config, total = read.student.to(device), PredictConfig(), 0.0
    long_side = config.long_side or read.long_side
    for batch in batches_of(data, samples, long_side, most):
        images = opened(data, batch, long_side).to(device)
        with NetworkTime(device) as networks:
            probabilities(network, images, config)
        total += networks.seconds
    return {"predict_networks": total}


def training_seconds(
    data: DataSet, samples: Sequence[Sample], config: RunConfig, device: torch.device
) -> tuple[float, float] | None:
    """Seconds of a training of the classifier, and of its forward and backward passes alone; None without one."""
    config = replace(config, classifier=replace(config.classifier, file=None))
    with tempfile.TemporaryDirectory() as name:
        source = build_source(Given(config, data.classes, device, Path(name)))
        if not source.fittings:
            return None
        fitting = source.fittings[0]
        start = time.perf_counter()
        with Steps(device) as steps:
            fitting.fit(data, samples, Path(name) / "checkpoint", silent)
        whole = time.perf_counter() - start
        for step in steps.found:  # the training leaves its network in evaluation mode
            step.network.train()
        return whole, steps.again()


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--only", choices=("run", "predict", "training"), required=True)
    parser.add_argument("--classifier", type=Path)
    parser.add_argument("--student", type=Path)
    parser.add_argument("--masks", type=Path, help="masks to code")
    parser.add_argument("--batch", type=int, default=1, help="photographs in a batch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--photographs", type=int, default=64, help="most photographs of the training")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    config, _ = run_settings(given.config)
    data, device = open_data(given.data), config.find_device()
    samples = data.samples
    found: dict[str, Any] = {}
    if given.only == "run":
        config = replace(config, classifier=replace(config.classifier, file=given.classifier))
        with tempfile.TemporaryDirectory() as name:
            models = build_models(data, config, OutputFolder(Path(name)), device)
            tagged = [sample for sample in samples if sample.tags]
            together = batches_of(data, tagged, config.image.long_side, given.batch)
            run_seconds(data, together[:1], config, models)  # kernels are compiled, memory is taken
            found = run_seconds(data, together, config, models)
        found["png"] = png_seconds(given.masks, data)
    elif given.only == "predict":
        predict_seconds(data, samples[:1], given.student, device, given.batch)
        found = predict_seconds(data, samples, given.student, device, given.batch)
        found["predict_png"] = png_seconds(given.masks, data)
    else:
        config = replace(config, classifier=replace(config.classifier, epochs=given.epochs))
        some = [sample for sample in samples if sample.tags][: given.photographs]
        both = training_seconds(data, some, config, device)
        found = {} if both is None else {"training": both[0], "training_networks": both[1]}
    write_json(given.json, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
