"""How long the dense CRF takes beside pydensecrf2: ``python benchmarks/crf.py --json crf.json --plot docs/crf.png``.

Both get the same photographs and the same scores (softmax of smooth random logits), with the same settings, in one
process and in turns, so that a machine that becomes slower does so for both. pydensecrf2 uses one core, as it always
does; ours uses all of them (``--threads 1`` for one). Both go from probabilities to probabilities: the peer's time has
its energies (``unary_from_softmax``), its kernels and its inference in it, ours the kernels and the first call.

Columns: ``speedup`` is the peer's time over ours, the median over the photographs of the ratio of median times;
``reuse_speedup`` in the same way our first call with its kernels over a second call, for which they are there;
``agreement`` the pixels of the same label in percent; ``mean_abs_diff`` of Q; ``peak_memory_ratio`` ours over the
peer's, each the peak resident memory over the level just before, in a process of its own that holds the inputs and has
refined a tiny image.

``limit_ms`` is what memory alone would take: the bytes that must move at least over the bandwidth, measured by summing
a large tensor. Each array counts once for each pass that cannot do without it, with P pixels, V vertices and K classes
in G groups of 16: to make the kernels, 199 P + 52 V (keys written and sorted, corners, pixels and weights by vertex,
neighbours); for each update P (100 G + 8 K) for the lattice's pixels and weights twice, the energies, and Q in half
precision written and read, and V (52 G + 28 K) for the neighbours and seven passes over the lattice's values; and
12 P K to read the scores and write the energies and the result.

``--device cuda`` adds the images per second that a batch on the GPU takes, kernels and inference together.
"""

import argparse
import contextlib
import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Timing, bandwidth, commit, machine, measure
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.files import write_atomic, write_json
from dhr.ops.crf import BILATERAL, CLIP, GAUSSIAN, DenseCrf

HINT = "pip install -e '.[parity]'"
Array = np.ndarray[Any, np.dtype[Any]]
Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Inputs:
    """One photograph and scores for it, as both want them; they share the scores' memory."""

    rgb: Array
    """(h, w, 3), uint8."""
    scores: Array
    """(k, h, w), float32."""

    @staticmethod
    def of(path: Path, size: Size, classes: int, seed: int) -> "Inputs":
        """A photograph, resized, and softmax of smooth random logits."""
        with Image.open(path) as image:
            rgb = np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
        width, height = size
        random = torch.Generator().manual_seed(seed)
        logits = 2 * torch.randn(1, classes, max(2, height // 32), max(2, width // 32), generator=random)
        scores = interpolate(logits, (height, width), mode="bicubic").softmax(dim=1)
        return Inputs(rgb, scores[0].numpy())

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Image and scores, a batch of one."""
        image = torch.from_numpy(self.rgb).movedim(2, 0)[None].contiguous()
        return image, torch.from_numpy(self.scores)[None]


@dataclass
class Samples:
    """Seconds of the repetitions with one photograph, and how alike the results are."""

    kernels: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    """The first call, with the kernels."""
    second: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    vertices: int = 0
    agreement: float = 0.0
    difference: float = 0.0

    def ratio(self, slow: str, fast: str) -> float:
        """Of two median times."""
        return self.median(slow) / self.median(fast)

    def median(self, name: str) -> float:
        """Of the times of that name."""
        values: list[float] = getattr(self, name)
        return statistics.median(values)


def refine_by_peer(inputs: Inputs, iterations: int) -> Array:
    """What pydensecrf2 makes of the scores, (k, h, w)."""
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    classes, height, width = inputs.scores.shape
    crf = DenseCRF2D(width, height, classes)
    crf.setUnaryEnergy(unary_from_softmax(inputs.scores, clip=CLIP))
    crf.addPairwiseGaussian(sxy=GAUSSIAN.sxy, compat=GAUSSIAN.compat)
    crf.addPairwiseBilateral(sxy=BILATERAL.sxy, srgb=BILATERAL.srgb, rgbim=inputs.rgb, compat=BILATERAL.compat)
    result: Array = np.array(crf.inference(iterations)).reshape(classes, height, width)
    return result


def compare(inputs: Inputs, iterations: int, repetitions: int) -> Samples:
    """Time both in turns."""
    samples = Samples()
    image, scores = inputs.tensors
    for _ in range(repetitions):
        start = time.perf_counter()
        expected = refine_by_peer(inputs, iterations)
        samples.peer.append(time.perf_counter() - start)
        start = time.perf_counter()
        crf = DenseCrf(image)
        made = time.perf_counter()
        refined = crf(scores, iterations)
        end = time.perf_counter()
        samples.kernels.append(made - start)
        samples.first.append(end - start)
        start = time.perf_counter()
        crf(scores, iterations)
        samples.second.append(time.perf_counter() - start)
    found = refined[0].numpy()
    samples.vertices = len(crf._cpu[0].lattice)
    samples.agreement = 100 * float((found.argmax(axis=0) == expected.argmax(axis=0)).mean())
    samples.difference = statistics.fmean(float(np.abs(a - b).mean()) for a, b in zip(found, expected, strict=True))
    return samples


def limit_bytes(pixels: int, vertices: int, classes: int, iterations: int) -> int:
    """Bytes that must move at least; the module's docstring has the model."""
    groups = -(-classes // 16)
    update = pixels * (100 * groups + 8 * classes) + vertices * (52 * groups + 28 * classes)
    return 199 * pixels + 52 * vertices + iterations * update + 12 * pixels * classes


# Memory


def memory(key: str) -> int:
    """Bytes of this process, as ``/proc/self/status`` has them."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def tell_peak(of: str, folder: Path, iterations: int) -> None:
    """Print how far resident memory rises when the inputs in ``folder`` are refined; null where it cannot be told."""
    inputs = Inputs(np.load(folder / "rgb.npy"), np.load(folder / "scores.npy"))
    tiny = Inputs(np.ascontiguousarray(inputs.rgb[:32, :32]), np.ascontiguousarray(inputs.scores[:, :32, :32]))
    image, scores = inputs.tensors
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: DenseCrf(image)(scores, iterations),
        "peer": lambda: refine_by_peer(inputs, iterations),
    }
    if of == "ours":
        DenseCrf(tiny.tensors[0])(tiny.tensors[1], iterations)
    else:
        refine_by_peer(tiny, iterations)
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    # Set the peak back to the present level; where that is not allowed, the peak of the whole life counts, if it rises.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, peak_before = memory("VmRSS"), memory("VmHWM")
    runs[of]()
    peak = memory("VmHWM")
    print(json.dumps(peak - before if peak > peak_before else None))


def measure_peaks(inputs: Inputs, iterations: int) -> tuple[int, int] | None:
    """Peak memory of ours and the peer's over the level before, in bytes; None where there is no ``/proc``."""
    if not Path("/proc/self/status").is_file():
        return None
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "rgb.npy", inputs.rgb)
        np.save(folder / "scores.npy", inputs.scores)
        for of in ("ours", "peer"):
            command = [
                *(sys.executable, __file__, "--memory-of", of, "--inputs", name),
                *("--iterations", str(iterations), "--threads", str(torch.get_num_threads())),
            ]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            peaks.append(json.loads(done.stdout))
    return None if None in peaks else (peaks[0], peaks[1])


# Rows


def measure_row(paths: Sequence[Path], size: Size, classes: int, given: argparse.Namespace, speed: float) -> Any:
    """One size and number of classes."""
    warm = Inputs.of(paths[0], size, classes, 0)
    compare(warm, 1, 1)
    peaks = measure_peaks(warm, given.iterations)
    del warm
    photographs = [
        compare(Inputs.of(path, size, classes, seed), given.iterations, given.repetitions)
        for seed, path in enumerate(paths)
    ]

    def timing(name: str) -> Timing:
        return Timing.of([value for one in photographs for value in getattr(one, name)])

    def ratios(slow: str, fast: str) -> list[float]:
        return [one.ratio(slow, fast) for one in photographs]

    first, second, peer, kernels = (timing(name) for name in ("first", "second", "peer", "kernels"))
    pixels, vertices = size[0] * size[1], statistics.median(one.vertices for one in photographs)
    limit = 1000 * limit_bytes(pixels, int(vertices), classes, given.iterations) / speed
    speedups, reuse = ratios("peer", "first"), ratios("first", "second")
    return {
        "size": f"{size[0]}x{size[1]}",
        "classes": classes,
        "speedup": statistics.median(speedups),
        "reuse_speedup": statistics.median(reuse),
        "agreement": statistics.fmean(one.agreement for one in photographs),
        "mean_abs_diff": statistics.fmean(one.difference for one in photographs),
        "peak_memory_ratio": peaks and peaks[0] / peaks[1],
        "ms": first.median,
        "ms_kernels": kernels.median,
        "ms_reuse": second.median,
        "ms_peer": peer.median,
        "spread": first.spread,
        "spread_kernels": kernels.spread,
        "spread_reuse": second.spread,
        "spread_peer": peer.spread,
        "speedup_range": [min(speedups), max(speedups)],
        "reuse_speedup_range": [min(reuse), max(reuse)],
        "share_of_kernels": kernels.median / first.median,
        "peak_memory_bytes": peaks and peaks[0],
        "peak_memory_bytes_peer": peaks and peaks[1],
        "vertices_per_pixel": vertices / pixels,
        "limit_ms": limit,
        "ratio_to_limit": first.median / limit,
    }


def measure_device(paths: Sequence[Path], size: Size, classes: int, given: argparse.Namespace) -> Any:
    """One size and number of classes, a batch on the device."""
    device = torch.device(given.device)
    inputs = [Inputs.of(paths[seed % len(paths)], size, classes, seed) for seed in range(given.batch)]
    images = torch.cat([one.tensors[0] for one in inputs]).to(device)
    scores = torch.cat([one.tensors[1] for one in inputs]).to(device)
    row = {"size": f"{size[0]}x{size[1]}", "classes": classes, "batch": given.batch}
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    try:
        seconds = measure(lambda: DenseCrf(images)(scores, given.iterations), max(3, given.repetitions), 1, device)
    except torch.cuda.OutOfMemoryError:
        return {**row, "images_per_second": None, "ms": None, "spread": None, "peak_memory_bytes": None}
    timing = Timing.of(seconds, given.batch)
    peak = torch.cuda.max_memory_allocated(device) - held
    return {
        **row,
        "images_per_second": 1000 / timing.median,
        "ms": timing.median,
        "spread": timing.spread,
        "peak_memory_bytes": peak,
    }


# What is shown

_COLUMNS: tuple[tuple[str, int, Callable[[dict[str, Any]], str]], ...] = (
    ("size", 9, lambda row: row["size"]),
    ("classes", 7, lambda row: str(row["classes"])),
    ("ms", 9, lambda row: f"{row['ms']:.1f}"),
    ("quartiles", 17, lambda row: f"{row['spread'][0]:.1f}..{row['spread'][1]:.1f}"),
    ("kernels", 8, lambda row: f"{row['ms_kernels']:.1f}"),
    ("reuse", 9, lambda row: f"{row['ms_reuse']:.1f}"),
    ("peer", 9, lambda row: f"{row['ms_peer']:.1f}"),
    ("speedup", 7, lambda row: f"{row['speedup']:.2f}"),
    ("x reuse", 7, lambda row: f"{row['reuse_speedup']:.2f}"),
    ("memory", 6, lambda row: f"{row['peak_memory_ratio']:.2f}" if row["peak_memory_ratio"] else "-"),
    ("same", 7, lambda row: f"{row['agreement']:.2f}%"),
    ("|dQ|", 7, lambda row: f"{row['mean_abs_diff']:.1e}"),
    ("limit", 8, lambda row: f"{row['limit_ms']:.1f}"),
    ("x limit", 7, lambda row: f"{row['ratio_to_limit']:.1f}"),
)


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Time against pixels at 4 classes, and against classes at 512x512, or at what of it was measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes, counts = [row["size"] for row in rows], [row["classes"] for row in rows]
    size = "512x512" if "512x512" in sizes else sizes[-1]
    classes = 4 if 4 in counts else counts[0]

    def pixels(row: dict[str, Any]) -> int:
        width, height = row["size"].split("x")
        return int(width) * int(height)

    panels: tuple[tuple[str, str, list[tuple[float, dict[str, Any]]]], ...] = (
        (f"{classes} classes", "pixels", [(pixels(row), row) for row in rows if row["classes"] == classes]),
        (f"{size} pixels", "classes", [(row["classes"], row) for row in rows if row["size"] == size]),
    )
    figure, axes = pyplot.subplots(1, 2, figsize=(8.4, 3.4), sharey=True, layout="constrained")
    for axis, (title, label, points) in zip(axes, panels, strict=True):
        points.sort(key=lambda point: point[0])
        places = [place for place, _ in points]
        for key, name, colour, mark in (
            ("ms_peer", "pydensecrf2", "#c44e52", "o"),
            ("ms", "dhr, kernels and inference", "#1f4e9c", "s"),
            ("ms_reuse", "dhr, kernels kept", "#6fa8dc", "^"),
        ):
            axis.plot(places, [row[key] for _, row in points], color=colour, marker=mark, markersize=5, label=name)
        start = points[0][1]["ms_reuse"] / 1.6
        guide = [start * place / places[0] for place in places]
        axis.plot(places, guide, color="0.6", linestyle=":", label="in proportion")
        axis.set(title=title, xlabel=label, xscale="log", yscale="log")
        axis.set_xticks(places, [f"{place:,}" for place in places])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ms an image")
    axes[0].legend(fontsize=8, frameon=False)
    write_atomic(path, lambda file: figure.savefig(file, format="png", dpi=110))


# Arguments


def find_photographs(data: Path, count: int) -> list[Path]:
    """Photographs spread over ``coco_mini/images``, or over the images of ``data`` itself."""
    folder = data / "coco_mini" / "images"
    folder = folder if folder.is_dir() else data
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if len(found) < count:
        raise SystemExit(
            f"{folder} holds {len(found)} photographs, {count} are wanted; name another folder with --data"
        )
    return [found[index * len(found) // count] for index in range(count)]


def require(module: str, what: str) -> None:
    """End with a hint where an optional module is missing."""
    try:
        __import__(module)
    except ImportError:
        raise SystemExit(f"{what}: {HINT}") from None


def one_size(text: str) -> Size:
    """``512x512``."""
    width, height = (int(part) for part in text.split("x"))
    if min(width, height) < 32:
        raise ValueError("too small")
    return width, height


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time the dense CRF beside pydensecrf2, on real photographs.")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--plot", type=Path, help="PNG of time against pixels and classes (needs matplotlib)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with photographs")
    parser.add_argument("--sizes", default="320x213,512x512,1024x1024", help="width x height, separated by commas")
    parser.add_argument("--classes", default="2,4,21,81", help="separated by commas")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--photographs", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3, help="with each photograph")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="all cores by default")
    parser.add_argument("--device", default="cpu", help="cuda: measure batches there, too")
    parser.add_argument("--batch", type=int, default=8, help="images at a time with --device cuda")
    parser.add_argument("--memory-of", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--inputs", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        given.sizes = [one_size(text) for text in given.sizes.split(",")]
        given.classes = [int(text) for text in given.classes.split(",")]
    except ValueError:
        parser.error("--sizes must be like 320x213,512x512 (32 or more), --classes like 2,4,21")
    numbers = (given.iterations, given.photographs, given.repetitions, given.threads, given.batch, *given.classes)
    if min(numbers) < 1:
        parser.error("all counts must be at least 1")
    if torch.device(given.device).type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no GPU here")
    return given


def main() -> None:
    """Measure, print a table, and write the files."""
    given = read_arguments()
    torch.set_num_threads(given.threads)
    require("pydensecrf.densecrf", "pydensecrf2, to compare with, is missing")
    if given.memory_of:
        tell_peak(given.memory_of, given.inputs, given.iterations)
        return
    if given.plot:
        require("matplotlib", "--plot needs matplotlib")
    paths = find_photographs(given.data, given.photographs)
    speed = bandwidth(torch.device("cpu"), 256)
    device = torch.device(given.device)
    print(
        f"{given.iterations} updates, {given.photographs} photographs, {given.repetitions} repetitions with each; "
        f"{torch.get_num_threads()} threads, memory {speed / 1e9:.1f} GB/s; ms an image"
    )
    print(" ".join(f"{title:>{width}}" for title, width, _ in _COLUMNS), flush=True)
    rows = []
    for size in given.sizes:
        for classes in given.classes:
            rows.append(measure_row(paths, size, classes, given, speed))
            print(" ".join(f"{text(rows[-1]):>{width}}" for _, width, text in _COLUMNS), flush=True)
    batches = []
    for size in given.sizes if device.type == "cuda" else ():
        for classes in given.classes:
            row = measure_device(paths, size, classes, given)
            batches.append(row)
            rate = f"{row['images_per_second']:.1f} images/s" if row["images_per_second"] else "memory too small"
            print(f"{row['size']:>9} {classes:7} {rate}, batches of {given.batch} on {given.device}", flush=True)
    if given.json:
        result = {
            "benchmark": "crf",
            "rows": rows,
            "device_rows": batches,
            "repetitions": given.repetitions,
            "bandwidth_bytes_per_second": speed,
            "inputs": {
                "photographs": [path.name for path in paths],
                "iterations": given.iterations,
                "gaussian": {"sxy": GAUSSIAN.sxy, "compat": GAUSSIAN.compat},
                "bilateral": {"sxy": BILATERAL.sxy, "srgb": BILATERAL.srgb, "compat": BILATERAL.compat},
                "device": given.device,
                "batch": given.batch,
            },
            "peer": f"pydensecrf2 {version('pydensecrf2')}",
            "commit": commit(),
            "machine": machine(device),
        }
        write_json(given.json, result)
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    main()
