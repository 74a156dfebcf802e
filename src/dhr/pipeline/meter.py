"""Seconds and peak memory of each stage."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Meter:
    """Collects one row a stage, in the form that run.json holds."""

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
            row: dict[str, str | float] = {"name": name, "seconds": round(time.perf_counter() - start, 3)}
            row["peak_memory_mb"] = round(_peak_mb(), 1)
            if self.device.type == "cuda":
                row["peak_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated(self.device) / 1e6, 1)
            self.rows.append(row)


def _reset_peak(device: torch.device) -> None:
    try:
        _CLEAR.write_text("5")  # Linux: the peak resident set starts anew
    except OSError:
        pass  # elsewhere the peak is that of the process so far
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_mb() -> float:
    """Peak resident memory in megabytes; NaN-free: 0 where the system does not tell."""
    try:
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return 0.0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
