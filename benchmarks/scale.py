"""Time per photograph and memory of runs of 1,000 to 100,000 small photographs.

The photographs have 64 pixels, the features are colours, and the classifier is tiny, so that nearly all time is that of
the program itself. Each step runs in a process of its own. Costs per photograph are differences from a run of a few
photographs, because a process needs seconds to import its libraries.

A benchmark that was interrupted continues: steps with a result of the same commit in WORK are not repeated.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine
from PIL import Image

import dhr
from dhr.data import SceneDataSet
from dhr.progress import Step

SIDE = 64
FEW = 50
"""Photographs of the run whose costs are those of starting."""
BASES = 60
"""Scenes that are drawn; photographs are these, moved and in other light."""
STEPS = ("run", "again", "missing", "report", "evaluate", "export")
"""A new run; the same command; the same with every hundredth record deleted; then what follows a run."""


def main() -> None:
    """Measure all sizes; print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "dhr-scale", help="kept photographs")
    parser.add_argument("--flat", action="store_true", help="all photographs in one folder, so that results get shards")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--boundary", default="none", help="boundary correction")
    parser.add_argument("--limit", type=float, default=180.0, help="minutes after which a step is ended")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        _child(json.loads(given.child))
        return
    given.work.mkdir(parents=True, exist_ok=True)
    found = {"commit": commit(), **machine(torch.device("cpu")), "boundary": given.boundary, "flat": given.flat}
    few = Case(given.work, FEW, given.flat, given.boundary)
    rows = [_measured(case, given.steps, found["commit"], given.limit) for case in (few, *_cases(given))]
    found["rows"] = [_per_photograph(row, rows[0]) for row in rows[1:]]
    found["few"] = rows[0]
    text = json.dumps(found, indent=2)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")


@dataclass(frozen=True)
class Case:
    """A data set of some size, and its run."""

    work: Path
    size: int
    flat: bool
    boundary: str

    @property
    def name(self) -> str:
        """Name of its folders."""
        return f"{self.size}{'-flat' if self.flat else ''}"

    @property
    def data(self) -> Path:
        """The photographs."""
        return self.work / f"data-{self.name}"

    @property
    def out(self) -> Path:
        """The output folder."""
        return self.work / f"out-{self.name}-{self.boundary}"

    @property
    def classifier(self) -> Path:
        """The classifier, which is trained on a few photographs."""
        return self.work / "classifier" / "classifier.safetensors"


def _cases(given: argparse.Namespace) -> Iterator[Case]:
    return (Case(given.work, size, given.flat, given.boundary) for size in given.sizes)


def write_photographs(case: Case) -> None:
    """Write the photographs of a case, unless they are there: at most 1,000 in a folder, or all in one."""
    root, marker = case.data, case.data / "tags.csv"
    if marker.is_file():
        return
    scenes = SceneDataSet(BASES, seed=0, size=(SIDE, SIDE))
    drawn = [(scenes.read_image(one), scenes.read_ground_truth(one)) for one in scenes.samples]
    tags = [";".join(scenes.classes.names[tag] for tag in one.tags) for one in scenes.samples]
    lines = ["image,tags"]
    for number in range(case.size):
        random = np.random.default_rng(number)
        photograph, truth = drawn[number % BASES]
        move = (int(random.integers(SIDE)), int(random.integers(SIDE)))
        light = random.uniform(0.8, 1.1, 3)
        name = f"{number:06d}" if case.flat else f"{number // 1000:03d}/{number:06d}"
        pixels = np.clip(np.roll(photograph, move, (0, 1)) * light, 0, 255).astype(np.uint8)
        path = root / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)
        mask = root / "truth" / f"{name}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(truth, move, (0, 1))).save(mask)
        lines.append(f"{name}.jpg,{tags[number % BASES]}")
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in scenes.classes.names))
    marker.write_text("\n".join(lines) + "\n")


def _measured(case: Case, steps: list[str], state: str, limit: float) -> dict[str, Any]:
    """Measure the steps of a case that have no result yet."""
    print(f"{case.name}: photographs", file=sys.stderr)
    write_photographs(case)
    place = case.work / f"{case.out.name}.json"
    kept = json.loads(place.read_text()) if place.is_file() else {}
    if kept.get("commit") != state:
        kept = {"commit": state, "photographs": case.size}
    if not case.classifier.is_file():
        _step({"step": "classifier", **_named(case)}, limit)
    for step in steps:
        if step in kept:
            continue
        print(f"{case.name}: {step}", file=sys.stderr)
        if step == "run":
            shutil.rmtree(case.out, ignore_errors=True)
        if step == "missing":
            for path in sorted((case.out / "items").rglob("*.json"))[::100]:
                path.unlink()
        kept[step] = _step({"step": step, **_named(case)}, limit)
        if step == "run":
            kept["most_files"] = most_files(case.out)
        place.write_text(json.dumps(kept, indent=2))
    return kept


def _named(case: Case) -> dict[str, Any]:
    return {
        **{name: str(getattr(case, name)) for name in ("work", "data", "out", "classifier")},
        "boundary": case.boundary,
    }


def most_files(folder: Path) -> int:
    """Return the largest number of files in one folder."""
    return max(len(files) for _, _, files in os.walk(folder))


def _step(task: dict[str, Any], limit: float) -> dict[str, Any]:
    """Run a step in a process; return its times and the largest memory that the process had."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        command = [sys.executable, __file__, "--child", json.dumps({**task, "answer": answer.name})]
        begin = time.time()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            peak = 0.0
            while process.poll() is None:
                peak = max(peak, _resident_mb(process.pid))
                if time.time() - begin > 60 * limit:
                    process.kill()
                    raise SystemExit(f"{task['step']} of {task['data']} took more than {limit} minutes")
                time.sleep(0.02)
        if process.returncode:
            raise SystemExit(f"{task['step']} of {task['data']} ended with {process.returncode}")
        found: dict[str, Any] = json.loads(Path(answer.name).read_text())
    start = found.pop("begun")
    found["stages"]["start"]["wall"] += start - begin
    return {**found, "wall": time.time() - begin, "peak_mb": round(peak, 1)}


def _resident_mb(process: int) -> float:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


@dataclass
class Clock:
    """Seconds between the stages that a progress reports."""

    begun: float = field(default_factory=time.time)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    _name: str = "start"
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = 0.0

    def __call__(self, step: Step) -> None:
        """Note a stage when it begins."""
        if step.stage != self._name and step.stage != "open":  # opening belongs to the start
            self.enter(step.stage)

    def enter(self, name: str) -> None:
        """End the present stage."""
        wall, cpu = time.perf_counter(), time.process_time()
        row = self.stages.setdefault(self._name, {"wall": 0.0, "cpu": 0.0})
        row["wall"] += wall - self._wall
        row["cpu"] += cpu - self._cpu
        self._name, self._wall, self._cpu = name, wall, cpu


def _child(task: dict[str, Any]) -> None:
    """Do a step, and write its times."""
    clock, out = Clock(), Path(task["out"])
    torch.set_num_threads(1)
    steps: dict[str, Callable[[], Any]] = {
        "report": lambda: _report(task, clock),
        "evaluate": lambda: dhr.evaluate(task["data"], out / "masks", progress=clock),
        "export": lambda: _export(task, clock),
    }
    steps.get(task["step"], lambda: _run(task, clock))()
    clock.enter("end")
    Path(task["answer"]).write_text(json.dumps({"begun": clock.begun, "stages": clock.stages}))


def _run(task: dict[str, Any], clock: Clock) -> None:
    trains = task["step"] == "classifier"
    config: dict[str, Any] = {
        "device": "cpu",
        "wss": {"backbone": "test_resnet", "weights": "none", "scales": [1.0], "flip": False},
        "uss": {"kind": "colour", "weights": "none", "scales": [1.0], "flip": False},
        "classifier": {"epochs": 1, "batch": 10, "crop": 32} if trains else {"file": task["classifier"]},
        "method": {"survey": 0.0},  # its cost stops growing at 200 photographs per class
        "boundary": {"kind": task["boundary"]},
        "stages": False,
    }
    out = Path(task["classifier"]).parent if trains else task["out"]
    result = dhr.run(task["data"], out, config=config, progress=clock)
    assert result.complete, result.left_out[:3]


def _report(task: dict[str, Any], clock: Clock) -> None:
    from dhr.report.build import write_report

    data = dhr.open_data(task["data"])
    clock.enter("report")
    write_report(Path(task["out"]), data)


def _export(task: dict[str, Any], clock: Clock) -> None:
    with tempfile.TemporaryDirectory(dir=task["work"]) as folder:
        dhr.export(task["data"], Path(task["out"]) / "masks", Path(folder) / "masks", to="png", progress=clock)
        clock.enter("clean")


def _per_photograph(row: dict[str, Any], few: dict[str, Any]) -> dict[str, Any]:
    """Return milliseconds per photograph, beyond the costs of a few photographs."""
    more = row["photographs"] - few["photographs"]
    found: dict[str, Any] = {"photographs": row["photographs"], "most_files": row.get("most_files")}
    for step in STEPS:
        if step not in row:
            continue
        one, base = row[step], few[step]
        found[step] = {"peak_mb": one["peak_mb"], "wall_ms": round(1000 * (one["wall"] - base["wall"]) / more, 3)}
        for stage, cost in one["stages"].items():
            zero = base["stages"].get(stage, {"wall": 0.0, "cpu": 0.0})
            found[step][stage] = {f"{kind}_ms": round(1000 * (cost[kind] - zero[kind]) / more, 3) for kind in cost}
    return found


if __name__ == "__main__":
    main()
