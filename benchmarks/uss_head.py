"""What a head makes of features: ``python benchmarks/uss_head.py --data DIR --config C --json F``.

Heads are trained on the photographs of ``--train``, by ``dhr train-head`` and without any label. Their codes and the
raw features below, as ``dhr run`` sees them, are then probed on ``--val``: clusters fitted to ``--train`` without
labels and matched with the classes, over several seeds; and a linear classifier that learns from ``--train``'s truth.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from common import commit, machine, run_config
from probe import Map, Truth, cluster_centres, cluster_probe, drawn_cells, fit_linear, linear_probe

from dhr.cli.progress import Bars
from dhr.cli.terminal import Terminal
from dhr.data.folder import FolderDataSet
from dhr.data.transforms import working_image
from dhr.features.compute import uss_maps
from dhr.files import write_json
from dhr.job.head import train_head
from dhr.job.head_config import HeadTraining
from dhr.job.settings import RunConfig
from dhr.models.uss import UssConfig, build_uss

Row = dict[str, Any]


@torch.no_grad()
def seen(data: FolderDataSet, uss: UssConfig, config: RunConfig) -> tuple[list[Map], list[Truth]]:
    """Features of every photograph on the grid of a run, and truth."""
    model = build_uss(uss)
    maps, truths = [], []
    for sample in data.samples:
        image = working_image(data.read_image(sample), config.image.long_side).unsqueeze(0)
        maps.append(uss_maps(image, model, uss, config.image.grid_stride)[0])
        truths.append(np.asarray(data.read_ground_truth(sample)))
    return maps, truths


def probed(name: str, uss: UssConfig, config: RunConfig, data: tuple[FolderDataSet, FolderDataSet], seeds: int) -> Row:
    """Both probes of features: fitted to the first data set, scored on the second."""
    classes = len(data[0].classes.names)
    (learnt, labels), (scored, truths) = (seen(one, uss, config) for one in data)
    cells = drawn_cells(learnt, 200)
    found = [
        cluster_probe(cluster_centres(cells, classes, seed=seed), scored, truths, classes) for seed in range(seeds)
    ]
    mious = [100 * one.miou for one in found]
    return {
        "features": name,
        "channels": len(scored[0]),
        "cluster_miou": mean(mious),
        "spread": stdev(mious) if len(mious) > 1 else 0.0,
        "cluster_accuracy": 100 * mean(one.accuracy for one in found),
        "linear_miou": 100 * linear_probe(fit_linear(learnt, labels, classes), scored, truths, classes).miou,
    }


def main() -> None:
    """Train, probe, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of a run, whose section uss is taken")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument(
        "--kinds", nargs="*", default=["stego", "cause"], help="heads to train; what --work holds stays"
    )
    parser.add_argument("--train", default="train")
    parser.add_argument("--val", default="val")
    parser.add_argument("--seeds", type=int, default=5, help="of the clusters")
    parser.add_argument("--work", type=Path, default=Path("uss-head-work"))
    given = parser.parse_args()
    call = ["run", "--data", str(given.data), "--out", str(given.work / "run"), "--config", str(given.config)]
    config = run_config(call)
    data = (FolderDataSet(given.data, given.train), FolderDataSet(given.data, given.val))
    rows: list[Row] = []
    print("| features | channels | cluster probe mIoU | spread | accuracy | linear probe mIoU | training, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in ("raw", *given.kinds):
        uss, begun = config.uss, time.perf_counter()
        if name != "raw":
            with Bars(Terminal(stderr=True)) as bars:
                head = train_head(
                    given.data, given.train, given.work / name, HeadTraining(name, config.uss), progress=bars
                ).head
            uss = replace(config.uss, kind=name, head=str(head))
        seconds = time.perf_counter() - begun
        rows.append({**probed(name, uss, config, data, given.seeds), "training_s": seconds})
        values = (f"{value:.1f}" if isinstance(value, float) else str(value) for value in rows[-1].values())
        print("| " + " | ".join(values) + " |", flush=True)
        about = {"commit": commit(), "machine": machine(torch.device("cpu"))}
        write_json(given.json, {"benchmark": "uss_head", "rows": rows, **about})


if __name__ == "__main__":
    main()
