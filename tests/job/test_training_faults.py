"""What goes wrong while a student learns: one line says it, and the last good checkpoint stays."""

import csv
import errno
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from dhr.data import write_mask
from dhr.train import checkpoint, held_out, student_training
from dhr.train.objectives import JointObjective

TINY = (
    *("--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]"),
    *("--student-training.batch", "2", "--student-training.crop", "32"),
    *("--student-training.scale", "[0.8,1.5]", "--student-training.optimiser", "adamw"),
    *("--student-training.start", "0.5", "--student-training.steps", "4"),
    *("--student-training.log-every", "1", "--student-training.save-every", "1"),
    *("--student-training.look-every", "0", "--student-training.boundary", "none"),
)
CUT_SHORT = 3
"""The step whose checkpoint finds the disk full."""


def arguments(case: Any, out: Path, *more: str) -> list[str]:
    """Arguments of ``dhr train`` on ``masks`` of the data folder."""
    call = [*case.run()[1:], *TINY, "--masks", str(case.data / "truth")]
    call[call.index("--out") + 1] = str(out)
    return ["train", *call, *more]


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "training" / "checkpoints").iterdir())


def states(out: Path) -> dict[str, bytes]:
    kept = {name: (out / "training" / "checkpoints" / name).read_bytes() for name in checkpoints(out)}
    return {**kept, "student": (out / "student.safetensors").read_bytes()}


def log(out: Path) -> list[dict[str, str]]:
    with (out / "training" / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class FullDisk(io.BufferedWriter):
    """A file that only half of what is written fits into."""

    def write(self, data: Any) -> int:
        content = memoryview(data).cast("B")
        super().write(content[: len(content) // 2])
        self.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The disk is full when the third checkpoint is written; undo it, and there is room again."""
    write_bytes = checkpoint.write_bytes

    def write(path: Path, content: bytes) -> None:
        if path.name != f"step-{CUT_SHORT:08d}.safetensors":
            return write_bytes(path, content)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(os, "fdopen", lambda handle, mode: FullDisk(io.FileIO(handle, "wb")))
            return write_bytes(path, content)

    monkeypatch.setattr(checkpoint, "write_bytes", write)
    return monkeypatch


@dataclass(frozen=True)
class Learned:
    """A training that nothing happened to, by its data."""

    case: Any
    out: Path


@pytest.fixture(scope="module")
def learned(forks: Any, scenes: Any, new_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    root = tmp_path_factory.mktemp("learned")
    case = new_case(scenes(root / "data"), root / "out")
    ended = forks(arguments(case, case.out))
    assert ended.code == 0, ended.err
    return Learned(case, case.out)


@pytest.fixture
def stopped(learned: Learned, full_disk: pytest.MonkeyPatch, dhr: Any, tmp_path: Path) -> Path:
    """The output folder of a training that a full disk ended."""
    ended = dhr(arguments(learned.case, tmp_path / "out"))
    full_disk.undo()
    line = only_line(ended)
    assert f"step-{CUT_SHORT:08d}.safetensors: No space left on device; free the disk" in line
    return tmp_path / "out"


def only_line(ended: Any) -> str:
    """What a call said that could not work."""
    assert ended.code == 2, ended
    (line,) = ended.err.strip().splitlines()
    assert line.startswith("dhr: ")
    return str(line)


def test_a_full_disk_leaves_the_last_checkpoint(learned: Learned, stopped: Path, dhr: Any) -> None:
    assert checkpoints(stopped) == ["step-00000001.safetensors", "step-00000002.safetensors"]
    assert not (stopped / "student.safetensors").exists()
    ended = dhr(arguments(learned.case, stopped))
    assert ended.code == 0, ended.err
    assert states(stopped) == states(learned.out)


def test_a_full_disk_leaves_the_only_checkpoint(
    learned: Learned, full_disk: pytest.MonkeyPatch, dhr: Any, tmp_path: Path
) -> None:
    full_disk.setattr(student_training, "_KEPT", 1)
    call = arguments(learned.case, tmp_path / "out")
    only_line(dhr(call))
    assert checkpoints(tmp_path / "out") == ["step-00000002.safetensors"]
    full_disk.undo()
    assert dhr(call).code == 0
    assert (tmp_path / "out" / "student.safetensors").read_bytes() == states(learned.out)["student"]


def test_a_disk_too_full_for_tensorboard(
    learned: Learned, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are read while they are written: no file takes the place of another."""

    def write(self: Any, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", write)
        line = only_line(dhr(arguments(learned.case, tmp_path / "out")))
    assert f"{tmp_path / 'out' / 'training' / 'tensorboard'}: No space left on device; free the disk" in line
    assert dhr(arguments(learned.case, tmp_path / "out")).code == 0
    assert states(tmp_path / "out") == states(learned.out)


def test_a_cut_checkpoint_is_named_and_the_one_before_goes_on(learned: Learned, stopped: Path, dhr: Any) -> None:
    path = stopped / "training" / "checkpoints" / "step-00000002.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    line = only_line(dhr(arguments(learned.case, stopped)))
    assert f"{path} is damaged" in line and "delete it" in line and "the one before" in line
    path.unlink()
    ended = dhr(arguments(learned.case, stopped))
    assert ended.code == 0, ended.err
    assert states(stopped) == states(learned.out)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("student.width", "24"),
        ("student.rates", "[2,3]"),
        ("student.decoder", "deeplabv2"),
        ("wss.backbone", "mobilenetv2_035"),
        ("wss.output-stride", "8"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(
    setting: str, value: str, learned: Learned, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its folder, and as a file in another one."""
    before = states(learned.out)
    line = only_line(dhr(arguments(learned.case, learned.out, f"--{setting}", value)))
    assert "another run" in line and setting.replace("-", "_") in line
    assert states(learned.out) == before

    folder, call = tmp_path / "out" / "training" / "checkpoints", arguments(learned.case, tmp_path / "out")
    with monkeypatch.context() as killed:
        killed.setattr("dhr.job.students.train_student", lambda *args, **more: sys.exit(9))
        assert dhr([*call, f"--{setting}", value]).code == 9
    folder.mkdir(parents=True)
    shutil.copy(learned.out / "training" / "checkpoints" / "step-00000003.safetensors", folder)
    line = only_line(dhr([*call, f"--{setting}", value]))
    assert str(folder) in line and setting.replace("-", "_") in line and "choose another folder" in line
    assert checkpoints(tmp_path / "out") == ["step-00000003.safetensors"]
    assert not (tmp_path / "out" / "student.safetensors").exists()


def test_other_masks_are_another_training(learned: Learned, stopped: Path, dhr: Any, tmp_path: Path) -> None:
    shutil.copytree(learned.case.data / "truth", tmp_path / "masks")
    again = arguments(learned.case, stopped, "--masks", str(tmp_path / "masks"))
    first = sorted((tmp_path / "masks").glob("*.png"))[0]
    content = first.read_bytes()
    write_mask(first, np.zeros((48, 64), np.uint8))
    line = only_line(dhr(again))
    assert "masks" in line
    assert checkpoints(stopped) == ["step-00000001.safetensors", "step-00000002.safetensors"]
    first.write_bytes(content)  # the same masks in another place are the same
    assert dhr(again).code == 0
    assert states(stopped) == states(learned.out)


@pytest.mark.parametrize(
    "settings",
    [
        ("--student-training.lr", "1e30"),
        ("--student-training.lr", "1e30", "--student-training.start", "0.0"),
        (
            "--student-training.lr",
            "1e30",
            "--student-training.start",
            "0.0",
            "--student-training.optimiser",
            "sgd",
            "--no-student-training.teacher",
        ),
        (
            "--student-training.lr",
            "1e30",
            "--student-training.start",
            "0.0",
            "--student-training.log-every",
            "9",
            "--student-training.save-every",
            "9",
        ),
        ("--student-training.lr", "1e30", "--student-training.steps", "1"),
    ],
)
def test_a_loss_that_is_no_number_ends_it(
    settings: tuple[str, ...], learned: Learned, dhr: Any, tmp_path: Path
) -> None:
    """Also where the last step spoilt the network, and no loss has told yet."""
    line = only_line(dhr(arguments(learned.case, tmp_path / "out", *settings)))
    assert "diverged" in line and "--student-training.lr" in line
    assert not (tmp_path / "out" / "student.safetensors").exists()
    for path in (tmp_path / "out" / "training" / "checkpoints").glob("*"):
        assert all(np.isfinite(value).all() for value in load_file(path).values())


def test_a_batch_too_large_for_the_memory_is_computed_in_parts(
    learned: Learned, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, sizes = JointObjective.__call__, []

    def memory_for_one(self: Any, network: Any, teacher: Any, crops: Any, step: int) -> Any:
        sizes.append(len(crops.images))
        if len(crops.images) > 1:
            raise torch.OutOfMemoryError("no room")
        return whole(self, network, teacher, crops, step)

    with monkeypatch.context() as small:
        small.setattr(JointObjective, "__call__", memory_for_one)
        ended = dhr(arguments(learned.case, tmp_path / "out"))
        assert ended.code == 0, ended.err
        assert "Memory was too small for 2 crops at once: 2 parts were used." in " ".join(ended.out.split())
        assert sizes == [2, *[1] * 8]  # tried once
        small.setattr(JointObjective, "__call__", lambda *args: (_ for _ in ()).throw(MemoryError()))
        line = only_line(dhr(arguments(learned.case, tmp_path / "none")))
        assert "not enough memory" in line and "--student-training.crop" in line
    for mine, theirs in zip(log(tmp_path / "out"), log(learned.out), strict=True):
        assert float(mine["L_cls"]) == pytest.approx(float(theirs["L_cls"]), abs=0.05)


def test_ctrl_c_in_a_step_leaves_the_checkpoint(
    learned: Learned, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as pressed:
        pressed.setattr(JointObjective, "__call__", pressing_at(3))
        ended = dhr(arguments(learned.case, tmp_path / "out"))
        assert ended.code == 130
    assert checkpoints(tmp_path / "out")[-1] == "step-00000003.safetensors"
    assert dhr(arguments(learned.case, tmp_path / "out")).code == 0
    assert states(tmp_path / "out") == states(learned.out)


def pressing_at(step: int) -> Callable[..., Any]:
    """A loss during which Ctrl-C is pressed in a step."""
    whole = JointObjective.__call__

    def loss(self: Any, network: Any, teacher: Any, crops: Any, now: int) -> Any:
        if now == step:
            raise KeyboardInterrupt
        return whole(self, network, teacher, crops, now)

    return loss


def test_settings_that_were_chosen_are_recorded(learned: Learned, dhr: Any, tmp_path: Path) -> None:
    chosen = ("--student-training.steps", "0", "--student-training.crop", "0", "--student-training.batch", "0")
    line = only_line(dhr(arguments(learned.case, tmp_path / "out", *chosen, "--student-training.lr", "1e30")))
    assert "diverged" in line
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["fitted"]["student_training"] == {"steps": 400, "batch": 8, "crop": 128}


def test_a_training_ends_when_the_loss_on_photographs_held_out_does_not_fall(
    learned: Learned, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "_FEWEST", 2)
    monkeypatch.setattr(held_out, "PATIENCE", 1)
    losses = iter([0.5, 0.4, 0.6])
    monkeypatch.setattr(held_out.StopRule, "_loss", lambda self, step, result: next(losses))
    call = arguments(
        learned.case, tmp_path / "out", "--student-training.steps", "9", "--student-training.held-out", "0.4"
    )
    call += ["--no-student-training.recursion"]
    ended = dhr(call)
    assert ended.code == 0, ended.err
    text = " ".join(ended.out.split())
    assert "weights of step 2, which have the lowest loss (0.400) on 1 held-out photograph" in text
    assert len(log(tmp_path / "out")) == 3
    student = (tmp_path / "out" / "student.safetensors").read_bytes()
    (tmp_path / "out" / "student.safetensors").unlink()
    assert dhr(call).code == 0  # it was killed before it could write the student
    assert (tmp_path / "out" / "student.safetensors").read_bytes() == student


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_photographs_than_a_batch(count: int, scenes: Any, new_case: Any, dhr: Any, tmp_path: Path) -> None:
    """They come again within it, so that each batch is full."""
    case = new_case(scenes(tmp_path / "data", count=count), tmp_path / "out")
    ended = dhr(arguments(case, case.out, "--student-training.batch", "8", "--student-training.steps", "2"))
    assert ended.code == 0, ended.err
    assert f"Student of {count} photograph" in ended.out
    assert len(log(case.out)) == 2
    assert all(np.isfinite(float(value)) for row in log(case.out) for value in row.values())


def test_crops_without_their_tags_are_counted(
    learned: Learned, dhr: Any, tmp_path: Path, only_corners: Callable[[Path], Path]
) -> None:
    """All of them, however seldom the log has a line."""
    masks = str(only_corners(tmp_path / "masks"))
    counts = []
    for often in ("1", "3"):
        out = tmp_path / often
        ended = dhr(
            arguments(
                *(learned.case, out, "--masks", masks, "--student-training.scale", "[1.5,2.0]"),
                *(
                    "--student-training.log-every",
                    often,
                    "--student-training.save-every",
                    "3",
                    "--student-training.steps",
                    "6",
                ),
            )
        )
        assert ended.code == 0, ended.err
        counts.append([int(row["empty"]) for row in log(out)])
        assert all(np.isfinite(float(row["L_seg"])) for row in log(out))
    each, both = counts
    assert len(each) == 6 and 0 < sum(each) <= 12 and max(each) <= 2
    assert both == [sum(each[:3]), sum(each[3:])]


@pytest.fixture
def only_corners(learned: Learned) -> Callable[[Path], Path]:
    """Makes masks whose photographs show one of their tags in a corner, and who knows what elsewhere."""

    def make(folder: Path) -> Path:
        lines = (learned.case.data / "tags.csv").read_text().splitlines()[1:]
        names = (learned.case.data / "classes.txt").read_text().split()
        for line in lines:
            image, tags = line.split(",")
            mask = np.full((48, 64), 255, np.uint8)
            for at, tag in enumerate(tags.split(";")):
                mask[:6, 6 * at : 6 * at + 6] = names.index(tag)
            write_mask((folder / image).with_suffix(".png"), mask)
        return folder

    return make
