"""What rebalancing adds to a training step: ``python benchmarks/training_step.py --json F``.

The same student takes steps with masks that are given and with masks that are rebalanced live, in turns, on random
crops. ``rebalance_share`` is what the latter takes of a whole step; the teacher's forward pass is measured apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from common import commit, machine, wait_for
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor
from torch.nn.functional import multilabel_soft_margin_loss

from dhr.files import write_json
from dhr.method.config import BOUNDARY, PRESETS, Kind
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier
from dhr.train.config import StudentTrainingConfig
from dhr.train.fabric import make_fabric
from dhr.train.live import LiveMethod, given_targets, live_targets
from dhr.train.objectives import segmentation_loss
from dhr.train.student_crops import CropBatch


def random_crops(given: argparse.Namespace, device: torch.device) -> CropBatch:
    """A batch of smooth random images with blocks of classes."""
    generator = torch.Generator().manual_seed(0)
    batch, side, cells = given.batch, given.crop, given.crop // 8
    coarse = torch.rand(batch, 3, 8, 8, generator=generator)
    images = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)
    classes = torch.stack([torch.randperm(given.classes, generator=generator)[: given.tags] for _ in range(batch)])
    base = torch.randint(given.tags, (batch, 4, 4), generator=generator)
    base = classes.gather(1, base.flatten(1)).view(batch, 4, 4)
    crops = CropBatch(
        images,
        torch.zeros(batch, given.classes).scatter(1, classes, 1.0),
        classes,
        torch.ones(batch, given.tags, dtype=torch.bool),
        base.repeat_interleave(side // 4, 1).repeat_interleave(side // 4, 2),
        torch.randn(batch, given.d_us, cells, cells, generator=generator),
    )
    return CropBatch(*(one.to(device) for one in crops))


def peak(device: torch.device) -> float | None:
    """Most MB of GPU memory since the last call; None on a CPU."""
    if device.type != "cuda":
        return None
    most = torch.cuda.max_memory_allocated(device) / 1e6
    torch.cuda.reset_peak_memory_stats(device)
    return most


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The settings of the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backbone", default="mobilenetv2_100")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--width", type=int, default=64, help="channels of the decoder")
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--tags", type=int, default=4)
    parser.add_argument("--d-us", type=int, default=192)
    parser.add_argument("--boundary", default="pamr", choices=("pamr", "crf", "none"))
    parser.add_argument("--output-stride", type=int, default=16)
    parser.add_argument("--precision", default=StudentTrainingConfig.precision)
    parser.add_argument("--repetitions", type=int, default=10)
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Training:
    """A student, and the kinds of steps that it can take."""

    student: Student
    runs: Mapping[str, Callable[[], None]]


def training(given: argparse.Namespace) -> Training:
    """Build the student."""
    device = torch.device(given.device)
    wss = WssConfig(backbone=given.backbone, weights="none", output_stride=given.output_stride)
    joint = StudentTrainingConfig(batch=given.batch, crop=given.crop, precision=given.precision)
    torch.manual_seed(0)
    student = Student(TagClassifier(wss, given.classes), StudentConfig(width=given.width), given.classes)
    student.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    fabric = make_fabric(joint, device)
    optimiser = torch.optim.SGD(student.parameters(), lr=1e-4, momentum=0.9)
    network, wrapped = fabric.setup(student, optimiser)
    teacher = ModelEmaV3(student)
    student.set_modes(freeze_norm=True)
    crops = random_crops(given, device)
    kind: Kind = given.boundary
    method = LiveMethod(True, False, PRESETS["default"], replace(BOUNDARY, kind=kind))

    def step(live: bool) -> None:
        wrapped.zero_grad()
        seen = network(crops.images.contiguous(memory_format=torch.channels_last))
        targets = given_targets(crops)
        if live:
            cams = student.activation(seen).detach()
            targets = live_targets(cams, seen.features.detach(), crops, method)
        tagged: Tensor = multilabel_soft_margin_loss(seen.cams.mean(dim=(2, 3)), crops.tags)
        fabric.backward(tagged + segmentation_loss(seen.logits, targets, fabric))
        wrapped.step()

    @torch.no_grad()
    def look() -> None:
        teacher.module.eval()
        with fabric.autocast():
            teacher.module(crops.images)

    return Training(student, {"given": lambda: step(False), "live": lambda: step(True), "teacher": look})


def figures(given: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    device, runs = torch.device(given.device), training(given).runs
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    memory: dict[str, float | None] = {}
    for turn in range(given.repetitions + 2):
        for name, run in runs.items():
            wait_for(device)
            peak(device)
            start = time.perf_counter()
            run()
            wait_for(device)
            if turn >= 2:
                seconds[name].append(time.perf_counter() - start)
                memory[name] = peak(device)
    medians = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    return {
        "benchmark": "training_step",
        "rebalance_share": 100 * (medians["live"] - medians["given"]) / medians["live"],
        "ms": medians,
        "spread": {
            name: [1000 * one for one in statistics.quantiles(values, n=4)[::2]] for name, values in seconds.items()
        },
        "peak_gpu_mb": memory,
        "memory_ratio": memory["live"] / memory["given"] if memory["live"] and memory["given"] else None,
        "inputs": {key: value for key, value in vars(given).items() if key != "json"},
        "commit": commit(),
        "machine": machine(device),
    }


def main() -> None:
    """Measure, print, write."""
    given = options()
    result = figures(given)
    ms, memory = result["ms"], result["peak_gpu_mb"]
    print(f"step with given masks {ms['given']:.0f} ms, with live ones {ms['live']:.0f} ms, "
          f"the teacher's look {ms['teacher']:.0f} ms")  # fmt: skip
    print(f"rebalancing takes {result['rebalance_share']:.1f} % of a step; GPU memory {memory}")
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
