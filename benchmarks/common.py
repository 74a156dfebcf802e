"""What the benchmarks share: repeated measurements, and what they ran on."""

import argparse
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dhr.api.settings import run_settings
from dhr.cli import call
from dhr.job import RunConfig


@dataclass(frozen=True)
class Timing:
    """Milliseconds an image, over the repetitions."""

    median: float
    quarter: float
    three_quarters: float

    @staticmethod
    def of(seconds: list[float], images: int = 1) -> "Timing":
        """Median and quartiles; of a single value, that."""
        values = [1000 * value / images for value in seconds]
        if len(values) == 1:
            values *= 2
        quarter, median, three_quarters = statistics.quantiles(values, n=4, method="inclusive")
        return Timing(median, quarter, three_quarters)

    @property
    def spread(self) -> list[float]:
        """The quartiles."""
        return [self.quarter, self.three_quarters]


def maps_parser(text: str | None) -> argparse.ArgumentParser:
    """Options of the benchmarks that compute networks and maps once and keep them in a folder."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of a run")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("quality-cache"), help="folder of trained networks and maps")
    return parser


def wait_for(device: torch.device) -> None:
    """Let the device finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(run: Callable[[], object], repetitions: int, warm_up: int, device: torch.device) -> list[float]:
    """Seconds of each repetition, the device waited for."""
    for _ in range(warm_up):
        run()
    seconds = []
    for _ in range(repetitions):
        wait_for(device)
        start = time.perf_counter()
        run()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    return seconds


def bandwidth(device: torch.device, megabytes: int) -> float:
    """Bytes per second at which the memory can be read."""
    values = torch.ones(megabytes * 2**20 // 4, device=device)
    seconds = measure(lambda: values.sum(), repetitions=7, warm_up=2, device=device)
    return values.numel() * 4 / min(seconds)


def commit() -> str:
    """The commit that is measured, ``+dirty`` where files differ from it."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    return (git("rev-parse", "HEAD") or "unknown") + ("+dirty" if git("status", "--porcelain") else "")


def machine(device: torch.device) -> dict[str, Any]:
    """What it runs on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }


def run_config(arguments: Sequence[str]) -> RunConfig:
    """The settings that a call of ``dhr`` with these arguments would have."""
    command: Any = call(list(arguments))
    return run_settings(command.args[1].get("config", "default"))[0]
