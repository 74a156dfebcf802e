"""A Mask2Former as a second stage: killed and resumed, by two processes; predictions; ONNX."""

import csv
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.data import write_mask

TRAINING = (
    *("--student-training.batch", "2", "--student-training.crop", "32"),
    *("--student-training.scale", "[0.8,1.5]", "--student-training.optimiser", "adamw"),
    *("--student-training.lr", "1e-3", "--student-training.new-lr", "1"),
    *("--student-training.clip", "0.01", "--student-training.log-every", "1"),
    *("--student-training.save-every", "1", "--student-training.look-every", "2", "--student-training.steps", "4"),
)
IMPORTS = ("transformers.models.mask2former.modeling_mask2former", "transformers.models.swin.modeling_swin")
KILLS = 8


def arguments(case: Any, out: Path, settings: tuple[str, ...], *more: str) -> list[str]:
    """Arguments of ``dhr train`` on true masks."""
    masks = ["--data", str(case.data), "--masks", str(case.data / "truth"), "--out", str(out)]
    return ["train", *masks, *settings, *TRAINING, *more]


def states(out: Path) -> dict[str, bytes]:
    """What must be the same however often a training was interrupted."""
    kept = {path.name: path.read_bytes() for path in (out / "training" / "checkpoints").iterdir()}
    return {**kept, "student": (out / "student.safetensors").read_bytes()}


def losses(out: Path) -> np.ndarray:
    """The three losses of each step, and crops that taught nothing."""
    with (out / "training" / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, len(rows) + 1))
    return np.array([[float(row[name]) for name in ("L_class", "L_mask", "L_dice", "empty")] for row in rows])


@dataclass(frozen=True)
class Learned:
    """A training that nobody disturbed."""

    case: Any
    out: Path
    moments: tuple[str, ...]


@pytest.fixture(scope="module")
def learned(
    forks: Any, scenes: Any, new_case: Any, tiny_mask2former: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Learned:
    root = tmp_path_factory.mktemp("learned")
    case = new_case(scenes(root / "data"), root / "out")
    ended = forks(arguments(case, case.out, tiny_mask2former), watch="moments", imports=IMPORTS)
    assert ended.code == 0, ended.err
    return Learned(case, case.out, ended.trace)


def test_what_a_training_leaves(learned: Learned) -> None:
    found = losses(learned.out)
    assert len(found) == 4
    assert np.isfinite(found).all() and (found[:, :3] > 0).all()
    assert (found[:, 3] == 0).all()
    assert sorted(states(learned.out)) == ["step-00000003.safetensors", "step-00000004.safetensors", "student"]
    assert sorted(path.name for path in (learned.out / "training" / "pictures").iterdir()) == [
        "step-00000002.png",
        "step-00000004.png",
    ]


@pytest.mark.parametrize("index", range(KILLS))
def test_a_killed_training_ends_the_same(
    index: int, learned: Learned, tiny_mask2former: tuple[str, ...], forks: Any, tmp_path: Path
) -> None:
    training = [at for at, moment in enumerate(learned.moments, start=1) if moment == "before a training step"]
    first = training[0]
    number = first + index * (len(learned.moments) - first) // KILLS  # before it, it is as with other students
    call = arguments(
        learned.case, tmp_path / "out", tiny_mask2former, "--student-training.workers", str(2 * (index % 2))
    )
    killed = forks(call, watch="moments", kill_at=number, imports=IMPORTS)
    assert killed.code == -signal.SIGKILL, killed.err
    resumed = forks(call, imports=IMPORTS)
    assert resumed.code == 0, f"killed {killed.trace[-1]}: {resumed.err}"
    assert states(tmp_path / "out") == states(learned.out)
    np.testing.assert_array_equal(losses(tmp_path / "out"), losses(learned.out))


def test_two_processes_learn_alike(
    learned: Learned, tiny_mask2former: tuple[str, ...], forks: Any, tmp_path: Path
) -> None:
    """Of a batch of 4 each takes a half (gloo); they draw other points than one would, hence not the same losses."""
    settings = [one.replace('"train_num_points": 64', '"train_num_points": 4096') for one in tiny_mask2former]
    found = []
    for processes in (1, 2):
        call = arguments(learned.case, tmp_path / str(processes), (*settings,), "--student-training.batch", "4")
        ended = forks(call, processes=processes, imports=IMPORTS)
        assert ended.code == 0, ended.err
        found.append(losses(tmp_path / str(processes)))
    assert np.isfinite(found[1]).all()
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=0.02)
    np.testing.assert_allclose(found[1], found[0], rtol=0.1)


def one_line(ended: Any, *words: str) -> None:
    """Assert that a call ended with 2 and one line, which holds some words."""
    assert ended.code == 2, ended.err
    (line,) = ended.err.strip().splitlines()
    for word in words:
        assert word in line


def test_a_training_that_diverges_says_so(
    learned: Learned, tiny_mask2former: tuple[str, ...], forks: Any, tmp_path: Path
) -> None:
    call = arguments(learned.case, tmp_path / "out", tiny_mask2former, "--student-training.lr", "1e30")
    one_line(forks(call, imports=IMPORTS), "diverged", "--student-training.lr")
    assert not (tmp_path / "out" / "student.safetensors").exists()


def test_a_checkpoint_of_another_network_is_refused(
    learned: Learned, tiny_mask2former: tuple[str, ...], forks: Any, tmp_path: Path
) -> None:
    """In its folder, and as a file in another one: what has no weights tells the difference as well."""
    other = [one.replace('"embed_dim": 8', '"embed_dim": 16') for one in tiny_mask2former]
    kept = states(learned.out)
    one_line(forks(arguments(learned.case, learned.out, (*other,)), imports=IMPORTS), "another run", "embed_dim")
    assert states(learned.out) == kept

    other = [one.replace('"num_attention_heads": 2', '"num_attention_heads": 4') for one in tiny_mask2former]
    call = arguments(learned.case, tmp_path / "out", (*other,), "--student-training.steps", "5")
    assert forks(call, imports=IMPORTS, largest_file=100_000).code == 2  # no checkpoint fits
    shutil.copytree(learned.out / "training", tmp_path / "out" / "training", dirs_exist_ok=True)
    one_line(forks(call, imports=IMPORTS), "another training", "num_attention_heads", "choose another folder")


def test_photographs_without_masks_are_left_out(
    learned: Learned, tiny_mask2former: tuple[str, ...], forks: Any, tmp_path: Path
) -> None:
    """What is left is fewer than a batch; a mask that is all void teaches nothing, and is counted."""
    shutil.copytree(learned.case.data / "truth", tmp_path / "masks")
    masks = sorted((tmp_path / "masks").rglob("*.png"))
    for mask, (shape, value) in zip(masks, [((48, 64), 200), ((48, 63), 0), ((48, 64), 255)], strict=False):
        write_mask(mask, np.full(shape, value, np.uint8))
    masks[3].unlink()
    call = arguments(learned.case, tmp_path / "out", tiny_mask2former, "--masks", str(tmp_path / "masks"))
    ended = forks([*call, "--student-training.batch", "4"], imports=IMPORTS)
    assert ended.code == 1, ended.err
    told = ("got 200 in 3072 pixels", "differ in size: 63x48 and 64x48", "it has no mask", "Student of 2 photographs")
    for words in told:
        assert words in ended.out
    assert losses(tmp_path / "out")[:, 3].tolist() == [2, 2, 2, 2]
    assert np.isfinite(losses(tmp_path / "out")).all()


def test_predictions(learned: Learned, forks: Any, labels: Any, tmp_path: Path) -> None:
    call = ["predict", "--student", learned.out / "student.safetensors", "--images", learned.case.data / "images"]
    more = ["--out", tmp_path / "out", "--scales", "[1.0,1.5]", "--tags", learned.case.data / "tags.csv"]
    ended = forks([*call, *more], imports=IMPORTS)
    assert ended.code == 0, ended.err
    names = (learned.case.data / "classes.txt").read_text().split()
    lines = (learned.case.data / "tags.csv").read_text().splitlines()[1:]
    assert len(lines) == 5
    for line in lines:
        image, tags = line.split(",")
        mask = labels((tmp_path / "out" / "masks" / image).with_suffix(".png"))
        assert mask.shape == (48, 64)
        assert set(np.unique(mask)) <= {names.index(tag) for tag in tags.split(";")} | {0}


@pytest.mark.slow
def test_onnx_computes_the_same(learned: Learned, dhr: Any, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    out = tmp_path / "student.onnx"
    ended = dhr(
        ["onnx", "--student", learned.out / "student.safetensors", "--file", out, "--height", 64, "--width", 96]
    )
    assert ended.code == 0, ended.err
    onnx.checker.check_model(onnx.load(out))
