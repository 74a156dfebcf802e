"""Times ``dhr evaluate`` on masks of real photographs, with predictions that are wrong in the ways of real ones.

    python benchmarks/scores.py --ground-truth ../shared/data/voc2012/SegmentationClass --work /tmp/scores --json F

Makes a data folder of the ground-truth masks in ``--work`` (photographs are white: only their sizes are read), and
prediction folders: contours displaced by smooth random fields, and in some a class of the photograph lost to the
background. Then it runs the command on one folder and on all, and writes seconds, masks per second, and peak memory,
also for a half and a quarter of the masks, so that growth would show; and the time of decoding the files alone.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine
from jaxtyping import UInt8
from PIL import Image

from dhr.data.images import read_mask, read_size, write_mask
from dhr.files import write_json

VOC = [
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]  # fmt: skip
FOLDERS = {"fine": (4.0, 0.0), "coarse": (10.0, 0.0), "lossy": (4.0, 0.15)}
"""Prediction folders: pixels that contours move, share of photographs that lose a class."""


def displaced(truth: UInt8[np.ndarray, "h w"], pixels: float, loss: float, seed: int) -> UInt8[np.ndarray, "h w"]:
    """The truth with its contours moved by about ``pixels``, no void, and a class lost with probability ``loss``."""
    random = np.random.default_rng(seed)
    height, width = truth.shape
    grid = (2 + height // 40, 2 + width // 40)
    moved = []
    for axis, size in enumerate((height, width)):
        field = Image.fromarray(random.normal(0, pixels, grid).astype(np.float32))
        smooth = np.asarray(field.resize((width, height), Image.Resampling.BICUBIC))
        start = np.arange(size)[:, None] if axis == 0 else np.arange(size)
        moved.append(np.clip(np.rint(start + smooth), 0, size - 1).astype(np.intp))
    labels: UInt8[np.ndarray, "h w"] = np.where(truth == 255, 0, truth)[moved[0], moved[1]]
    classes = np.unique(labels[labels > 0])
    if len(classes) and random.random() < loss:
        labels[labels == random.choice(classes)] = 0
    return labels


def build(masks: list[Path], work: Path) -> None:
    """The data folder and the prediction folders; what is there stays."""
    data = work / "data"
    for name in ("images", "truth", "splits"):
        (data / name).mkdir(parents=True, exist_ok=True)
    (data / "classes.txt").write_text("\n".join(VOC) + "\n", encoding="utf-8")

    def one(item: tuple[int, Path]) -> str:
        index, path = item
        truth, link = read_mask(path), data / "truth" / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
        photograph = data / "images" / f"{path.stem}.jpg"
        if not photograph.exists():
            Image.new("L", truth.shape[::-1], 255).save(photograph)
        for folder, (pixels, loss) in FOLDERS.items():
            target = work / folder / path.name
            if not target.exists():
                write_mask(target, displaced(truth, pixels, loss, index))
        tags = [VOC[label] for label in np.unique(truth) if 0 < label < len(VOC)]
        return f"{path.stem},{';'.join(tags)}"

    with ThreadPoolExecutor() as pool:
        lines = list(pool.map(one, enumerate(masks)))
    (data / "tags.csv").write_text("\n".join(["image,tags", *lines]) + "\n", encoding="utf-8")
    for part in (1, 2, 4):
        names = [path.stem for path in masks[::part]]
        (data / "splits" / f"part{part}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def call(*arguments: str) -> dict[str, float]:
    """Run the command in a process of its own: seconds from start to end, and peak memory."""
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", _CHILD, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        **json.loads(done.stderr.splitlines()[-1]),
    }


_CHILD = """
import json, re, sys
from pathlib import Path
from dhr.cli import main
code = main(sys.argv[1:])
# Not getrusage: its peak is inherited from the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({"peak_mb": int(peak[1]) / 1024}), file=sys.stderr)
sys.exit(code)
"""


def decoding(work: Path, names: list[str], workers: int) -> float:
    """Seconds that it takes to decode the truth and one folder, and to read the sizes of the photographs."""

    def one(name: str) -> None:
        read_size(work / "data" / "images" / f"{name}.jpg")
        read_mask(work / "data" / "truth" / f"{name}.png")
        read_mask(work / "fine" / f"{name}.png")

    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, names))
    return time.perf_counter() - start


def main() -> None:
    """Build, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ground-truth", type=Path, required=True, help="folder of VOC's masks")
    parser.add_argument("--work", type=Path, required=True, help="where the data folder and the predictions go")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1449, help="masks: as many as VOC's val has")
    parser.add_argument("--more", nargs="*", default=[], help="further arguments of the command")
    options = parser.parse_args()
    masks = sorted(options.ground_truth.glob("*.png"))[: options.count]
    build(masks, options.work)

    def evaluate(part: int, folders: list[str]) -> dict[str, float]:
        return call(
            *("evaluate", "--data", str(options.work / "data"), "--split", f"part{part}", "--masks"),
            *(str(options.work / folder) for folder in folders),
            *(["--allow-extra"] if part > 1 else []),
            *options.more,
        )

    evaluate(4, ["fine"])  # compiles
    rows: list[dict[str, Any]] = []
    for part, folders in ((1, ["fine"]), (2, ["fine"]), (4, ["fine"]), (1, list(FOLDERS))):
        row = {"masks": len(masks[::part]), "folders": len(folders), **evaluate(part, folders)}
        rows.append(row)
        print({key: round(value, 1) for key, value in row.items()})
    limit = decoding(options.work, [path.stem for path in masks], len(os.sched_getaffinity(0)))
    print(f"decoding alone: {limit:.1f} s")
    write_json(
        options.json,
        {"commit": commit(), "machine": machine(torch.device("cpu")), "rows": rows, "decoding_seconds": limit},
    )


if __name__ == "__main__":
    main()
