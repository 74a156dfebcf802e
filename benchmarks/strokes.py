"""What strokes are worth: ``python benchmarks/strokes.py --run OUT --json strokes.json``.

OUT is a finished run on photographs with ground truth, which plays a person with a brush: it draws a stroke of the
right class through the largest wrong region of a mask, and refines again; and so on. Beside the result stands the mask
of the run with the same strokes, as in an editor that only paints.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import commit, machine
from jaxtyping import Bool, UInt8
from scipy import ndimage
from scored import RESAMPLES, cell, columns

from dhr.api.data import DataFolder
from dhr.api.opened_run import opened_run
from dhr.data.samples import VOID, Sample
from dhr.evaluate.tally import Tally
from dhr.files import write_json
from dhr.job.mender import FREE, Mender
from dhr.progress import silent

_RADIUS, _LENGTH = 4, 0.24  # of a stroke: pixels, and the most, as a part of the longer side


def wrong_region(mask: UInt8[np.ndarray, "h w"], truth: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"] | None:
    """Return the largest connected region of one class that the mask lacks there; None if the mask is right."""
    found: list[Bool[np.ndarray, "h w"]] = []
    for label in np.unique(truth[(mask != truth) & (truth != VOID)]):
        parts, count = ndimage.label((mask != truth) & (truth == label))
        found += [parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())] if count else []
    return max(found, key=lambda part: int(part.sum()), default=None)


def stroke(region: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return a stroke along the longer axis of a region, through the place farthest from its edge."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    middle = np.array(np.unravel_index(int(depth.argmax()), depth.shape))
    places = np.argwhere(region)
    axis = np.linalg.eigh(np.cov(places.T))[1][:, -1] if len(places) > 2 else np.array([1.0, 0.0])
    steps = np.linspace(-0.5, 0.5, 61)[:, None] * _LENGTH * max(region.shape)
    line = np.rint(middle + steps * axis).astype(int)
    line = line[((line >= 0) & (line < region.shape)).all(axis=1)]
    line = np.vstack([line[region[line[:, 0], line[:, 1]]], middle])
    far = np.ones(region.shape, bool)
    far[line[:, 0], line[:, 1]] = False
    drawn: Bool[np.ndarray, "h w"] = (ndimage.distance_transform_edt(far) <= _RADIUS) & region
    return drawn


def played(mender: Mender, sample: Sample, strokes: int) -> Iterator[tuple[UInt8[np.ndarray, "h w"], ...]]:
    """Yield the refined mask, and the mask of the run with the strokes painted on it, after 0, 1, 2... strokes."""
    truth, prepared = mender.drafts.data.read_ground_truth(sample), mender.prepare(sample.name)
    first = mask = mender.refine(prepared, sample.tags)
    held = np.full(truth.shape, FREE, np.uint8)
    yield mask, first
    for _ in range(strokes):
        region = wrong_region(mask, truth)
        if region is not None:
            drawn = stroke(region)
            held[drawn] = truth[drawn]
            mask = mender.refine(prepared, sample.tags, held)
        yield mask, np.where(held == FREE, first, held)


def measure(mender: Mender, strokes: int) -> list[dict[str, Any]]:
    """Return the scores of all photographs after each stroke."""
    kinds, data = ("refined", "painted"), mender.drafts.data
    tallies = [{kind: Tally(data.classes, RESAMPLES) for kind in kinds} for _ in range(strokes + 1)]
    worse = [0] * (strokes + 1)
    for sample in data.samples:
        truth, before = data.read_ground_truth(sample), None
        for place, masks in enumerate(played(mender, sample, strokes)):
            for kind, mask in zip(kinds, masks, strict=True):
                tallies[place][kind].add(sample, mask, truth)
            wrong = float(((masks[0] != truth) & (truth != VOID)).mean())
            worse[place] += before is not None and wrong > before + 0.002
            before = wrong
    rows = []
    for place, both in enumerate(tallies):
        row: dict[str, Any] = {"strokes": place, "worse": worse[place]}
        for kind, tally in both.items():
            scores = columns(tally.scores())
            row[kind] = {**scores, "wrong": 100 - scores["pixel_accuracy"]}
        rows.append(row)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="output folder of dhr run")
    parser.add_argument("--data", type=Path, help="its data folder, if it has moved")
    parser.add_argument("--split", help="split of the data folder")
    parser.add_argument("--strokes", type=int, default=3, help="strokes per photograph")
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args(arguments)
    data = None if given.data is None else DataFolder(given.data, given.split)
    mender = Mender.open(opened_run(given.run, data, silent))
    rows = measure(mender, given.strokes)
    photographs = len(mender.drafts.data.samples)
    write_json(
        given.json,
        {
            "commit": commit(), "machine": machine(mender.drafts.models.device), "photographs": photographs,
            "rows": rows,
        },
    )  # fmt: skip
    for row in rows:
        both = ", ".join(
            f"{kind} {row[kind]['wrong']:.2f} % wrong, mIoU {cell(row[kind], 'miou')}"
            for kind in ("refined", "painted")
        )
        print(f"{row['strokes']} strokes: {both}; {row['worse']} masks became worse")


if __name__ == "__main__":
    main()
