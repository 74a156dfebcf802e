"""How long Steps 1 to 3 take, without the boundary: ``python benchmarks/rebalance.py --json rebalance.json``.

Beside the presets it measures, in the same process and on the same inputs,

- a plain reference: a Python loop over the images that does the same steps one image at a time, with Sinkhorn's
  iterations in the log domain until the marginals hold to 1e-4, 1000 at most. ``ratio_to_loop`` is its time over ours;
- the limit: the bytes that must be read at least (the features once in every round) over the bandwidth of the memory,
  measured by summing a large tensor. ``ratio_to_limit`` is our time over it;
- `default` at other numbers of positions, classes and rounds, and the memory that more rounds take.
"""

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import Timing, bandwidth, commit, machine, measure
from torch import Tensor

from dhr.files import write_json
from dhr.method.config import PRESETS, MethodConfig
from dhr.method.marginal import at_least
from dhr.method.rebalance import rebalance
from dhr.method.scene import Batch

PRESETS_MEASURED = ("default", "paper")
SCALING = ((26, 4, 6), (37, 4, 6), (52, 4, 6), (74, 4, 6), (37, 8, 6), (37, 16, 6), (37, 4, 1), (37, 4, 12))
"""Positions along a side, classes, rounds."""


def make_inputs(batch: int, classes: int, side: int, d_us: int, d_ws: int, device: torch.device) -> Batch:
    """Blobs, one a class, of unequal sizes, with features that follow them and noise on all."""
    random = torch.Generator().manual_seed(0)
    axis = torch.linspace(0, 1, side)
    centre = torch.rand(batch, classes, 2, 1, 1, generator=random)
    distance = (axis.view(-1, 1) - centre[:, :, 0]) ** 2 + (axis - centre[:, :, 1]) ** 2
    width = torch.linspace(0.35, 0.08, classes).view(-1, 1, 1)
    cams = torch.exp(-distance / (2 * width**2))  # (b, k, side, side)

    def features(dim: int) -> Tensor:
        directions = torch.randn(batch, classes, dim, generator=random)
        noise = torch.randn(batch, dim, side, side, generator=random)
        return torch.einsum("bkuv,bkd->bduv", cams, directions) + 0.5 * noise

    return Batch(cams.to(device), features(d_us).to(device), features(d_ws).to(device))


def plain_sinkhorn(scores: Tensor, q: Tensor, eps: float) -> tuple[Tensor, int]:
    """Assignment (k, n) of one image by Sinkhorn's iterations in the log domain, and how many there were."""
    k, n = scores.shape
    log_q, log_p = q.log(), torch.full((n,), 1 / n, dtype=scores.dtype, device=scores.device).log()
    kernel = scores / eps
    f, g = torch.zeros_like(log_q), torch.zeros_like(log_p)
    iteration = 0
    for iteration in range(1, 1001):  # noqa: B007
        f = log_q - torch.logsumexp(kernel + g, dim=1)
        g = log_p - torch.logsumexp(kernel + f.view(k, 1), dim=0)
        plan = (kernel + f.view(k, 1) + g).exp()
        if float((plan.sum(dim=1) - q).abs().sum()) < 1e-4:
            break
    return plan * n, iteration


def plain_shares(mask: Tensor, classes: int, config: MethodConfig) -> Tensor:
    """Class marginal of one image's labels (n,)."""
    if config.marginal == "uniform":
        return torch.full((classes,), 1 / classes, device=mask.device)
    areas = torch.stack([(mask == label).float().mean() for label in range(classes)])
    return at_least(areas[None], torch.ones(1, classes, dtype=torch.bool), config.smallest_ratio)[0]


def plain_heatmaps(unit: Tensor, mask: Tensor, classes: int, centring: float) -> tuple[Tensor, Tensor]:
    """Directions of CAP (k, d) and cosines (k, n) of one image's features (d, n) of unit length, by definition."""
    chosen = torch.nn.functional.one_hot(mask, classes).T.to(unit.dtype)  # (k, n)
    count = chosen.sum(dim=1, keepdim=True)
    centroids = chosen @ unit.T / count.clamp_min(1)
    mean = centroids.sum(dim=0) / (count > 0).sum()
    own, other = (
        torch.nn.functional.normalize(x, dim=1) for x in (centroids - centring * mean, unit.T - centring * mean)
    )
    directions = torch.nn.functional.normalize(centroids, dim=1)
    return directions, (own @ other.T).clamp(0, 1) * (count > 0)


def plain_alike(directions: Tensor, tau: float) -> Tensor:
    """Whether each class shares a group with another one (k,)."""
    linked = (directions @ directions.T > tau).tolist()
    return torch.tensor([any(row[:k] + row[k + 1 :]) for k, row in enumerate(linked)], device=directions.device)


def plain_loop(inputs: Batch, config: MethodConfig) -> tuple[list[Tensor], int]:
    """Masks (n,) of the images, one image at a time, and the Sinkhorn iterations in all."""
    masks, iterations = [], 0
    for cams, uss, wss in zip(inputs.cams, inputs.uss_features, inputs.wss_features, strict=True):
        classes = len(cams)
        maps = cams.flatten(1).relu()
        maps = maps / maps.amax(dim=1, keepdim=True).clamp_min(1e-8)
        mask = base = maps.argmax(dim=0)
        assignment, count = plain_sinkhorn(maps, plain_shares(base, classes, config), config.eps)
        iterations += count
        seeds = (assignment * maps).argmax(dim=0)
        for label in range(classes):
            if (base == label).sum() < 0.5 * (seeds == label).sum():
                mask = torch.where(seeds == label, seeds, mask)
        uss, wss = (one.flatten(1) / one.flatten(1).norm(dim=0).clamp_min(1e-8) for one in (uss, wss))
        for _ in range(config.rounds):
            q = plain_shares(mask, classes, config)
            directions, uss_scores = plain_heatmaps(uss, mask, classes, config.centring)
            _, wss_scores = plain_heatmaps(wss, mask, classes, config.centring)
            alike = plain_alike(directions, config.tau).view(-1, 1)
            if config.combine == "mean":
                scores = config.uss_weight * uss_scores + (1 - config.uss_weight) * wss_scores
                assignment, count = plain_sinkhorn(scores, q, config.eps)
                iterations += count
                mask = (assignment * scores).argmax(dim=0)
            else:
                first, count = plain_sinkhorn(uss_scores, q, config.eps)
                second, more = plain_sinkhorn(wss_scores, q, config.eps)
                iterations += count + more
                inter = first * uss_scores
                mask = torch.where(alike, second * inter, inter).argmax(dim=0)
        masks.append(mask)
    return masks, iterations


def peak_memory(rounds: int, given: argparse.Namespace) -> float:
    """Most MB that a process of its own took for the method, above what its inputs take."""
    code = """
import sys, torch
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import rebalance as bench
batch, classes, side, d_us, d_ws, rounds = map(int, sys.argv[2:])
given = bench.make_inputs(batch, classes, side, d_us, d_ws, torch.device("cpu"))
def run(rounds):
    config = replace(bench.PRESETS["default"], rounds=rounds)
    bench.rebalance(given, config)
def held(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))
run(1)  # compiles
Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
before = held("VmRSS")
run(rounds)
print((held("VmHWM") - before) / 1024)
"""
    numbers = (given.batch, given.classes, given.side, given.d_us, given.d_ws, rounds)
    command = [sys.executable, "-c", code, str(Path(__file__).parent), *map(str, numbers)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure, print a table, and write the JSON file."""
    parser = argparse.ArgumentParser(description="Time Steps 1 to 3 of the method, without the boundary.")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--side", type=int, default=37, help="positions along each side of the grid")
    parser.add_argument("--d-us", type=int, default=384, help="channels of the USS features")
    parser.add_argument("--d-ws", type=int, default=3072, help="channels of the WSS features")
    parser.add_argument("--repetitions", type=int, default=10, help="at least 2")
    parser.add_argument("--warm-up", type=int, default=2)
    given = parser.parse_args()
    if given.repetitions < 2:
        parser.error("--repetitions must be at least 2, or there is no spread")
    device = torch.device(given.device)
    inputs = make_inputs(given.batch, given.classes, given.side, given.d_us, given.d_ws, device)

    def ours(config: MethodConfig) -> Any:
        return rebalance(inputs, config)

    speed = bandwidth(device, 256 if device.type == "cpu" else 4096)
    feature_bytes = 4 * given.side**2 * (given.d_us + given.d_ws)
    rows: dict[str, Any] = {}
    for name in PRESETS_MEASURED:
        config = PRESETS[name]
        timing = Timing.of(
            measure(lambda config=config: ours(config), given.repetitions, given.warm_up, device),  # type: ignore[misc]
            given.batch,
        )
        limit = 1000 * config.rounds * feature_bytes / speed
        loop = Timing.of(
            measure(lambda config=config: plain_loop(inputs, config), max(3, given.repetitions // 2), 1, device),  # type: ignore[misc]
            given.batch,
        )
        masks, iterations = plain_loop(inputs, config)
        same = (torch.stack(masks) == ours(config).mask.flatten(1)).float().mean().item()
        transports = given.batch * (1 + (1 if config.combine == "mean" else 2) * config.rounds)
        rows[name] = {
            "ms_per_image": timing.median,
            "spread": timing.spread,
            "loop_ms_per_image": loop.median,
            "ratio_to_loop": loop.median / timing.median,
            "loop_iterations_per_transport": iterations / transports,
            "same_labels_as_loop": same,
            "rounds": config.rounds,
            "limit_ms_per_image": limit,
            "ratio_to_limit": timing.median / limit,
        }

    scaling = []
    for side, classes, rounds in SCALING:
        other = make_inputs(given.batch, classes, side, given.d_us, given.d_ws, device)
        config = replace(PRESETS["default"], rounds=rounds)
        timing = Timing.of(
            measure(
                lambda other=other, config=config: rebalance(other, config),  # type: ignore[misc]
                given.repetitions,
                given.warm_up,
                device,
            ),
            given.batch,
        )
        scaling.append({"positions": side**2, "classes": classes, "rounds": rounds, "ms_per_image": timing.median})
    memory = {rounds: peak_memory(rounds, given) for rounds in (1, 6, 24)}

    default = rows["default"]
    result = {
        "benchmark": "rebalance",
        "ms_per_image": default["ms_per_image"],
        "spread": default["spread"],
        "ratio_to_loop": default["ratio_to_loop"],
        "ratio_to_limit": default["ratio_to_limit"],
        "repetitions": given.repetitions,
        "presets": rows,
        "scaling": scaling,
        "peak_memory_mb_by_rounds": memory,
        "limit": {"bytes_per_image_and_pass": feature_bytes, "bandwidth_bytes_per_second": speed},
        "inputs": {
            key: getattr(given, key) for key in ("batch", "classes", "side", "d_us", "d_ws", "device", "warm_up")
        },
        "commit": commit(),
        "machine": machine(device),
    }
    print(
        f"{given.batch} images, {given.side}x{given.side} positions, {given.classes} classes, {given.device}; ", end=""
    )
    print(f"{torch.get_num_threads()} threads, memory {speed / 1e9:.1f} GB/s")
    titles = zip(
        ("ms/image", "quartiles", "loop", "x loop", "limit", "x limit", "same"), (9, 15, 8, 7, 7, 8, 6), strict=True
    )
    print(f"{'preset':10} " + " ".join(f"{title:>{width}}" for title, width in titles))
    for name, row in rows.items():
        low, high = row["spread"]
        print(
            f"{name:10} {row['ms_per_image']:9.2f} {f'{low:.2f}..{high:.2f}':>15} {row['loop_ms_per_image']:8.2f}"
            f" {row['ratio_to_loop']:7.2f} {row['limit_ms_per_image']:7.2f} {row['ratio_to_limit']:8.2f}"
            f" {row['same_labels_as_loop']:6.1%}"
        )
    for row in scaling:
        print("  ".join(f"{key} {value:,.5g}" for key, value in row.items()))
    print("peak memory: " + ", ".join(f"{value:.0f} MB with {key} rounds" for key, value in memory.items()))
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
