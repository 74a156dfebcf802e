"""Scores by number of photographs: ``python benchmarks/few.py --data DIR --config C --json F``.

Of each number, some draws are made at random; draw N has seed N, also for the training. A classifier is trained on the
tags of the drawn photographs alone. Their masks are scored, all with the CRF: CAMs, `paper` and `default`. Where all
photographs are drawn, draws differ in the seed of the training. Trained networks and maps are kept in ``--cache``.

``--wrong 0 0.1 0.3`` also gives these shares of the photographs wrong tags: one of their tags is replaced by another
class, drawn at random. Ground truth stays as it is.

Fields of each row: `photographs`, `wrong`, `method`, `draws`; `miou`, `minor_iou`, `vanished` (percent, means over the
draws); `se` and `minor_se` (standard errors, null for one draw), `all` (the scores of each draw). `chosen` has what the
data decided in each draw: the trust of the survey, and its weight.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from common import commit, machine, maps_parser, run_config
from quality import DEFAULT, Cache, methods, score
from scored import columns
from views import Pictures

from dhr.data.folder import FolderDataSet
from dhr.data.samples import DataSet, Sample
from dhr.files import write_json
from dhr.job.settings import RunConfig

METHODS = ("cam", "paper", "default")
SCORES = ("miou", "minor_iou", "vanished")


def main() -> None:
    """Score all numbers of photographs; print and keep the figures after each."""
    parser = maps_parser(__doc__)
    parser.add_argument("--photographs", type=int, nargs="+", default=[20, 40, 80, 160, 331])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--wrong", type=float, nargs="+", default=[0.0], help="shares of photographs with a wrong tag")
    options = parser.parse_args()
    call = ["run", "--data", str(options.data), "--out", str(options.cache), "--config", str(options.config)]
    config, whole = run_config(call), FolderDataSet(options.data, options.split)
    found: dict[str, Any] = {"commit": commit(), "machine": machine(torch.device("cpu")), "rows": [], "chosen": []}
    for count in options.photographs:
        if count > len(whole.samples):
            parser.error(f"--photographs: expected at most {len(whole.samples)}, got {count}")
        for wrong in options.wrong:
            case = {"photographs": count, "wrong": wrong}
            scored: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
            for draw in range(options.draws):
                data = Pictures(whole, mistagged(whole, drawn(whole, count, draw), wrong, draw))
                of_draw, chosen = scores_of(data, options.cache, replace(config, seed=draw))
                found["chosen"].append({**case, "draw": draw, **chosen})
                for name, scores in of_draw.items():
                    scored[name].append(scores)
            for name, several in scored.items():
                found["rows"].append(row := {**case, "method": name, **mean(several)})
                print(
                    f"{count:5} photographs, {100 * wrong:2.0f} % wrong  {name:8} mIoU {row['miou']:5.1f} +- "
                    f"{row['se']}   minor IoU {row['minor_iou']:5.1f} +- {row['minor_se']}   vanished "
                    f"{row['vanished']:4.1f}",
                    flush=True,
                )
            write_json(options.json, found)


def drawn(whole: DataSet, count: int, draw: int) -> list[Sample]:
    """Draw photographs."""
    names = {*Random(draw).sample(sorted(sample.name for sample in whole.samples), count)}
    return [sample for sample in whole.samples if sample.name in names]


def mistagged(whole: DataSet, samples: Sequence[Sample], share: float, seed: int) -> list[Sample]:
    """Replace a tag of a share of the photographs by another class."""
    random = Random(seed)
    wrong = {sample.name for sample in random.sample(list(samples), math.ceil(share * len(samples)))}

    def changed(sample: Sample) -> Sample:
        others = [one for one in whole.classes.foreground if one not in sample.tags]
        if sample.name not in wrong or not sample.tags or not others:
            return sample
        lost = random.choice(sample.tags)
        return replace(sample, tags=tuple(sorted({*sample.tags} - {lost} | {random.choice(others)})))

    return [changed(sample) for sample in samples]


def scores_of(data: Pictures, cache: Path, config: RunConfig) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Train on photographs, and score their masks; also return what the data decided."""
    seen = Cache(cache, data, config)
    seen.fill()
    seen.look()
    known = methods(config, data.classes.background)
    rows, _ = score(seen, data, {name: known[name] for name in METHODS}, ["crf"], config, "masks")
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
