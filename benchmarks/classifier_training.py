"""Training of the classifier beside its network alone: ``python benchmarks/classifier_training.py --data D --json F``.

The classifier is trained on the photographs of a folder, and the same network computes as many forward and backward
passes of a batch that is in memory, in turns and in one process. ``over_networks`` is the ratio of the seconds;
``over_networks_cpu`` that of the processor's seconds, which a busy machine changes less. Each turn is a training of its
own, so it decodes the photographs once.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from common import commit, machine, run_config, wait_for
from torch.nn.functional import multilabel_soft_margin_loss

from dhr.data.open import open_data
from dhr.files import write_json
from dhr.job import RunConfig
from dhr.models.modes import freeze_statistics, out_of_place
from dhr.models.weights import NONE
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import silent
from dhr.train.classifier import train_classifier
from dhr.train.colours import coloured
from dhr.train.crops import TrainingSet
from dhr.train.precision import lower_precision


@dataclass(frozen=True)
class Spent:
    """Seconds of a piece of work, by the clock and of the processor."""

    clock: float
    processor: float


def spent(work: Callable[[], object], device: torch.device) -> Spent:
    """Measure a piece of work."""
    wait_for(device)
    clock, processor = time.perf_counter(), time.process_time()
    work()
    wait_for(device)
    return Spent(time.perf_counter() - clock, time.process_time() - processor)


def passes(network: TagClassifier, config: RunConfig, steps: int, device: torch.device) -> None:
    """Compute forward and backward passes of one batch."""
    training = config.classifier
    side, classes = training.crop, network.classifier.out_channels
    pixels = torch.randint(0, 256, (training.batch, side, side, 3), dtype=torch.uint8).to(device)
    images, tags = coloured(pixels), torch.ones(training.batch, classes, device=device)
    network.train()
    if config.wss.weights != NONE:
        freeze_statistics(network)
    with out_of_place(network):
        for _ in range(steps):
            network.zero_grad()
            with lower_precision(training.precision, device):
                loss = multilabel_soft_margin_loss(network(images).float(), tags)
            loss.backward()  # type: ignore[no-untyped-call]


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Return the measurements."""
    device = torch.device(given.device)
    config = run_config(["run", "--data", str(given.data), "--out", "unused", *given.settings])
    config = replace(config, classifier=replace(config.classifier, epochs=given.epochs))
    data = open_data(given.data, split=given.split)
    samples = data.samples[: given.photographs]
    network = TagClassifier(config.wss, len(data.classes.foreground))
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = given.epochs * math.ceil(len(samples) / config.classifier.batch)

    def train() -> None:
        photographs = TrainingSet(data, samples, config.image.long_side, config.seed)
        with tempfile.TemporaryDirectory() as folder:
            train_classifier(
                network, photographs, config.classifier, freeze_norm=config.wss.weights != NONE,
                checkpoint=Path(folder) / "state", progress=silent,
            )  # fmt: skip

    passes(network, config, 2, device)  # warm up
    trained, alone = [], []
    for _ in range(given.turns):
        trained.append(spent(train, device))
        alone.append(spent(lambda: passes(network, config, steps, device), device))
    ratios = {
        name: [getattr(one, name) / getattr(other, name) for one, other in zip(trained, alone, strict=True)]
        for name in ("clock", "processor")
    }
    return {
        "benchmark": "classifier_training",
        "over_networks": statistics.median(ratios["clock"]),
        "over_networks_cpu": statistics.median(ratios["processor"]),
        "ratios": ratios,
        "seconds_per_crop": statistics.median(one.clock for one in trained) / (given.epochs * len(samples)),
        "photographs": len(samples),
        "steps": steps,
        "crop": config.classifier.crop,
        "commit": commit(),
        "machine": machine(device),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a line, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--photographs", type=int, default=160, help="how many of them")
    parser.add_argument("--epochs", type=int, default=2, help="of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    given, settings = parser.parse_known_args(arguments)
    given.settings = settings
    result = measured(given)
    print(f"training takes {result['over_networks']:.2f} times its forward and backward passes "
          f"({result['over_networks_cpu']:.2f} in seconds of the processor)")  # fmt: skip
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
