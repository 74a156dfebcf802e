"""Everything that needs a GPU to be measured, in at most 8 minutes: ``python benchmarks/gpu.py --json F``.

It needs this folder, the packages of dhr and nothing else: photographs are generated, and networks have random weights.
Each part is a process of its own with a time limit. A part that fails or takes too long is reported with its
error, and the others go on. ``--small`` takes tiny networks and photographs, also on a CPU.

    if dhr is not installed: PYTHONPATH=src python benchmarks/gpu.py --json F

Fields of the result:

- ``agreement``: GPU and CPU on the same input. `masks`, `crf`: share of equal labels. `pamr`, `transport`: largest
  difference. `gradients`: difference of the gradients of a training step, relative to their length. `crf_q`: mean
  difference of the CRF's probabilities. On a CPU the paths in PyTorch are compared with the compiled ones.
- ``run_per_second``, ``predict_per_second``: photographs per second by pair of networks, of the stages that make masks.
- ``busy``: share of the time in which the card computes, by pair, as its driver tells it; null without NVIDIA's driver.
- ``crf_per_second``, ``pamr_per_second``, ``steps_per_second`` (Steps 1 to 3), ``rebalance_per_second`` (all of them):
  images per second; ``read_bandwidth``: bytes per second at which the memory can be read.
- ``rebalance_share``: per cent of a training step that rebalancing takes; ``training_memory``: its peak memory over
  that of a step with given masks.
- ``same_bytes``: whether two runs made the same bytes.
- ``waits``: how often the host waits for the device, by operation on a batch, and by batch of a run; null on a CPU.
- ``parts``: seconds of each part, and its error.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import commit, machine

from dhr.files import write_json

LIMIT = 470.0
"""Seconds that all parts may take together."""
PATIENCE = 20
"""Times as many seconds with ``--small``, whose machine may be busy with other work."""


@dataclass(frozen=True)
class Part:
    """A part of the measurements."""

    module: str
    """The module of this folder that holds the function of the part's name."""
    seconds: float
    """The most that it may take."""


PARTS: Mapping[str, Part] = {
    "agreement": Part("gpu_checks", 75),
    "waits": Part("gpu_checks", 45),
    "crf": Part("gpu_speed", 50),
    "training": Part("gpu_speed", 80),
    "mobilenetv2_vit_tiny": Part("gpu_pairs", 70),
    "resnet50_vit_small": Part("gpu_pairs", 80),
    "resnet101_vit_base": Part("gpu_pairs", 80),
    "same_bytes": Part("gpu_checks", 60),
}
"""In the order in which they are taken; what time leaves out is at the end."""


def part_figures(name: str, device: torch.device, small: bool) -> dict[str, Any]:
    """The figures of one part, in this process."""
    module = __import__(PARTS[name].module)
    function: Callable[[torch.device, bool], dict[str, Any]] = getattr(module, name)
    return function(device, small)


def in_a_process(name: str, device: torch.device, small: bool, limit: float) -> dict[str, Any]:
    """The figures of one part, of a process of its own; its error if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "part.json"
        command = [sys.executable, __file__, "--part", name, "--device", str(device), "--json", str(found)]
        start = time.perf_counter()
        try:
            done = subprocess.run(
                command + small * ["--small"], capture_output=True, text=True, check=False, timeout=limit
            )
            error = None if done.returncode == 0 else (done.stderr.strip() or done.stdout)[-1500:]
        except subprocess.TimeoutExpired:
            error = f"it took more than {limit:.0f} s"
        seconds = round(time.perf_counter() - start, 1)
        if error is None:
            return {"seconds": seconds, **json.loads(found.read_bytes())}
    return {"seconds": seconds, "error": error}


def joined(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One object of all figures; those of pairs by pair."""
    found: dict[str, Any] = {}
    for name, figures in parts.items():
        for key, value in figures.items():
            if key in ("seconds", "error"):
                continue
            if PARTS[name].module == "gpu_pairs":
                found.setdefault(key, {})[name] = value
            else:
                found[key] = value
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="tiny networks and photographs")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = torch.device(given.device)
    if given.part:
        write_json(given.json, part_figures(given.part, device, given.small))
        return
    begin, parts = time.perf_counter(), dict[str, dict[str, Any]]()
    longer = PATIENCE if given.small else 1
    for name in given.only:
        left = LIMIT * longer - (time.perf_counter() - begin)
        most = min(PARTS[name].seconds * longer, left)
        parts[name] = in_a_process(name, device, given.small, most) if left > 10 else {
            "seconds": 0.0, "error": "no time was left"
        }  # fmt: skip
        print(f"{name}: {json.dumps(parts[name])}", flush=True)
    result = {
        "benchmark": "gpu",
        **joined(parts),
        "parts": {name: {key: one[key] for key in ("seconds", "error") if key in one} for name, one in parts.items()},
        "small": given.small,
        "seconds": round(time.perf_counter() - begin, 1),
        "commit": commit(),
        "machine": machine(device),
    }
    print(json.dumps(result))
    if given.json:
        write_json(given.json, result)


if __name__ == "__main__":
    main()
