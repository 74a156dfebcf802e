"""Seconds and peak memory of each stage."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Meter:
    """Collects one row a stage, as run.json holds them; a stage that comes again adds its seconds to its row."""

    device: torch.device
    rows: list[dict[str, str | float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        _reset_peak(self.device)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(name, time.perf_counter() - start)

    def _add(self, name: str, seconds: float) -> None:
        row = next((row for row in self.rows if row["name"] == name), None)
        if row is None:
            row = {"name": name, "seconds": 0.0, "peak_memory_mb": 0.0}
            self.rows.append(row)
        row["seconds"] = round(float(row["seconds"]) + seconds, 3)
        row["peak_memory_mb"] = max(float(row["peak_memory_mb"]), round(_peak_mb(), 1))
        if self.device.type == "cuda":
            peak = round(torch.cuda.max_memory_allocated(self.device) / 1e6, 1)
            row["peak_gpu_memory_mb"] = max(float(row.get("peak_gpu_memory_mb", 0)), peak)


def _reset_peak(device: torch.device) -> None:
    with suppress(OSError):  # where there is no such file, the peak is that of the process so far
        _CLEAR.write_text("5")  # Linux: the peak resident set starts anew
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_mb() -> float:
    """Peak resident memory in megabytes; 0 where the system does not tell."""
    with suppress(OSError):  # no such file where it is not Linux
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
