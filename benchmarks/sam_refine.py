"""Boundary correction by made networks that segment anything, beside the CRF.

    python benchmarks/sam_refine.py --data DIR --split val --config C --json F

The scores of `default` with the survey are corrected by the CRF and by `boundary.kind sam`, with three made networks
(benchmarks/predictors.py): instances of the ground truth that are eroded and merged at random, random blobs, and random
rectangles. ``worst`` is the largest loss of mIoU against the CRF over the seeds. Networks that draw at random must cost
almost nothing, and good ones must help.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine, maps_parser, run_config
from predictors import bad, blobs, oracle, rectangle
from quality import DEFAULT, Cache, View, rebalanced
from scored import RESAMPLES, columns
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data.folder import FolderDataSet
from dhr.evaluate.tally import Tally
from dhr.files import write_json
from dhr.job.settings import RunConfig
from dhr.method.base import shares
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.ops.upsample import resize, upsampled_labels
from dhr.prompts import Propose

Make = Callable[[np.ndarray, int], Propose]
PREDICTORS: dict[str, Make] = {
    "oracle": oracle,
    "oracle, whole instances": partial(oracle, erosion=0.0, merging=0.0),
    "random blobs": lambda truth, seed: bad(truth.shape, seed, blobs),
    "random rectangles": lambda truth, seed: bad(truth.shape, seed, rectangle),
}
"""Makers of networks from the ground truth of a photograph and a seed."""


def corrected(view: View, scores: Tensor, config: RunConfig, propose: Propose | None) -> Tensor:
    """Scores of the photograph's size, after the CRF or, with a network, after `sam`."""
    image = view.maps.images
    fine = resize(scores, (image.shape[-2], image.shape[-1]))
    kind = "crf" if propose is None else "sam"
    return shares(BOUNDARIES[kind](config.boundary, Guide(propose=propose))(image, fine))


def working(truth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The ground truth at the size of the working image."""
    return interpolate(torch.from_numpy(truth)[None, None].float(), size, mode="nearest-exact")[0, 0].byte().numpy()


def main() -> None:
    """Train, look, correct, score, print, write."""
    parser = maps_parser(__doc__)
    parser.add_argument("--classifier", type=Path, help="a trained classifier, instead of training one")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()

    call = ["run", "--data", str(options.data), "--out", str(options.cache), "--config", str(options.config)]
    if options.classifier is not None:
        call += ["--classifier.file", str(options.classifier)]
    config, data = run_config(call), FolderDataSet(options.data, options.split)
    cache = Cache(options.cache, data, config)
    cache.fill()
    cache.look()
    tallies: dict[tuple[str, int], Tally] = {("crf", 0): Tally(data.classes, RESAMPLES)}
    tallies |= {(name, seed): Tally(data.classes, RESAMPLES) for name in PREDICTORS for seed in range(options.seeds)}
    method = rebalanced(DEFAULT, config)
    for number, view in enumerate(cache.views()):
        scores = method(view).scores
        size = (view.maps.images.shape[-2], view.maps.images.shape[-1])
        truth = working(view.truth, size)
        for (name, seed), tally in tallies.items():
            propose = PREDICTORS[name](truth, 1000 * seed + number) if name in PREDICTORS else None
            fine = corrected(view, scores, config, propose)
            tally.add(view.sample, upsampled_labels(fine[0], view.ids, view.truth.shape).numpy(), view.truth)
    scored = {key: columns(tally.scores()) for key, tally in tallies.items()}
    rows: list[dict[str, Any]] = [{"correction": name, "seed": seed, **row} for (name, seed), row in scored.items()]
    result: dict[str, Any] = {
        "commit": commit(), "machine": machine(torch.device("cpu")), "photographs": len(cache.samples), "rows": rows,
        "worst": {
            name: max(rows[0]["miou"] - row["miou"] for row in rows if row["correction"] == name) for name in PREDICTORS
        },
    }  # fmt: skip
    names = ("miou", "minor_iou", "vanished", "boundary_f")
    for row in rows:
        print(f"{row['correction']:>24} {row['seed']} " + " ".join(f"{name} {row[name]:.2f}" for name in names))
    write_json(options.json, result)


if __name__ == "__main__":
    main()
