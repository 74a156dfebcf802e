"""Scores by number of photographs: ``python benchmarks/few.py --data DIR --config C --json F``.

Of each number, some draws are made at random; draw N has seed N, also for the training. A classifier is trained on the
tags of the drawn photographs alone. Their masks are scored, all with the CRF: CAMs, `paper` and `default`. Where all
photographs are drawn, draws differ in the seed of the training. Trained networks and maps are kept in ``--cache``.

Fields of each row: `photographs`, `method`, `draws`; `miou`, `minor_iou`, `vanished` (percent, means over the draws);
`se` and `minor_se` (standard errors, null for one draw), `all` (the scores of each draw). `chosen` has what the data
decided in each draw: the trust of the survey, and its weight.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from common import commit, machine, maps_parser, run_config
from quality import DEFAULT, Cache, columns, methods, score
from views import Pictures

from dhr.data.folder import FolderDataSet
from dhr.data.samples import DataSet
from dhr.files import write_json
from dhr.job.settings import RunConfig

METHODS = ("cam", "paper", "default")
SCORES = ("miou", "minor_iou", "vanished")


def main() -> None:
    """Score all numbers of photographs; print and keep the figures after each."""
    parser = maps_parser(__doc__)
    parser.add_argument("--photographs", type=int, nargs="+", default=[20, 40, 80, 160, 331])
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    call = ["run", "--data", str(options.data), "--out", str(options.cache), "--config", str(options.config)]
    config, whole = run_config(call), FolderDataSet(options.data, options.split)
    found: dict[str, Any] = {"commit": commit(), "machine": machine(torch.device("cpu")), "rows": [], "chosen": []}
    for count in options.photographs:
        if count > len(whole.samples):
            parser.error(f"--photographs: expected at most {len(whole.samples)}, got {count}")
        scored: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
        for draw in range(options.draws):
            of_draw, chosen = drawn(whole, count, draw, options.cache, replace(config, seed=draw))
            found["chosen"].append({"photographs": count, "draw": draw, **chosen})
            for name, scores in of_draw.items():
                scored[name].append(scores)
        for name, several in scored.items():
            found["rows"].append(row := {"photographs": count, "method": name, **mean(several)})
            print(
                f"{count:5} photographs  {name:8} mIoU {row['miou']:5.1f} +- {row['se']}   "
                f"minor IoU {row['minor_iou']:5.1f} +- {row['minor_se']}   vanished {row['vanished']:4.1f}",
                flush=True,
            )
        write_json(options.json, found)


def drawn(
    whole: DataSet, count: int, draw: int, cache: Path, config: RunConfig
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Train on a draw, and score its masks; also return what the data decided."""
    names = Random(draw).sample(sorted(sample.name for sample in whole.samples), count)
    data = Pictures(whole, [sample for sample in whole.samples if sample.name in {*names}])
    seen = Cache(cache, data, config)
    seen.fill()
    seen.look()
    known = methods(config, data.classes.background)
    stage = f"{count} photographs, draw {draw}"
    rows, _ = score(seen, data, {name: known[name] for name in METHODS}, ["crf"], config, stage)
    scores = {name: columns(row.tally.scores()) for (name, _), row in rows.items()}
    survey = seen.survey(DEFAULT)
    chosen = {"trust": round(float(survey.trust), 3), "weight": round(survey.weighed(DEFAULT).survey, 3)}
    return {name: {key: one[key] for key in SCORES} for name, one in scores.items()}, chosen


def mean(several: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return means and standard errors over draws; the error of a single draw is unknown."""
    found: dict[str, Any] = {"draws": len(several)}
    for key in SCORES:
        values = [one[key] for one in several]
        found[key] = round(statistics.fmean(values), 2)
        if key != "vanished":
            error = round(statistics.stdev(values) / len(values) ** 0.5, 2) if len(values) > 1 else None
            found["se" if key == "miou" else "minor_se"] = error
    return {**found, "all": [{key: round(value, 2) for key, value in one.items()} for one in several]}


if __name__ == "__main__":
    main()
