"""Students: trained, killed and resumed, by one process and by two; predictions; ONNX."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dhr.data import write_mask

TINY = (
    *("--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]"),
    *("--student-training.batch", "2", "--student-training.crop", "32"),
    *("--student-training.scale", "[0.8,1.5]", "--student-training.optimiser", "adamw"),
    *("--student-training.lr", "1e-3", "--student-training.start", "0.34"),
    *("--student-training.log-every", "1", "--student-training.boundary", "none"),
    *("--student-training.save-every", "1", "--student-training.look-every", "3"),
)
KILLS = 24


def train_arguments(case: Any, out: Path, *more: str, steps: int = 6) -> list[str]:
    """Arguments of ``dhr train`` on the masks of a finished run."""
    arguments = [*case.run()[1:], *TINY, "--student-training.steps", str(steps)]
    arguments[arguments.index("--out") + 1] = str(out)
    masks = ["--masks", str(case.out / "masks"), "--classifier.file", str(case.out / "classifier.safetensors")]
    return ["train", *arguments, *masks, *more]


def states(out: Path) -> dict[str, bytes]:
    """What must be the same however often a training was interrupted."""
    kept = {path.name: path.read_bytes() for path in (out / "training" / "checkpoints").iterdir()}
    return {**kept, "student": (out / "student.safetensors").read_bytes()}


def losses(out: Path) -> np.ndarray:
    """L_cls and L_seg of each step, and crops that taught nothing."""
    with (out / "training" / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    return np.array([[float(row[name]) for name in ("L_cls", "L_seg", "empty")] for row in rows])


@dataclass(frozen=True)
class Learned:
    """A training that nobody disturbed."""

    case: Any
    out: Path
    moments: tuple[str, ...]


@pytest.fixture(scope="module")
def learned(forks: Any, _finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    root = tmp_path_factory.mktemp("learned")
    traces = []
    for workers in ("1", "3"):
        arguments = train_arguments(_finished, root / workers, "--student-training.workers", workers)
        ended = forks(arguments, watch="moments")
        assert ended.code == 0, ended.err
        traces.append(ended.trace)
    assert states(root / "1") == states(root / "3") and traces[0] == traces[1]
    return Learned(_finished, root / "1", traces[0])


def test_what_a_training_leaves(learned: Learned) -> None:
    assert len(losses(learned.out)) == 6
    assert (losses(learned.out)[:, 1] > 0).all()
    pictures = sorted(path.name for path in (learned.out / "training" / "pictures").iterdir())
    assert pictures == ["step-00000003.png", "step-00000006.png"]
    with Image.open(learned.out / "training" / "pictures" / pictures[0]) as picture:
        assert picture.size == (4 * 32, 4 * 32)
    assert list((learned.out / "training" / "tensorboard").iterdir())
    assert sorted(name for name in states(learned.out) if name.startswith("step")) == [
        "step-00000005.safetensors",
        "step-00000006.safetensors",
    ]


@pytest.mark.parametrize("index", range(KILLS))
def test_a_killed_training_ends_the_same(index: int, learned: Learned, forks: Any, tmp_path: Path) -> None:
    number = 1 + index * len(learned.moments) // KILLS
    arguments = train_arguments(learned.case, tmp_path / "out")
    killed = forks(arguments, watch="moments", kill_at=number)
    assert killed.code == -signal.SIGKILL, killed.err
    resumed = forks(arguments)
    assert resumed.code == 0, f"killed {killed.trace[-1]}: {resumed.err}"
    assert states(tmp_path / "out") == states(learned.out)
    np.testing.assert_array_equal(losses(tmp_path / "out"), losses(learned.out))
    drawn = [sorted((out / "training" / "pictures").iterdir()) for out in (tmp_path / "out", learned.out)]
    assert [path.read_bytes() for path in drawn[0]] == [path.read_bytes() for path in drawn[1]]
    told, expected = (json.loads((out / "run.json").read_bytes()) for out in (tmp_path / "out", learned.out))
    assert all(told[name] == expected[name] for name in ("survey", "batch", "fitted", "photographs", "notes"))


@pytest.mark.parametrize("index", range(3))
def test_a_training_that_is_asked_to_end_goes_on(index: int, learned: Learned, forks: Any, tmp_path: Path) -> None:
    arguments = train_arguments(learned.case, tmp_path / "out")
    moment = (1 + index) * len(learned.moments) // 4
    asked = forks(arguments, watch="moments", kill_at=moment, kill_by=signal.SIGTERM)
    assert asked.code == 143, asked.err
    assert asked.err == "dhr: ended by SIGTERM; the same command goes on where it stopped\n"
    resumed = forks(arguments)
    assert resumed.code == 0, resumed.err
    assert states(tmp_path / "out") == states(learned.out)


def test_a_training_is_deterministic(_finished: Any, dhr: Any, tmp_path: Path) -> None:
    torch.use_deterministic_algorithms(False)
    assert dhr(train_arguments(_finished, tmp_path / "out", steps=1)).code == 0
    assert torch.are_deterministic_algorithms_enabled()


def test_two_processes_have_the_losses_of_one(_finished: Any, forks: Any, tmp_path: Path) -> None:
    """Twenty steps of a batch of 4, by one process and by two (gloo); the encoder's batch statistics are frozen."""
    classifier = str(_finished.out / "classifier.safetensors")
    more = ("--wss.weights", classifier)  # any weights: those of --classifier.file win
    more += ("--student-training.batch", "4", "--student-training.save-every", "20")
    one, two = (train_arguments(_finished, tmp_path / out, *more, steps=20) for out in ("one", "two"))
    ended = forks(one)
    assert ended.code == 0, ended.err
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "dhr", *two],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [losses(tmp_path / out) for out in ("one", "two")]
    assert len(found[0]) == 20
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)


def test_masks_that_do_not_fit_are_left_out(finished: Any, dhr: Any, tmp_path: Path, one_line: Any) -> None:
    masks = sorted((finished.out / "masks").glob("*.png"))
    write_mask(masks[0], np.full((48, 64), 200, np.uint8))
    write_mask(masks[1], np.zeros((48, 63), np.uint8))
    masks[2].unlink()
    ended = dhr(train_arguments(finished, tmp_path / "student", steps=1))
    assert ended.code == 1
    assert "got 200 in 3072 pixels" in ended.out
    assert "differ in size: 63x48 and 64x48" in ended.out
    assert "it has no mask" in ended.out
    for mask in masks[3:]:
        mask.unlink()
    for mask in (finished.out / "masks").rglob("*.png"):
        mask.unlink()
    one_line(dhr(train_arguments(finished, tmp_path / "none", steps=1)), "no photograph has a mask")


@pytest.fixture
def one_line() -> Callable[..., None]:
    """Asserts that a command ended with 2 and one line, which holds some words."""

    def check(ended: Any, *words: str) -> None:
        assert ended.code == 2, ended
        assert len(ended.err.strip().splitlines()) == 1
        for word in words:
            assert word in ended.err

    return check


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            ("--student-training.lr", "1e30", "--student-training.start", "1.0"),
            ("diverged", "--student-training.lr", "checkpoint"),
        ),
        (
            ("--student-training.batch", "3", "--student-training.accumulate", "2"),
            ("--student-training.batch", "multiple"),
        ),
        (("--student-training.ema", "1.0"), ("--student-training.ema",)),
        (("--uss.kind", "none"), ("uss.kind",)),
    ],
)
def test_what_cannot_work_is_said_in_one_line(
    settings: tuple[str, ...], words: tuple[str, ...], _finished: Any, dhr: Any, tmp_path: Path, one_line: Any
) -> None:
    one_line(dhr(train_arguments(_finished, tmp_path / "out", *settings)), *words)
    for checkpoint in (tmp_path / "out" / "training" / "checkpoints").glob("*"):
        assert int(checkpoint.stem.removeprefix("step-")) < 6


def test_without_masks_and_recursion_there_is_nothing_to_learn(
    _finished: Any, dhr: Any, tmp_path: Path, one_line: Any
) -> None:
    arguments = train_arguments(_finished, tmp_path / "out", "--no-student-training.recursion")
    at = arguments.index("--masks")
    one_line(dhr([*arguments[:at], *arguments[at + 2 :]]), "--masks")


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("--no-student-training.teacher", "--student-training.optimiser", "sgd"),
        ("--student.maps", "cam"),
        ("--student-training.accumulate", "2", "--student-training.save-memory"),
        ("--student-training.batch", "8"),
        ("--no-student-training.recursion",),
        ("--student.decoder", "deeplabv2", "--student.norm", "batch"),
    ],
)
def test_every_way_of_training_works(settings: tuple[str, ...], _finished: Any, dhr: Any, tmp_path: Path) -> None:
    ended = dhr(train_arguments(_finished, tmp_path / "out", *settings, steps=2))
    assert ended.code == 0, ended.err
    assert np.isfinite(losses(tmp_path / "out")).all()


def test_another_training_is_refused(learned: Learned, dhr: Any, one_line: Any) -> None:
    before = states(learned.out)
    one_line(dhr(train_arguments(learned.case, learned.out, "--student-training.lr", "1e-2")), "another run", "lr")
    assert states(learned.out) == before


def test_a_run_with_recursion(fresh: Any, dhr: Any, made: Any) -> None:
    arguments = fresh.run("--recursion", *TINY, "--student-training.steps", "4")
    ended = dhr(arguments)
    assert ended.code == 0, ended.err
    names = {path.relative_to(fresh.out / "masks") for path in (fresh.out / "masks").rglob("*.png")}
    assert names == {path.relative_to(fresh.out / "first/masks") for path in (fresh.out / "first/masks").rglob("*.png")}
    assert len(names) == 5
    assert [row["name"] for row in fresh.record()["stages"]][-3:] == ["masks", "student", "second masks"]
    before = made(fresh.out)
    next((fresh.out / "masks").glob("*.png")).unlink()
    assert dhr(arguments).code == 0
    assert made(fresh.out) == before
    assert dhr(fresh.evaluate()).code == 0


def test_predictions(learned: Learned, fresh: Any, dhr: Any, labels: Any, tmp_path: Path, one_line: Any) -> None:
    student, images = learned.out / "student.safetensors", fresh.data / "images"
    call = ["predict", "--student", student, "--images", images, "--scales", "[1.0,1.5]"]
    ended = dhr([*call, "--out", tmp_path / "plain"])
    assert ended.code == 0, ended.err
    plain = sorted((tmp_path / "plain" / "masks").rglob("*.png"))
    assert len(plain) == 5
    assert all(labels(path).shape == (48, 64) for path in plain)
    record = json.loads((tmp_path / "plain" / "run.json").read_text())
    names = (fresh.data / "classes.txt").read_text().split()
    assert (record["classes"], record["background"]) == (names, names[0] == "background")
    items = [json.loads(path.read_text()) for path in (tmp_path / "plain" / "items").rglob("*.json")]
    assert len(items) == 5 and all(0 < item["quality"] <= 1 for item in items)
    assert all(sum(item["ratios"].values()) == pytest.approx(1) for item in items)
    titles = re.findall(r"<h3><bdi>(.*?)</bdi>", (tmp_path / "plain" / "report.html").read_text())
    by_quality = sorted(items, key=lambda item: (item["quality"], item["image"]))
    stems = [Path(item["image"]).stem for item in by_quality]
    assert [Path(title.replace("<wbr>", "")).name for title in titles] == stems  # the least certain first

    (images / "broken.png").write_bytes(b"no photograph")
    for boundary in ("none", "crf"):
        out = tmp_path / boundary
        ended = dhr([*call, "--out", out, "--tags", fresh.data / "tags.csv", "--boundary", boundary])
        assert ended.code == 1
        assert "broken.png" in ended.out
        names = (fresh.data / "classes.txt").read_text().split()
        for line in (fresh.data / "tags.csv").read_text().splitlines()[1:]:
            image, tags = line.split(",")
            ids = {names.index(tag) for tag in tags.split(";")} | {0}
            assert set(np.unique(labels((out / "masks" / image).with_suffix(".png")))) <= ids
    one_line(dhr([*call, "--out", tmp_path / "plain", "--no-flip"]), "another run", "flip")
    one_line(
        dhr(["predict", "--student", plain[0], "--images", images, "--out", tmp_path / "x"]), "not a usable student"
    )
    one_line(dhr(["predict", "--student", student, "--images", tmp_path / "x", "--out", tmp_path / "y"]), "no")


@pytest.mark.parametrize(
    ("value", "boundary"), [(float("nan"), "none"), (float("inf"), "none"), (3e38, "none"), (3e38, "crf")]
)
def test_a_student_of_no_numbers_makes_no_masks(
    learned: Learned, fresh: Any, dhr: Any, one_line: Any, value: float, boundary: str, tmp_path: Path
) -> None:
    """Weights that are none are refused as a whole; those that overflow, photograph by photograph."""
    with safe_open(learned.out / "student.safetensors", framework="pt") as file:
        header, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for key in state:
        if key.endswith("weight") and state[key].ndim == 4:
            state[key] = torch.full_like(state[key], value)
    save_file(state, tmp_path / "student.safetensors", header)
    call = ["predict", "--student", tmp_path / "student.safetensors", "--images", fresh.data / "images"]
    ended = dhr([*call, "--boundary", boundary, "--out", tmp_path / "out"])
    if value == 3e38:
        assert (ended.code, ended.out.count("NaN or infinity")) == (1, 1), ended
        skipped = json.loads((tmp_path / "out" / "run.json").read_bytes())["skipped"]
        assert len(skipped) == 5 and all("NaN or infinity" in one["reason"] for one in skipped)
    else:
        one_line(ended, "weight holds NaN or infinity")
    assert not list((tmp_path / "out").rglob("masks/*.png"))


def test_onnx_computes_the_same(learned: Learned, dhr: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    out = tmp_path / "student.onnx"
    ended = dhr(
        ["onnx", "--student", learned.out / "student.safetensors", "--file", out, "--height", 40, "--width", 56]
    )
    assert ended.code == 0, ended.err
    model = onnx.load(out)
    onnx.checker.check_model(model)
    properties = {one.key: one.value for one in model.metadata_props}
    assert properties["classes"].splitlines() == (learned.case.data / "classes.txt").read_text().split()


def test_recursion_has_a_survey_of_the_masks(learned: Learned, dhr: Any, tmp_path: Path) -> None:
    record = json.loads((learned.out / "run.json").read_bytes())
    found = load_file(learned.out / "survey.safetensors")
    assert [row["name"] for row in record["stages"]] == ["models", "scan", "survey", "student"]
    assert record["survey"]["trust"] == round(float(found["trust"]), 3)
    assert not (learned.out / "work" / "survey").exists(), "its drafts are of no further use"
    without = tmp_path / "without"
    assert dhr(train_arguments(learned.case, without, "--method.survey", "0")).code == 0
    assert not (without / "survey.safetensors").exists() and states(without) != states(learned.out)
    alone = [one for one in train_arguments(learned.case, tmp_path / "alone") if one != "--masks"]
    alone.remove(str(learned.case.out / "masks"))
    assert dhr(alone).code == 0
    maps = load_file(tmp_path / "alone" / "survey.safetensors")
    assert not torch.equal(maps["weights"], found["weights"]), "without masks it is of the maps"


def test_the_survey_does_not_learn_from_masks_that_are_refused(learned: Learned, dhr: Any, tmp_path: Path) -> None:
    shutil.copytree(learned.case.out / "masks", tmp_path / "masks")
    turned = next((tmp_path / "masks").glob("*.png"))
    write_mask(turned, np.asarray(Image.open(turned)).T.copy())
    arguments = train_arguments(learned.case, tmp_path / "turned")
    arguments[arguments.index("--masks") + 1] = str(tmp_path / "masks")
    assert dhr(arguments).code == 1
    with_it = load_file(tmp_path / "turned" / "survey.safetensors")
    turned.unlink()
    arguments[arguments.index("--out") + 1] = str(tmp_path / "without")
    assert dhr(arguments).code in (0, 1)
    without = load_file(tmp_path / "without" / "survey.safetensors")
    assert all(torch.equal(value, without[name]) for name, value in with_it.items())


def test_a_dry_run_names_the_survey(learned: Learned, dhr: Any, tmp_path: Path) -> None:
    ended = dhr(train_arguments(learned.case, tmp_path / "out", "--dry-run"))
    assert ended.code == 0 and "survey" in ended.out
    ended = dhr(train_arguments(learned.case, tmp_path / "out", "--dry-run", "--method.survey", "0"))
    assert ended.code == 0 and "survey" not in ended.out.partition("stage")[2]
