"""Masks with every model whose weights are here: ``python benchmarks/models.py --data DIR --config C --json F``.

For each pair of USS and WSS model, ``dhr run`` makes the masks of a split, and they are scored against its truth. The
settings are those of ``--config`` but for the model; a classifier that is trained for one row serves all rows with the
same WSS model. What ``--work`` holds already is not made again. ``--head NAME=SETTING=VALUE,...`` adds a USS model.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import commit, machine, run_config
from scored import RESAMPLES, cell, columns

from dhr import job
from dhr.cli.progress import Bars
from dhr.cli.terminal import Terminal
from dhr.data.folder import FolderDataSet
from dhr.evaluate import EvaluateConfig, evaluate
from dhr.files import write_json
from dhr.records.members import to_json


@dataclass(frozen=True)
class Model:
    """A model, and the settings that choose it beside those of the configuration."""

    name: str
    settings: tuple[str, ...] = ()


def models(weights: Path) -> tuple[list[Model], list[Model]]:
    """USS and WSS models; the first of each are those of the configuration."""
    vit = str(weights / "vit_tiny_patch16_224.safetensors")
    uss = [Model("ViT-Tiny, block 9"), Model("colour", ("--uss.kind", "colour"))]
    tiny = ("--wss.backbone", "vit_tiny_patch16_224", "--wss.weights", vit, "--wss.options", "{}")
    wss = [
        Model("MobileNetV2, CAM"),
        Model("MobileNetV2, LayerCAM", ("--wss.cam", "layercam")),
        Model("ViT-Tiny, CAM", tiny),
        Model("ViT-Tiny, attention", (*tiny, "--wss.cam", "attention")),
    ]
    return uss, wss


def main() -> None:
    """Make masks, score them, print a table, write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("../shared/weights"), help="folder of the weights")
    parser.add_argument("--head", action="append", default=[], help="a further USS model: NAME=SETTING=VALUE,...")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("models-work"))
    given = parser.parse_args()
    data = FolderDataSet(given.data, given.split)
    uss, wss = models(given.weights)
    for head in given.head:
        name, settings = head.split("=", 1)
        parts = [part for setting in settings.split(",") for part in f"--uss.{setting}".split("=", 1)]
        uss.append(Model(name, tuple(parts)))
    pairs = [(one, wss[0]) for one in uss] + [(uss[0], one) for one in wss[1:]]
    rows: list[dict[str, Any]] = []
    classifiers: dict[tuple[str, ...], Path] = {}
    print("| USS | WSS | mIoU | minor IoU | vanished | boundary F |\n| --- | --- | --- | --- | --- | --- |")
    for one, other in pairs:
        out = given.work / f"{one.name} with {other.name}".replace(", ", "-").replace(" ", "-")
        call = ["run", "--data", str(given.data), "--split", given.split, "--out", str(out)]
        call += ["--config", str(given.config), *one.settings, *other.settings]
        network = (
            other.settings[: other.settings.index("--wss.cam")] if "--wss.cam" in other.settings else other.settings
        )
        if network in classifiers:
            call += ["--classifier.file", str(classifiers[network])]
        config = run_config(call)
        with Bars(Terminal(stderr=True)) as bars:
            outcome = job.run(data, out, config, progress=bars)
        classifiers.setdefault(network, out / "classifier.safetensors")
        values = columns(evaluate(data, out / "masks", EvaluateConfig(resamples=RESAMPLES)))
        rows.append({"uss": one.name, "wss": other.name, **values, "stages": [to_json(one) for one in outcome.stages]})
        shown = (cell(values, score) for score in ("miou", "minor_iou", "vanished", "boundary_f"))
        print(f"| {one.name} | {other.name} | {' | '.join(shown)} |", flush=True)
        about = {
            "benchmark": "models",
            "split": given.split,
            "commit": commit(),
            "machine": machine(torch.device("cpu")),
        }
        write_json(given.json, {"rows": rows, **about})


if __name__ == "__main__":
    main()
