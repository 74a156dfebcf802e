"""Seconds and peak memory of a stage."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dhr.records.run import StageRecord

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Cost:
    """The cost of a block, known after the block."""

    seconds: float = 0.0
    memory_mb: float = 0.0
    gpu_memory_mb: float | None = None

    def added(self, row: StageRecord | None, name: str) -> StageRecord:
        """Return the record of a finished stage; seconds of earlier calls are added."""
        row = row or StageRecord(name)
        gpu = self.gpu_memory_mb
        return replace(
            row,
            seconds=round((row.seconds or 0.0) + self.seconds, 3),
            peak_memory_mb=max(row.peak_memory_mb or 0.0, round(self.memory_mb, 1)),
            peak_gpu_memory_mb=None if gpu is None else max(row.peak_gpu_memory_mb or 0.0, round(gpu, 1)),
            begun=True,
            made=True,
        )


@contextmanager
def measured(device: torch.device) -> Iterator[Cost]:
    """Measure a block."""
    with suppress(OSError):  # where there is no such file, the peak is that of the process so far
        _CLEAR.write_text("5")  # Linux: the peak resident set is counted from here
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    cost, start = Cost(), time.perf_counter()
    yield cost
    cost.seconds, cost.memory_mb = time.perf_counter() - start, _peak_mb()
    if device.type == "cuda":
        cost.gpu_memory_mb = torch.cuda.max_memory_allocated(device) / 1e6


def _peak_mb() -> float:
    """Return the peak resident memory in megabytes; 0 where the system does not give it."""
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
