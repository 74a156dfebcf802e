"""What recursion gives: ``python benchmarks/recursive.py --data DIR --config C --json F``.

Masks of the training photographs before and after recursion, and students on photographs without tags, each trained
with the same steps and seed: the one of the recursion (``dhr``), and three that learn finished masks: CAMs with CRF
(``cam``), those after recursion (``final``), truth (``truth``). Everything lies in ``--work``; what is there already is
not made again.
"""

import argparse
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import commit, machine, run_config
from torch import Tensor

from dhr import job
from dhr.cli.progress import Bars
from dhr.cli.terminal import Terminal
from dhr.data.folder import FolderDataSet
from dhr.data.images import write_mask
from dhr.data.samples import DataSet
from dhr.evaluate import Scores, evaluate
from dhr.files import write_json
from dhr.job.predict import predict
from dhr.job.predict_config import PredictConfig
from dhr.job.settings import RunConfig
from dhr.job.train import train as train_student
from dhr.method.base import add_background
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.ops.upsample import resize, upsampled_labels
from dhr.records.members import to_json


def cam_masks(data: DataSet, first: Path, out: Path, config: RunConfig) -> None:
    """The CAMs that the run began with, and a CRF."""
    for sample in data.samples:
        target = out / f"{sample.name}.png"
        if target.is_file():
            continue
        if not sample.tags:
            write_mask(target, np.zeros(data.read_image(sample).shape[:2], np.uint8))
            continue
        with np.load(first / "cams" / f"{sample.name}.npz", allow_pickle=False) as file:
            maps = torch.from_numpy(file["cams"]).float().unsqueeze(0)
        rgb = data.read_image(sample)
        if data.classes.background:
            maps, _ = add_background(maps, torch.ones(maps.shape[:2], dtype=torch.bool), config.method.background_level)
        image = torch.from_numpy(rgb).permute(2, 0, 1).unsqueeze(0) / 255
        scores = resize(maps, (rgb.shape[0], rgb.shape[1]))
        fine: Tensor = BOUNDARIES["crf"](config.boundary, Guide(image, None))(image, scores)
        ids = torch.tensor([*range(data.classes.foreground.start), *sample.tags], dtype=torch.uint8)
        write_mask(target, upsampled_labels(fine[0], ids, (rgb.shape[0], rgb.shape[1])).numpy())


def truth_masks(data: DataSet, out: Path) -> None:
    """The truth, as a folder of masks."""
    for sample in data.samples:
        write_mask(out / f"{sample.name}.png", data.read_ground_truth(sample))


def segmented(student: Path, data: FolderDataSet, work: Path, config: PredictConfig) -> Scores:
    """Scores of a student on photographs whose tags it is not told."""
    images = work / "images"
    for sample in data.samples:
        place = images / f"{sample.name}{Path(sample.source).suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sample.source, place)
    out = work / student.parent.name
    with show() as bars:
        predict(student, images, out, config, progress=bars)
    return evaluate(data, out / "masks")


def show() -> Bars:
    """Progress on standard error."""
    return Bars(Terminal(file=sys.stderr))


def main() -> None:
    """Train, score, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of a run with recursion")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--train", default="train", help="split to train on")
    parser.add_argument("--val", default="val", help="split to score the students on")
    parser.add_argument("--work", type=Path, default=Path("recursive-work"), help="folder of runs and students")
    given = parser.parse_args()
    begun = time.perf_counter()
    call = ["run", "--data", str(given.data), "--out", str(given.work), "--config", str(given.config)]
    config = run_config(call)
    if not config.recursion:
        parser.error(f"{given.config} must say `recursion: true`")
    train, val = FolderDataSet(given.data, given.train), FolderDataSet(given.data, given.val)

    run = given.work / "run"
    with show() as bars:
        outcome = job.run(train, run, config, progress=bars)
    cam_masks(train, run / "first", given.work / "masks" / "cam", config)
    truth_masks(train, given.work / "masks" / "truth")
    students = {"dhr": run / "student.safetensors"}
    plain = replace(
        config,
        recursion=False,
        classifier=replace(config.classifier, file=run / "classifier.safetensors"),
        student_training=replace(config.student_training, recursion=False),
    )
    finished = {"cam": given.work / "masks" / "cam", "final": run / "masks", "truth": given.work / "masks" / "truth"}
    for name, masks in finished.items():
        with show() as bars:
            students[name] = train_student(train, given.work / name, plain, masks=masks, progress=bars).student
    look = PredictConfig(scales=config.wss.scales, flip=True)
    scores = {name: segmented(path, val, given.work / "predictions" / name, look) for name, path in students.items()}
    before, after = (evaluate(train, run / part / "masks") for part in ("first", "."))
    cam = evaluate(train, given.work / "masks" / "cam")
    values = {f"student_{name}": 100 * one.miou for name, one in scores.items()}
    low, high = values["student_cam"], values["student_truth"]

    def closed(name: str) -> float | None:
        return 100 * (values[f"student_{name}"] - low) / (high - low) if high > low else None

    result: dict[str, Any] = {
        "benchmark": "recursive",
        "masks_cam": 100 * cam.miou,
        "masks_before": 100 * before.miou,
        "masks_after": 100 * after.miou,
        "minor_before": 100 * before.minor_iou,
        "minor_after": 100 * after.minor_iou,
        **values,
        "of_supervised": 100 * values["student_dhr"] / high,
        "gap_closed": closed("dhr"),
        "of_supervised_final": 100 * values["student_final"] / high,
        "gap_closed_final": closed("final"),
        "stages": [to_json(one) for one in outcome.stages],
        "seconds": time.perf_counter() - begun,
        "commit": commit(),
        "machine": machine(torch.device("cpu")),
    }
    for key, value in result.items():
        if isinstance(value, float):
            print(f"{key:20} {value:8.1f}")
    write_json(given.json, result)


if __name__ == "__main__":
    main()
