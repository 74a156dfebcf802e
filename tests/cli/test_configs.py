"""The recipes of the paper, each with one step on generated photographs that have its classes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from dhr.api.settings import run_settings
from dhr.data import write_mask

PAPER = Path(__file__).parents[2] / "configs" / "paper"
CLASSES = {"voc": (21, True), "coco": (81, True), "context": (59, False), "ade": (150, False), "stuff": (171, False)}
"""Number of classes, the background counted, and whether there is one."""
SMALL = (
    *("--student-training.steps", "1", "--student-training.batch", "2"),
    *("--student-training.crop", "32", "--image.long-side", "40"),
    *("--student-training.look-every", "0", "--student-training.log-every", "1"),
)
JOINT = (
    *("--wss.backbone", "test_resnet", "--wss.weights", "none", "--wss.scales", "[1.0]"),
    *("--classifier.epochs", "1", "--classifier.batch", "2", "--classifier.crop", "32"),
    *("--uss.kind", "colour", "--uss.weights", "none", "--uss.scales", "[1.0]"),
    *("--student.width", "8", "--student.low-level", "4"),
    *("--student-training.boundary", "none", "--student-training.start", "0.0"),
)


def generated(root: Path, classes: int, background: bool) -> Path:
    """Two photographs in blocks of colour, one of the last class; with truth."""
    first = int(background)
    names = [*(["background"] if background else []), *(f"class {index}" for index in range(first, classes))]
    shown = ((first, classes - 1), (first + 1, first + 2))
    rng = np.random.default_rng(0)
    lines = ["image,tags"]
    for index, tags in enumerate(shown):
        mask = np.full((36, 40), tags[0], np.uint8)
        mask[:, 20:] = tags[1]
        if background:
            mask[:8] = 0
        colours = rng.integers(0, 256, (classes, 3), dtype=np.uint8)
        (root / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours[mask]).save(root / "images" / f"{index}.png")
        write_mask(root / "truth" / f"{index}.png", mask)
        lines.append(f"{index}.png,{';'.join(names[tag] for tag in tags)}")
    (root / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return root


@pytest.mark.parametrize("network", ["resnet101", "swin_mask2former"])
@pytest.mark.parametrize("name", CLASSES)
def test_a_recipe_of_the_paper_takes_a_step(
    name: str, network: str, request: pytest.FixtureRequest, dhr: Any, tmp_path: Path
) -> None:
    classes, background = CLASSES[name]
    data, out = generated(tmp_path / "data", classes, background), tmp_path / "out"
    small = JOINT if network == "resnet101" else request.getfixturevalue("tiny_mask2former")
    call = ["train", "--data", data, "--masks", data / "truth", "--out", out]
    ended = dhr([*call, "--config", PAPER / f"{name}_{network}.yaml", *SMALL, *small])
    assert ended.code == 0, ended.err
    with safe_open(out / "student.safetensors", framework="np") as file:
        header = json.loads(file.metadata()["student"])
    assert (len(header["classes"]), header["background"]) == (classes, background)
    with (out / "training" / "log.csv").open(newline="", encoding="utf-8") as log:
        (row,) = csv.DictReader(log)
    assert all(np.isfinite(float(value)) for value in row.values())
    assert row["empty"] == "0"


def test_every_recipe_is_tried() -> None:
    assert {path.stem for path in PAPER.iterdir()} == {
        f"{name}_{network}" for name in CLASSES for network in ("resnet101", "swin_mask2former")
    }


@pytest.mark.parametrize("name", CLASSES)
def test_the_second_stage_is_that_of_mask2former(name: str) -> None:
    config, _ = run_settings(PAPER / f"{name}_swin_mask2former.yaml")
    joint = config.student_training
    assert (joint.optimiser, joint.lr * joint.new_lr, joint.lr) == ("adamw", pytest.approx(1e-4), 1e-5)
    assert (joint.weight_decay, joint.clip, joint.batch) == (0.05, 0.01, 16)
    assert config.mask2former.options["num_queries"] == 100
