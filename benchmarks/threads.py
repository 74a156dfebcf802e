"""How long OpenMP threads should wait for work before they sleep: ``python benchmarks/threads.py --json F``.

Passes of MobileNetV2 (random weights, 480x320 pixels, on all cores) are timed in processes with other values of
``GOMP_SPINCOUNT``: on an otherwise idle machine, and beside processes that keep two cores each busy. ``default`` leaves
the variable out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import torch
from common import commit, machine

from dhr.files import write_json
from dhr.models.config import WssConfig
from dhr.models.folding import folded
from dhr.models.wss.classifier import TagClassifier

SPINS = ("default", "1", "1000", "10000", "30000", "300000")


def passes(count: int) -> float:
    """Seconds of some passes."""
    network = TagClassifier(WssConfig(backbone="mobilenetv2_100", weights="none"), 20).eval()
    network = folded(network.to(memory_format=torch.channels_last))
    images = torch.rand(1, 3, 320, 480).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network.maps(images, (0,))
        start = time.perf_counter()
        for _ in range(count):
            network.maps(images, (0,))
        return time.perf_counter() - start


def timed(spins: str, count: int) -> float:
    """Seconds of passes in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    environment |= {} if spins == "default" else {"GOMP_SPINCOUNT": spins}
    command = [sys.executable, __file__, "--passes", str(count), "--alone"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--busy", type=int, default=4, help="processes that keep the cores busy")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--spins", nargs="+", default=SPINS)
    parser.add_argument("--alone", action="store_true", help="print the seconds of this process's passes, and end")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.alone:
        print(passes(given.passes))
        return
    rows = []
    for busy in sorted({0, given.busy}):
        with ExitStack() as stack:
            for _ in range(busy):
                one = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                stack.callback(one.kill)
            for spins in given.spins:
                seconds = [timed(spins, given.passes) for _ in range(given.repeat)]
                rows.append({"busy": busy, "spins": spins, "seconds": statistics.median(seconds), "all": seconds})
                print(json.dumps(rows[-1]), flush=True)
    if given.json:
        write_json(
            given.json,
            {"commit": commit(), "machine": machine(torch.device("cpu")), "passes": given.passes, "rows": rows},
        )


if __name__ == "__main__":
    main()
