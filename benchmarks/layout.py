"""Precision, memory layout and compilation of networks: ``python benchmarks/layout.py --json F``.

Networks with random weights see one batch, in float32 and bfloat16: contiguous, with channels last, with folded batch
normalisations as well, and compiled by ``torch.compile``. ``ms`` are CPU milliseconds of one thread (on a GPU: of the
clock) per batch, the fastest of some calls; ``compile_s`` are CPU seconds of the first compiled call, those of its
processes included.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import commit, machine, wait_for
from torch import Tensor

from dhr.files import write_json
from dhr.job.settings import RunConfig
from dhr.models.folding import folded
from dhr.models.precision import Resolved, autocast
from dhr.models.uss import UssConfig, build_uss
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier

Network = Callable[[Tensor], object]
PRECISIONS: tuple[Resolved, ...] = ("float32", "bfloat16")
NETWORKS = {
    "mobilenetv2_100": (1, 480, 640),
    "resnet50": (1, 480, 640),
    "vit_tiny_patch16_224": (16, 224, 224),
}
"""Classifiers at the size of a photograph, a Vision Transformer in windows: batch, height, width."""


def built(name: str) -> torch.nn.Module:
    """The part of a network that makes its maps."""
    if name.startswith("vit"):
        model = build_uss(UssConfig(model=name, weights="none"))
        assert isinstance(model, torch.nn.Module)
        return model
    encoder: torch.nn.Module = TagClassifier(WssConfig(backbone=name, weights="none"), 20).encoder
    return encoder


def fastest(network: Network, images: Tensor, repetitions: int) -> float:
    """Milliseconds of a batch."""
    clock = time.perf_counter if images.device.type == "cuda" else time.process_time
    found = []
    for _ in range(repetitions + 1):
        wait_for(images.device)
        start = clock()
        network(images)
        wait_for(images.device)
        found.append(1000 * (clock() - start))
    return min(found[1:])


def cpu_seconds() -> float:
    """Of this process and its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measured(network: torch.nn.Module, images: Tensor, precision: Resolved, repetitions: int) -> dict[str, float]:
    """The figures of a network in one precision."""
    with autocast(precision, images.device):
        network.to(memory_format=torch.contiguous_format)
        contiguous = fastest(network, images, repetitions)
        network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
        last = fastest(network, images, repetitions)
        lean = fastest(folded(network), images, repetitions)
        torch.compiler.reset()
        compiled = torch.compile(network)
        start = cpu_seconds()
        compiled(images)
        seconds = cpu_seconds() - start
        after = fastest(compiled, images, repetitions)
    return {
        "contiguous_ms": contiguous, "channels_last_ms": last, "folded_ms": lean, "compiled_ms": after,
        "compile_s": seconds,
    }  # fmt: skip


@torch.no_grad()
def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", nargs="*", default=[*NETWORKS], choices=[*NETWORKS])
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    device, rows = RunConfig(device=options.device).find_device(), list[dict[str, Any]]()
    torch.set_num_threads(1)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    times = "contiguous, ms", "channels last, ms", "folded, ms", "compiled, ms", "compiling, s"
    columns = "network", "precision", *times
    print(f"| {' | '.join(columns)} |\n|{len(columns) * ' --- |'}")
    for name in options.networks:
        network = built(name).to(device).eval()
        images = torch.rand(NETWORKS[name][0], 3, *NETWORKS[name][1:], device=device)
        for precision in PRECISIONS:
            found = measured(network, images, precision, options.repetitions)
            rows.append({"network": name, "precision": precision, **found})
            print(
                f"| {name} | {precision} | " + " | ".join(f"{value:.0f}" for value in found.values()) + " |", flush=True
            )
    write_json(options.json, {"rows": rows, "commit": commit(), "machine": machine(device)})


if __name__ == "__main__":
    main()
