"""How long "refine again" takes: ``python benchmarks/refine_again.py --run OUT --json refine_again.json``.

OUT is a finished run. Its photographs are resampled to the size, and each is prepared and refined as the review page
does it: without strokes, with a stroke of each tag, and with a class that was not among the tags. ``prepare`` is done
once for a photograph, ``opened`` once for a server.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Timing, commit, machine
from jaxtyping import UInt8
from PIL import Image

from dhr.api.opened_run import opened_run
from dhr.data.samples import ClassTable, DataSet, Problem, Sample
from dhr.files import write_json
from dhr.job.mender import FREE, Mender, Prepared
from dhr.progress import silent

_STROKE = 0.02  # radius of a stroke, as a part of the longer side

Rows = dict[str, list[tuple[float, float]]]
"""Seconds of each call, and seconds of all cores, by kind of call."""


@dataclass(frozen=True)
class Resampled:
    """A data set with photographs of one size."""

    data: DataSet
    size: tuple[int, int]
    """Width and height."""

    @property
    def classes(self) -> ClassTable:
        """The class table."""
        return self.data.classes

    @property
    def samples(self) -> Sequence[Sample]:
        """The photographs."""
        return self.data.samples

    @property
    def problems(self) -> Sequence[Problem]:
        """Things that are left out."""
        return self.data.problems

    @property
    def notes(self) -> Sequence[str]:
        """Decisions of the reader."""
        return self.data.notes

    def digest(self, sample: Sample) -> str:
        """Return the digest of the original photograph."""
        return self.data.digest(sample)

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Read a photograph, and resample it."""
        image = Image.fromarray(self.data.read_image(sample))
        turned = self.size if image.width >= image.height else self.size[::-1]
        return np.array(image.resize(turned))

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Return the ground truth of the original photograph."""
        return self.data.read_ground_truth(sample)


def strokes(mask: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Draw a disc of each label of a mask, at its middle row and column."""
    held = np.full_like(mask, FREE)
    rows, columns = np.indices(mask.shape)
    for label in np.unique(mask):
        inside = mask == label
        row, column = (int(np.median(one[inside])) for one in (rows, columns))
        held[(rows - row) ** 2 + (columns - column) ** 2 <= (_STROKE * max(mask.shape)) ** 2] = label
    return held


def timed(rows: Rows, name: str, run: Callable[[], Any]) -> Any:
    """Run a function, and note its seconds, and those of the cores."""
    start, cores = time.perf_counter(), time.process_time()
    found = run()
    rows.setdefault(name, []).append((time.perf_counter() - start, time.process_time() - cores))
    return found


def measure(mender: Mender, count: int) -> Rows:
    """Prepare and refine photographs; return the seconds of each kind of call. The first photograph only warms up."""
    rows: Rows = {}
    chosen = [sample for sample in mender.drafts.data.samples if sample.tags][: count + 1]
    for place, sample in enumerate(chosen):
        if place == 1:
            rows.clear()
        prepared: Prepared = timed(rows, "prepare", lambda name=sample.name: mender.prepare(name))  # type: ignore[misc]
        tags = sample.tags
        mask = timed(rows, "refine", lambda: mender.refine(prepared, tags))  # noqa: B023
        held = strokes(mask)
        timed(rows, "refine with strokes", lambda: mender.refine(prepared, tags, held))  # noqa: B023
        more = [tag for tag in mender.classes.foreground if tag not in tags][:1]
        timed(rows, "refine with another class", lambda: mender.refine(prepared, [*tags, *more], held))  # noqa: B023
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="output folder of dhr run")
    parser.add_argument("--data", type=Path, help="its data folder, if it has moved")
    parser.add_argument("--size", default="640x480", help="width and height of the photographs")
    parser.add_argument("--count", type=int, default=10, help="photographs")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    width, height = map(int, given.size.split("x"))
    start = time.perf_counter()
    run = opened_run(given.run, given.data, silent)
    mender = Mender.open(replace(run, data=Resampled(run.data, (width, height))))
    opened = time.perf_counter() - start
    rows = measure(mender, given.count)
    found = {name: Timing.of([wall for wall, _ in both]) for name, both in rows.items()}
    cores = {name: Timing.of([used for _, used in both]).median for name, both in rows.items()}
    write_json(
        given.json,
        {
            "commit": commit(),
            "machine": machine(mender.drafts.models.device),
            "size": [width, height],
            "long_side": run.config.image.long_side,
            "photographs": len(rows["prepare"]),
            "opened_ms": round(1000 * opened, 1),
            "rows": [
                {
                    "what": name, "ms": round(one.median, 1), "spread_ms": [round(value, 1) for value in one.spread],
                    "cores_ms": round(cores[name], 1),
                }
                for name, one in found.items()
            ],
        },
    )  # fmt: skip
    for name, one in found.items():
        print(
            f"{name}: {one.median:.0f} ms ({one.quarter:.0f} to {one.three_quarters:.0f}), cores {cores[name]:.0f} ms"
        )


if __name__ == "__main__":
    main()
