"""Checks of ``gpu.py``: whether CPU and GPU agree, whether the host waits for the device, whether bytes repeat."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu_inputs import Size, method_batch, moved, scene_images, smooth_scores, write_photographs
from gpu_pairs import PAIRS, SMALL, pair_settings, run_once, write_classifier
from torch import Tensor
from training_step import options, training

from dhr.api.data import open_data
from dhr.method.config import BOUNDARY, PRESETS
from dhr.method.rebalance import rebalance
from dhr.ops.crf import BILATERAL, CLIP, GAUSSIAN, DenseCrf
from dhr.ops.crf_torch import TorchCrf
from dhr.ops.pamr import pamr
from dhr.ops.transport import transport


def agreement(device: torch.device, small: bool) -> dict[str, Any]:
    """How far results of the device are from those of the compiled paths on the CPU."""
    size = Size.of(True) if small else Size(256, 4)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    # Where there is no GPU, double precision and TorchCrf take the paths in PyTorch.
    dtype = torch.float64 if device.type == "cpu" else torch.float32
    images, scores = scene_images(size), smooth_scores(size)
    expected, found = DenseCrf(images)(scores), _crf(images.to(device), scores.to(device)).cpu()
    there = images.to(device, dtype), scores.to(device, dtype)
    smoothed = (pamr(*there).cpu() - pamr(images, scores)).abs().max()
    flat = scores.flatten(2)
    plans = transport(flat.to(device, dtype)).assignment.cpu() - transport(flat).assignment
    batch = method_batch(size)
    masks = [rebalance(moved(batch, where, kind)).mask.cpu() for where, kind in ((device, dtype), (CPU, torch.float32))]
    return {
        "agreement": {
            "masks": _share(masks[0] == masks[1]),
            "crf": _share(found.argmax(dim=1) == expected.argmax(dim=1)),
            "crf_q": float((found - expected).abs().mean()),
            "pamr": float(smoothed),
            "transport": float(plans.abs().max()),
            "gradients": _gradients(device, small),
        }
    }


CPU = torch.device("cpu")


def _crf(images: Tensor, scores: Tensor) -> Tensor:
    if images.device.type != "cpu":
        return DenseCrf(images)(scores)
    wide = (BILATERAL.sxy, BILATERAL.srgb, BILATERAL.compat)
    return TorchCrf(images * 255, (GAUSSIAN.sxy, GAUSSIAN.compat), wide)(scores, 10, CLIP)


def _share(same: Tensor) -> float:
    return float(same.double().mean())


def _gradients(device: torch.device, small: bool) -> float:
    """Difference of the gradients of a step with rebalanced masks, over their length."""
    size = ["--backbone", "test_resnet", "--crop", "64", "--batch", "2"] if small else ["--crop", "256", "--batch", "4"]
    found = []
    for where in (device, CPU):
        made = training(options([*size, "--width", "16", "--device", str(where), "--precision", "32"]))
        made.runs["live"]()
        gradients = [one.grad.flatten().cpu() for one in made.student.parameters() if one.grad is not None]
        found.append(torch.cat(gradients))
    return float((found[0] - found[1]).norm() / found[1].norm())


def waits(device: torch.device, small: bool) -> dict[str, Any]:
    """How often the host waits for the device."""
    if device.type != "cuda":
        return {"waits": None}
    size = Size.of(small)
    batch, images = moved(method_batch(size), device), scene_images(size).to(device)
    scores = smooth_scores(size).to(device)
    work: dict[str, Callable[[], object]] = {
        "crf": lambda: DenseCrf(images)(scores),
        "pamr": lambda: pamr(images, scores),
        "transport": lambda: transport(scores.flatten(2)),
        "rebalance": lambda: rebalance(batch, PRESETS["default"], BOUNDARY),
    }
    found: dict[str, Any] = {}
    for name, call in work.items():
        call()
        with counted_waits() as count:
            call()
        found[name] = len(count)
    pair = SMALL if small else PAIRS["mobilenetv2_vit_tiny"]
    with tempfile.TemporaryDirectory() as folder:
        root, photographs = Path(folder), 8 if small else 64
        data = open_data(write_photographs(root / "data", 8, photographs // 8, size.side))
        config = write_classifier(data, pair_settings(pair, size.side, device), root)
        run_once(data, root / "warm", config)
        with counted_waits() as count:
            run_once(data, root / "out", config)
        found["run, per photograph"] = len(count) / photographs
        found["run, most often"] = sorted({(count.count(one), one) for one in count}, reverse=True)[:8]
    return {"waits": found}


@contextmanager
def counted_waits() -> Iterator[list[str]]:
    """Collect the places where the host waits for the device."""
    places: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield places
        finally:
            torch.cuda.set_sync_debug_mode("default")
    for one in caught:
        if "synchroniz" in str(one.message):
            places.append(f"{Path(one.filename).name}:{one.lineno}")


def same_bytes(device: torch.device, small: bool) -> dict[str, Any]:
    """Whether two runs make the same bytes."""
    pair, side = (SMALL, 64) if small else (PAIRS["resnet50_vit_small"], 512)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = open_data(write_photographs(root / "data", 4 if small else 16, 1, side))
        config = write_classifier(data, pair_settings(pair, side, device), root)
        made = []
        for name in ("one", "two"):
            run_once(data, root / name, config)
            masks = sorted((root / name / "masks").rglob("*.png"))
            made.append({path.name: path.read_bytes() for path in masks})
    same = [made[0][name] == made[1].get(name) for name in made[0]]
    return {"same_bytes": bool(same) and all(same), "same_masks": [sum(same), len(same)]}
