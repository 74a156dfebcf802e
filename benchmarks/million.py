"""A run of a million photographs with Ray, its networks replaced by a stub, and the commands that read its rows.

The manifest names a few generated scenes under a million ids. Classifier and survey are fitted on a sample of them with
tiny networks. Only the workers' networks are replaced: a photograph gets a ready mask of its size. All else is real.
Each call is a process of its own (Linux).

Fields: `rows`; for each call in `calls`: `name`, `seconds`, `cpu` (seconds of the driver or command), `mb` (its largest
memory, imports included). For runs also `first` (seconds until the first unit is finished), `worker_mb` (largest memory
of a worker), `files` and `new_files` (of rows, in the end; the others were there before).

Calls: `run` makes all masks, `again` finds all finished, `half` makes the missing half; the others read the rows.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine
from PIL import Image

from dhr.data import SceneDataSet
from dhr.data.manifest import Entry, write_manifest

TINY = (
    *("--wss.backbone", "test_resnet", "--wss.weights", "none", "--wss.scales", "[1.0]"),
    *("--classifier.epochs", "1", "--classifier.batch", "3", "--classifier.crop", "32", "--method.survey", "0"),
    *("--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]", "--no-stages", "--quiet"),
)
_SCENES, _SIDE = 24, 32
_TRUTHS = 25  # one in so many photographs has ground truth
HERE = Path(__file__).parent


def main() -> None:
    """Measure all calls; print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--calls", nargs="+", choices=CALLS, default=list(CALLS))
    parser.add_argument("--folder", type=Path, help="keep files here; they are used again")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside is not None:
        call = given.inside
        print(json.dumps(inside(call["name"], Path(call["root"]), call["workers"])), flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="dhr-million-") as folder:
        root = (given.folder or Path(folder)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = {"commit": commit(), **machine(torch.device("cpu")), "rows": given.rows, "calls": []}
        make_manifest(root, given.rows)
        for name in given.calls:
            row = {"name": name, **measured(root, name, given)}
            print(json.dumps(row), flush=True)
            found["calls"].append(row)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def make_manifest(root: Path, count: int) -> Path:
    """Write a manifest of ``count`` ids of some scenes, with ground truth."""
    scenes = SceneDataSet(_SCENES, seed=0, size=(_SIDE, _SIDE))
    names = scenes.classes.names
    target = root / "photos.parquet"
    if target.exists():
        return target
    for folder in ("images", "truth"):
        (root / folder).mkdir()
    places = []
    for sample in scenes.samples:
        Image.fromarray(scenes.read_image(sample)).save(root / "images" / f"{sample.name}.png")
        Image.fromarray(scenes.read_ground_truth(sample)).save(root / "truth" / f"{sample.name}.png")
        places.append((sample.name, tuple(names[tag] for tag in sample.tags)))

    def entries() -> Iterator[Entry]:
        for number in range(count):
            scene, tags = places[number % _SCENES]
            truth = None if number % _TRUTHS else f"truth/{scene}.png"
            yield Entry(_name(number), f"images/{scene}.png", tags, (_SIDE, _SIDE), truth=truth)

    write_manifest(target, scenes.classes, entries())
    return target


def measured(root: Path, name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Make a call in a process of its own, and return its figures."""
    if name == "half":
        for path in sorted((root / "out" / "rows").glob("*.parquet"))[1::2]:
            path.unlink()
    call = {"name": name, "root": str(root), "workers": given.workers}
    command, began, worker_mb = [sys.executable, __file__, "--inside", json.dumps(call)], time.time(), 0.0
    first: float | None = None
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            worker_mb = max([worker_mb, *_peaks(process.pid)])
            if first is None and _has_unit(root / "out" / "rows"):
                first = round(time.time() - began, 1)
            time.sleep(0.5)
        told = process.stdout.read() if process.stdout else ""
    seconds = time.time() - began
    if process.returncode:
        raise SystemExit(f"{name}: exit code {process.returncode}: {told}")
    figures = json.loads(told.splitlines()[-1])
    seen: dict[str, float] = {} if first is None else {"first": first}
    seen |= {"worker_mb": round(worker_mb, 1)} if worker_mb else {}
    return {"seconds": round(seconds, 1), **figures, **seen}


def _has_unit(folder: Path) -> bool:
    """Return whether a folder holds the file of a unit; those of joined ones have two numbers."""
    return any(path.stem.count("-") == 1 for path in folder.glob("part-*.parquet"))


def inside(name: str, root: Path, workers: int) -> dict[str, Any]:
    """Make a call in this process; return its figures."""
    found = READ[name](root) if name in READ else run(root, workers)
    return {"mb": round(_peak("self"), 1), "cpu": round(time.process_time(), 1), **found}


def run(root: Path, workers: int) -> dict[str, Any]:
    """Make the masks that are missing."""
    from dhr.engine.cluster import libraries

    out, began = root / "out", time.time()
    command = ["run", "--data", str(root / "photos.parquet"), "--out", str(out), *TINY, "--engine", "ray"]
    with tempfile.TemporaryDirectory(prefix="dhr-", dir="/tmp") as folder:  # short, for the names of sockets
        ray = libraries(local=True)
        ray.init(
            num_cpus=workers, include_dashboard=False, _temp_dir=folder, object_store_memory=128 * 2**20,
            log_to_driver=False, logging_level="error", _node_ip_address="127.0.0.1",
            runtime_env={"worker_process_setup_hook": "million.in_place_of_networks"},
        )  # fmt: skip
        _call([*command, "--workers", str(workers), "--fit-on", str(_SCENES)])
        ray.shutdown()
    times = [path.stat().st_mtime for path in (out / "rows").glob("*.parquet")]
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return {"masks": record["counts"]["masks"], "files": len(times), "new_files": sum(one >= began for one in times)}


def in_place_of_networks() -> None:
    """Give the workers of this cluster ready masks; Ray calls it when a worker starts."""
    from dhr.engine.networks import FittedWork

    FittedWork.opened = lambda work: Ready(work)  # type: ignore[assignment, return-value]


class Ready:
    """Has a ready mask for each photograph, in place of networks."""

    def __init__(self, work: Any) -> None:
        self.classes, self.settings = work.manifest.classes, work.settings
        self.masks: dict[tuple[Any, ...], tuple[bytes, dict[str, Any]]] = {}

    def rows(self, photographs: Sequence[tuple[str, Any]], known: Sequence[Any]) -> list[Any] | None:
        """Return a row for each photograph."""
        from dhr.records.item import ItemRecord
        from dhr.results.row import Row

        found = []
        for name, photograph in photographs:
            mask, members = self._mask(photograph)
            quality = round(random.Random(name).random(), 4)
            found.append(Row(name, self.settings, ItemRecord(**members, quality=quality), mask))
        return found

    def _mask(self, photograph: Any) -> tuple[bytes, dict[str, Any]]:
        """Return the file of a mask: a stripe for each tag, and what its record says."""
        from dhr.data.images import mask_bytes
        from dhr.data.palette import class_palette
        from dhr.records.item import table_key

        key = (photograph.uri, photograph.tags)
        if key not in self.masks:
            names, tags = self.classes.names, photograph.tags
            labels = np.array(tags, np.uint8)[np.arange(_SIDE * _SIDE).reshape(_SIDE, _SIDE) * len(tags) // _SIDE**2]
            content = mask_bytes(labels, class_palette(self.classes))
            self.masks[key] = (
                content,
                {
                    "digest": hashlib.sha256(Path(photograph.uri).read_bytes()).hexdigest(),
                    "width": _SIDE,
                    "height": _SIDE,
                    "tags": tuple(names[tag] for tag in tags),
                    "ratios": {names[tag]: round(float((labels == tag).mean()), 5) for tag in tags},
                    "vanished": tuple(names[tag] for tag in tags if not (labels == tag).any()),
                    "image": photograph.source,
                    "moved": 0.01,
                    "seconds": 0.5,
                    "mask": hashlib.sha256(content).hexdigest(),
                    "table": table_key(names, self.classes.background),
                },
            )
        return self.masks[key]


def opened(root: Path) -> dict[str, Any]:
    """Open the rows, and read one in the middle."""
    from dhr.results.opened import rows_of_run

    rows = rows_of_run(root / "out")
    assert rows is not None
    count = len(rows)
    assert rows.row(_name(count // 2)) is not None
    return {"masks": count, "index_mb": round(rows.nbytes / 1e6, 1)}


def evaluate(root: Path) -> dict[str, Any]:
    """Score the masks that have ground truth, and write the report of the run."""
    _call(["evaluate", "--data", str(root / "photos.parquet"), "--masks", str(root / "out" / "rows"), "--quiet"])
    return {"report_kb": (root / "out" / "report.html").stat().st_size // 1000}


def export(root: Path) -> dict[str, Any]:
    """Write all masks as one file."""
    file = root / "coco.json"
    file.unlink(missing_ok=True)
    data, rows = str(root / "photos.parquet"), str(root / "out" / "rows")
    _call(["export", "--data", data, "--masks", rows, "--to", "coco", "--file", str(file), "--quiet"])
    return {"file_mb": file.stat().st_size // 1_000_000}


def review(root: Path) -> dict[str, Any]:
    """Start the page, ask for the first photographs of the queue, and for the first picture."""
    import httpx

    import dhr

    began = time.perf_counter()
    with dhr.review(root / "out", open_browser=False) as session:
        ready = time.perf_counter() - began
        with httpx.Client(base_url=session.url, timeout=600) as client:
            client.get("")
            began = time.perf_counter()
            page = client.get("api/queue", params={"limit": 100, "state": "undecided"})
            listed = time.perf_counter() - began
            first = page.json()["entries"][0]["id"]
            began = time.perf_counter()
            picture = client.get(f"api/photographs/{first}/image")
            shown = time.perf_counter() - began
        assert picture.status_code == 200, picture.text
        found = {"ready": ready, "listed": listed, "picture": shown}
        return {"photographs": session.photographs, "page_kb": len(page.content) // 1000,
                **{name: round(seconds, 2) for name, seconds in found.items()}}  # fmt: skip


READ = {"opened": opened, "review": review, "evaluate": evaluate, "export": export}
"""Calls that read the rows of a run."""
CALLS = ("run", "again", "half", *READ)


def _call(command: list[str]) -> None:
    from contextlib import redirect_stdout

    from dhr.cli import main as dhr_command

    with redirect_stdout(sys.stderr):
        if code := dhr_command(command):
            raise SystemExit(code)


def _name(number: int) -> str:
    return f"trip-{number // 1000:04d}/photograph-{number:07d}"


def _peaks(driver: int) -> Iterator[float]:
    """Yield the peak memory of each worker of Ray below a driver, in megabytes."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and b"MapWorker(MapBatches(" in (folder / "cmdline").read_bytes():
                raylet = _parent(folder.name)
                if _parent(raylet) == str(driver):
                    yield _peak(folder.name)


def _parent(process: str) -> str:
    return (Path("/proc") / process / "stat").read_text().rpartition(")")[2].split()[1]


def _peak(process: str) -> float:
    """Return the peak memory of a process, in megabytes."""
    lines = (Path("/proc") / process / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
