"""How fast masks are exported, scored and examined: ``python benchmarks/data.py --masks DIR --json data.json``.

DIR holds indexed PNGs of class ids, such as VOC's SegmentationClass. A data folder is made around them in a temporary
place: photographs of their sizes, all of one grey, and DIR as truth. Every command runs in a process of its own, as
users call it, so that the seconds include those that the process takes to start; ``started`` says how many these are.
Masks per second are of the whole. Commands that this version of dhr does not have are left out.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine
from PIL import Image

from dhr.export import FORMATS
from dhr.export.libraries import library
from dhr.files import write_json

EVALUATED = 1449
"""Photographs of VOC 2012 val; ``dhr evaluate`` is to score as many in 20 s."""


def data_folder(root: Path, masks: Sequence[Path], classes: int, background: bool) -> Path:
    """A data folder with ``masks`` as truth."""
    for folder in ("images", "truth"):
        (root / folder).mkdir(parents=True)
    rows = ["image,tags"]
    background_name = "background" if background else "class 0"
    for path in masks:
        with Image.open(path) as image:
            labels = np.array(image)
        Image.new("L", (labels.shape[1], labels.shape[0]), 128).save(root / "images" / path.name, compress_level=1)
        (root / "truth" / path.name).symlink_to(path.resolve())
        tags = [f"class {label}" for label in np.unique(labels).tolist() if background <= label < classes]
        rows.append(f"{path.name},{';'.join(tags) or f'class {classes - 1}'}")
    (root / "tags.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    names = [background_name, *(f"class {label}" for label in range(1, classes))]
    (root / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return root


def timed(arguments: Sequence[str | Path], threads: int) -> tuple[float, float]:
    """Wall and CPU seconds of ``dhr arguments`` in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "dhr", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"dhr {arguments[0]} failed: {done.stderr or done.stdout}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def known(command: str) -> bool:
    """Whether this version has the command."""
    done = subprocess.run([sys.executable, "-m", "dhr", command, "--help"], capture_output=True, check=False)
    return done.returncode == 0


def lost(data: Path, out: Path, holes: str) -> dict[str, Any]:
    """Per cent of the pixels that YOLO's label files give back as something else, painted larger polygons first."""
    cv2 = library("cv2")
    wrong = annotated = total = 0
    for path in sorted((data / "truth").glob("*.png")):
        with Image.open(path) as image:
            truth = np.array(image)
        expected, found = np.where(truth == 255, 0, truth), np.zeros_like(truth)
        painted = []
        for line in (out / "labels" / "train" / f"{path.stem}.txt").read_text().splitlines():
            place, *numbers = line.split()
            points = np.array(numbers, dtype=np.float32).reshape(-1, 2) * (truth.shape[1], truth.shape[0])
            canvas = np.zeros(truth.shape, np.uint8)
            cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
            painted.append((int(canvas.sum()), int(place) + 1, canvas > 0))
        for _, label, mask in sorted(painted, key=lambda one: -one[0]):
            found[mask] = label
        wrong += int((found != expected).sum())
        annotated += int((expected > 0).sum())
        total += truth.size
    return {"holes": holes, "wrong_percent": 100 * wrong / total, "wrong_percent_of_annotated": 100 * wrong / annotated}


def main() -> None:
    """Measure, print a table, and write the JSON file."""
    parser = argparse.ArgumentParser(description="Time export, evaluate and adjacency.")
    parser.add_argument("--masks", type=Path, required=True, help="folder of indexed PNGs")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--classes", type=int, default=21, help="classes, the background among them")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="export,evaluate,adjacency", help="what to measure")
    parser.add_argument("--formats", default=",".join(FORMATS), help="formats to export to")
    given = parser.parse_args()
    masks = sorted(given.masks.glob("*.png"))
    if not masks:
        parser.error(f"there is no PNG in {given.masks}")
    wanted = given.only.split(",")
    rows: list[dict[str, Any]] = []

    def row(name: str, count: int, arguments: Sequence[str | Path], out: Path) -> None:
        walls, works = [], []
        for _ in range(given.repetitions):
            if out.is_dir():
                shutil.rmtree(out)
            wall, work = timed(arguments, given.threads)
            walls.append(wall)
            works.append(work)
        seconds = statistics.median(walls)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and not path.is_symlink())
        found = {
            "what": name,
            "masks": count,
            "seconds": seconds,
            "spread": [min(walls), max(walls)],
            "cpu_seconds": statistics.median(works),
            "masks_per_second": count / seconds,
            "megabytes": (out.stat().st_size if out.is_file() else size) / 1e6 if out.exists() else None,
        }
        rows.append(found)
        print(f"{name:>24} {count:6} {seconds:8.1f} s {found['cpu_seconds']:8.1f} s CPU {count / seconds:8.1f} /s")

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        data = data_folder(root / "data", masks, given.classes, background=True)
        started = statistics.median(timed(["--version"], given.threads)[0] for _ in range(given.repetitions))
        print(f"a process takes {started:.1f} s to start")
        losses: list[dict[str, Any]] = []
        if "export" in wanted and known("export"):
            for to in given.formats.split(","):
                out = root / f"{to}.out"
                place = "--file" if to in FORMATS and FORMATS[to].one_file else "--out"
                call: list[str | Path] = ["export", "--data", data, "--masks", data / "truth", "--to", to, place, out]
                if to == "voc-server" and given.classes != 21:
                    continue
                if to == "ade-server":
                    ade = root / "ade"
                    data_folder(ade, masks, 150, background=False)
                    call[2], call[4] = ade, ade / "truth"
                row(f"export {to}", len(masks), call, out)
                if to == "yolo":
                    losses.append(lost(data, out, "keep"))
                    shutil.rmtree(out)
                    timed([*call, "--holes", "fill"], given.threads)
                    losses.append(lost(data, out, "fill"))
                    print("".join(f"{json.dumps(loss)}\n" for loss in losses), end="")
        if "evaluate" in wanted:
            val = data_folder(root / "val", masks[:EVALUATED], given.classes, background=True)
            out = root / "scores.json"
            scoring: list[str | Path] = ["evaluate", "--data", val, "--masks", val / "truth", "--json", out]
            row("evaluate", len(masks[:EVALUATED]), scoring, out)
        if "adjacency" in wanted and known("adjacency"):
            out = root / "adjacency.json"
            row("adjacency", len(masks), ["adjacency", "--ground-truth", given.masks, "--json", out], out)
    if given.json:
        write_json(
            given.json,
            {
                "benchmark": "data",
                "rows": rows,
                "losses": losses,
                "started_seconds": started,
                "repetitions": given.repetitions,
                "threads": given.threads,
                "commit": commit(),
                "machine": machine(torch.device("cpu")),
            },
        )


if __name__ == "__main__":
    main()
