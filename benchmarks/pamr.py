"""How long PAMR takes, and how far that is from what memory allows: ``python benchmarks/pamr.py --json pamr.json``.

The limit is moving the least bytes at the measured bandwidth: the weights of all neighbours are written once and read
in every iteration, and scores are read and written in each; everything else could stay in the cache.
"""

import argparse
from pathlib import Path

import torch
from common import Timing, bandwidth, commit, machine, measure

from dhr.files import write_json
from dhr.method.config import PamrConfig
from dhr.ops.pamr import pamr


def main() -> None:
    """Measure, print a table, and write the JSON file."""
    parser = argparse.ArgumentParser(description="Time PAMR.")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", default="320x213,512x512,1024x1024", help="width x height, separated by commas")
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=10, help="at least 2")
    given = parser.parse_args()
    if given.repetitions < 2:
        parser.error("--repetitions must be at least 2, or there is no spread")
    device, config = torch.device(given.device), PamrConfig()
    speed = bandwidth(device, 256 if device.type == "cpu" else 4096)
    random = torch.Generator().manual_seed(0)
    rows = []
    print(f"{config.iterations} iterations, {8 * len(config.dilations)} neighbours, memory {speed / 1e9:.1f} GB/s")
    print(f"{'size':>10} {'ms':>8} {'quartiles':>16} {'limit':>8} {'x limit':>8}")
    for size in given.sizes.split(","):
        width, height = (int(length) for length in size.split("x"))
        images = torch.rand(1, 3, height, width, generator=random).to(device)
        scores = torch.rand(1, given.classes, height, width, generator=random).to(device)

        def run(images: torch.Tensor = images, scores: torch.Tensor = scores) -> object:
            return pamr(images, scores, config.iterations, config.dilations)

        timing = Timing.of(measure(run, given.repetitions, 2, device), 1)
        weights = 4 * 8 * len(config.dilations) * (config.iterations + 1)
        moved = width * height * (weights + 4 * 2 * given.classes * config.iterations)
        limit = 1000 * moved / speed
        row = {
            "size": size,
            "classes": given.classes,
            "ms": timing.median,
            "spread": timing.spread,
            "limit_ms": limit,
            "ratio_to_limit": timing.median / limit,
        }
        rows.append(row)
        spread = f"{timing.spread[0]:.1f}..{timing.spread[1]:.1f}"
        print(f"{size:>10} {timing.median:8.1f} {spread:>16} {limit:8.1f} {timing.median / limit:8.1f}")
    if given.json:
        write_json(
            given.json,
            {
                "benchmark": "pamr",
                "rows": rows,
                "bandwidth_bytes_per_second": speed,
                "repetitions": given.repetitions,
                "commit": commit(),
                "machine": machine(device),
            },
        )


if __name__ == "__main__":
    main()
