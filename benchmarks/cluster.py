"""Photographs per second and memory of runs with Ray, beside the plain command.

Photographs are generated scenes. All runs use one trained classifier and no survey, so that only masks are measured. A
worker has one core, as the plain command has; the driver and Ray's own processes may use one more, if the machine has
it (Linux). Other programs should leave these cores alone. Seconds are those of scan and masks of the plain command, and
of the stage `masks` with an engine, which includes the start of the workers.

Fields of each row: `workers` (0: the plain command), `cores`, `photographs`, `per_second`, `ratio` (to the plain
command), `driver_mb`, `worker_mb` (peaks; that of the largest worker), `first` (seconds until the first file of rows),
`steady` (photographs per second between the first file and the last one).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from common import commit, machine
from PIL import Image

from dhr.data import SceneDataSet
from dhr.data.manifest import Entry, write_manifest

TINY = (
    *("--wss.backbone", "test_resnet", "--wss.weights", "none", "--wss.scales", "[1.0]", "--classifier.epochs", "1"),
    *("--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]", "--method.survey", "0", "--no-stages"),
)
_TRAINED_ON = 64
_UNIT = 64  # photographs of a file, on CPUs


def main() -> None:
    """Measure all sizes and numbers of workers; print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, nargs="+", default=[1000, 5000, 20_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--side", type=int, default=128, help="pixels")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = {"commit": commit(), **machine(torch.device("cpu")), "side": given.side, "rows": []}
    with tempfile.TemporaryDirectory(prefix="dhr-cluster-") as folder:
        root = Path(folder)
        classifier = _trained(root, given.side)
        for count in given.photographs:
            data = _manifest(root, count, given.side)
            plain: dict[str, Any] | None = None
            for workers in (0, *given.workers):
                row = _measured(root / f"{count}-{workers}", data, classifier, workers)
                plain = plain or row
                row |= {"photographs": count, "ratio": round(row["per_second"] / plain["per_second"], 3)}
                print(json.dumps(row), flush=True)
                found["rows"].append(row)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _manifest(root: Path, count: int, side: int) -> Path:
    """Draw scenes that are missing, and write the manifest of the first ones."""
    scenes, images = SceneDataSet(count, seed=0, size=(side, side)), root / "images"
    images.mkdir(exist_ok=True)
    entries = []
    for sample in scenes.samples:
        path = images / f"{sample.name}.png"
        if not path.exists():
            Image.fromarray(scenes.read_image(sample)).save(path)
        entries.append(Entry(sample.name, str(path), tuple(scenes.classes.names[tag] for tag in sample.tags)))
    target = root / f"{count}.parquet"
    write_manifest(target, scenes.classes, sorted(entries, key=lambda one: one.id))
    return target


def _trained(root: Path, side: int) -> Path:
    """Train the classifier of all runs."""
    subprocess.run(_command(_manifest(root, _TRAINED_ON, side), root / "trained"), check=True, capture_output=True)
    return root / "trained" / "classifier.safetensors"


def _command(data: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "dhr", "run", "--data", str(data), "--out", str(out), *TINY, "--quiet", *more]


def _measured(out: Path, data: Path, classifier: Path, workers: int) -> dict[str, Any]:
    """Run the command on some cores, and return its figures."""
    cores = min(workers + 1, len(os.sched_getaffinity(0)))
    more = ["--engine", "ray", "--workers", str(workers)] if workers else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    worker_mb, files, began = 0.0, dict[int, float](), time.time()
    with subprocess.Popen(
        _command(data, out, "--classifier.file", str(classifier), *more),
        env=environment, preexec_fn=lambda: os.sched_setaffinity(0, chosen), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while process.poll() is None:
            for number, worker in enumerate(sorted(_workers(chosen))):
                worker_mb = max(worker_mb, _peak(worker))
                _hold(worker, chosen[number % cores])
            files |= _files(out)
            time.sleep(0.5)
        if process.returncode:
            raise SystemExit(process.stderr.read() if process.stderr else "the command failed")
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    stages = {row["name"]: row for row in record["stages"]}
    counted: Sequence[str] = ("masks",) if workers else ("scan", "masks")
    seconds = sum(stages[name]["seconds"] for name in counted)
    found = {
        "workers": workers,
        "cores": cores,
        "per_second": round(record["counts"]["masks"] / seconds, 3),
        "driver_mb": stages["masks"]["peak_memory_mb"],
        "worker_mb": round(worker_mb, 1),
    }
    if len(files) > 1:
        (first, _), *others = sorted((when, number) for number, when in files.items())
        made = sum(min(_UNIT, record["counts"]["photographs"] - number * _UNIT) for _, number in others)
        found |= {"first": round(first - began, 1), "steady": round(made / (others[-1][0] - first), 3)}
    return found


def _files(out: Path) -> dict[int, float]:
    """Return when the files of units were written that are there and not joined yet, by number."""
    found = {}
    for path in (out / "rows").glob("part-*.parquet"):
        number = path.stem.removeprefix("part-")
        with suppress(OSError):  # joined by now
            if number.isdecimal():
                found[int(number)] = path.stat().st_mtime
    return found


def _workers(chosen: Sequence[int]) -> Iterator[int]:
    """Yield the processes of this run's workers: they are on the chosen cores."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if not folder.name.isdecimal() or os.sched_getaffinity(int(folder.name)) > {*chosen}:
                continue
            if b"ray::MapWorker(MapBatches(" in (folder / "cmdline").read_bytes():
                yield int(folder.name)


def _peak(process: int) -> float:
    """Return the peak memory of a process, in megabytes; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _hold(process: int, core: int) -> None:
    """Keep all threads of a process on one core."""
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


if __name__ == "__main__":
    main()
