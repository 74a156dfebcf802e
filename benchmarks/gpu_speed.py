"""Speed of single operations and of a training step, for ``gpu.py``."""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from common import bandwidth, measure
from gpu_inputs import Size, method_batch, moved, scene_images, smooth_scores
from training_step import figures, options

from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig
from dhr.method.rebalance import rebalance
from dhr.ops.crf import DenseCrf
from dhr.ops.pamr import pamr


def crf(device: torch.device, small: bool) -> dict[str, Any]:
    """Images per second of the CRF, PAMR, and Steps 1 to 3."""
    size = Size.of(small)
    images, scores = scene_images(size).to(device), smooth_scores(size).to(device)
    batch = moved(method_batch(size), device)
    kernels = DenseCrf(images)
    work: dict[str, Callable[[], object]] = {
        "crf": lambda: DenseCrf(images)(scores),
        "crf_kernels": lambda: DenseCrf(images),
        "crf_updates": lambda: kernels(scores),
        "pamr": lambda: pamr(images, scores),
        "steps": lambda: rebalance(batch, PRESETS["default"], BoundaryConfig(kind="none", base="none")),
        "rebalance": lambda: rebalance(batch, PRESETS["default"], BOUNDARY),
    }
    found: dict[str, Any] = {}
    for name, call in work.items():
        seconds = measure(call, 2 if small else 7, 1 if small else 3, device)
        found[f"{name}_per_second"] = size.batch / statistics.median(seconds)
    found["read_bandwidth"] = bandwidth(device, 64 if small else 2048)
    return found


def training(device: torch.device, small: bool) -> dict[str, Any]:
    """Share of rebalancing in a training step, and its memory."""
    size = ["--backbone", "test_resnet", "--batch", "2", "--crop", "64", "--repetitions", "2", "--width", "16"]
    if not small:
        size = ["--backbone", "resnet101", "--batch", "16", "--crop", "512", "--repetitions", "7", "--width", "256"]
    step = figures(options([*size, "--device", str(device)]))
    return {
        "rebalance_share": step["rebalance_share"],
        "training_memory": step["memory_ratio"],
        "training_ms": step["ms"],
        "training_peak_mb": step["peak_gpu_mb"],
    }
