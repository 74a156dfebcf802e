"""`dhr predict` in a flow: bad photographs, disks and signals in the middle of it; calls that go on."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dhr.data.images import read_mask, read_rgb
from dhr.data.samples import ClassTable
from dhr.job import predicted_masks
from dhr.job.predict import Predicted, predict
from dhr.job.predict_config import PredictConfig
from dhr.job.segment import Segmenter
from dhr.models.config import WssConfig
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss.classifier import TagClassifier
from dhr.train.student_file import write_student

SIZES = [(40, 48), (48, 40), (40, 48), (60, 90), (40, 48), (1, 1000), (80, 96), (48, 40), (40, 48)]
"""Heights and widths; with a long side of 48, (80, 96) becomes (40, 48)."""


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained student."""
    torch.manual_seed(0)
    tagger = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), 2)
    made = Student(tagger, StudentConfig(width=16, low_level=8, rates=(1, 2)), 3).eval()
    path = tmp_path_factory.mktemp("student") / "student.safetensors"
    write_student(path, made, ClassTable(("background", "cat", "dog"), True), 48)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Photographs of some sizes."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, size in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


Call = Callable[..., Predicted]


@pytest.fixture
def call(student: Path, images: Path, tmp_path: Path) -> Call:
    def called(out: str = "out", **config: Any) -> Predicted:
        return predict(student, images, tmp_path / out, PredictConfig(**config))

    return called


def files(out: Path) -> dict[str, bytes]:
    """Contents of masks and records."""
    paths = sorted([*(out / "masks").rglob("*.png"), *(out / "items").rglob("*.json")])
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths}


def test_masks_of_a_batch_are_those_of_each_photograph_alone(
    call: Call, student: Path, images: Path, tmp_path: Path
) -> None:
    made = call(precision="float32")
    assert made.masks == len(SIZES) and not made.skipped
    for number in (0, 3, 5, 6):
        alone = tmp_path / f"alone-{number}"
        alone.mkdir()
        (alone / f"{number}.png").hardlink_to(images / f"{number}.png")
        predict(student, alone, tmp_path / f"out-{number}", PredictConfig(precision="float32"))
        mask = read_mask(tmp_path / "out" / "masks" / f"{number}.png")
        assert mask.shape == SIZES[number]
        assert (mask == read_mask(tmp_path / f"out-{number}" / "masks" / f"{number}.png")).mean() > 0.99


@pytest.mark.parametrize("boundary", ["none", "crf"])
@pytest.mark.parametrize("lost", [(0,), (2, 5, 8), (1, 3, 4, 6, 7)])
def test_a_call_that_goes_on_makes_the_same_bytes(
    lost: tuple[int, ...], boundary: str, call: Call, tmp_path: Path
) -> None:
    call(boundary=boundary)
    before = files(tmp_path / "out")
    assert len(before) == 2 * len(SIZES)
    for number in lost:
        (tmp_path / "out" / "items" / f"{number}.json").unlink()
        (tmp_path / "out" / "masks" / f"{number}.png").unlink()
    assert call(boundary=boundary).masks == len(SIZES)
    assert files(tmp_path / "out") == before


def test_bad_photographs_are_named_in_order_and_the_others_are_made(call: Call, images: Path, tmp_path: Path) -> None:
    call("whole")
    (images / "2.png").write_bytes((images / "2.png").read_bytes()[:-60])
    (images / "7.png").write_bytes(b"no photograph")
    (images / "4.png").write_bytes(b"")
    made = call()
    assert [Path(one.source).name for one in made.skipped] == ["2.png", "4.png", "7.png"]
    assert made.masks == len(SIZES) - 3
    whole, found = files(tmp_path / "whole"), files(tmp_path / "out")
    assert found["masks/5.png"] == whole["masks/5.png"] and found["masks/0.png"] != b""


def test_a_photograph_that_hangs_is_named_and_made_by_the_next_call(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("whole")
    never = threading.Event()

    def read(path: Path) -> np.ndarray:
        if path.name == "4.png":
            never.wait()
        return read_rgb(path)

    monkeypatch.setattr("dhr.flow.ahead.PATIENCE", 0.5)
    monkeypatch.setattr(predicted_masks, "read_rgb", read)
    made = call()
    assert [(Path(one.source).name, "took longer than 0.5 seconds" in one.reason) for one in made.skipped] == [
        ("4.png", True)
    ]
    assert made.masks == len(SIZES) - 1
    never.set()
    assert not call().skipped
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_batches_are_halved_when_memory_runs_out_and_a_call_that_goes_on_keeps_the_size(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, seen = Segmenter.begin, []

    def short(self: Segmenter, batch: torch.Tensor, wanted: Any) -> Any:
        seen.append(len(batch))
        if len(batch) > 2:
            raise MemoryError
        return begin(self, batch, wanted)

    monkeypatch.setattr(Segmenter, "begin", short)
    made = call()
    assert made.masks == len(SIZES) and not made.skipped
    assert "Batch size halved to 2, because memory ran out." in made.notes
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["batch"] == 2
    before = files(tmp_path / "out")
    for number in (0, 2):
        (tmp_path / "out" / "items" / f"{number}.json").unlink()
    seen.clear()
    call()
    assert max(seen) == 2
    assert files(tmp_path / "out") == before


def test_memory_that_runs_out_for_one_photograph_is_its_problem(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Segmenter.begin

    def short(self: Segmenter, batch: torch.Tensor, wanted: Any) -> Any:
        if batch.shape[-2] == 1:
            raise MemoryError
        return begin(self, batch, wanted)

    monkeypatch.setattr(Segmenter, "begin", short)
    made = call()
    assert [Path(one.source).name for one in made.skipped] == ["5.png"]
    assert "not enough memory" in made.skipped[0].reason


def command(student: Path, images: Path, out: Path) -> list[str]:
    """The command as users call it."""
    return [
        *(sys.executable, "-m", "dhr", "predict", "--student", str(student), "--images", str(images)),
        *("--out", str(out)),
    ]


def test_a_full_disk_ends_the_call_and_loses_nothing_that_was_finished(
    student: Path, images: Path, call: Call, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (700, 1500, 3), dtype=np.uint8)).save(images / "large.png")
    call("whole")
    most = max((tmp_path / "whole" / "masks" / "large.png").stat().st_size - 1, 1)
    assert most > 3 * (tmp_path / "whole" / "run.json").stat().st_size

    def limited() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    ended = subprocess.run(
        command(student, images, tmp_path / "out"), capture_output=True, text=True, timeout=200, preexec_fn=limited
    )
    assert ended.returncode == 2, ended
    assert "cannot write" in ended.stderr and "large.png" in ended.stderr
    found, whole = files(tmp_path / "out"), files(tmp_path / "whole")
    assert found and all(whole[name] == content for name, content in found.items())
    call()
    assert files(tmp_path / "out") == whole


def test_ctrl_c_with_batches_in_flight(student: Path, images: Path, call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for more in range(80):
        Image.fromarray(rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(images / f"more-{more}.png")
    out = tmp_path / "out"
    with subprocess.Popen(
        command(student, images, out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as process:  # fmt: skip
        try:
            while not list((out / "items").glob("*.json")) and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, said
    finished = files(out)
    masks = {name for name in finished if name.endswith(".png")}
    assert 0 < len(masks) < len(SIZES) + 80
    assert {name.replace("items/", "masks/").replace(".json", ".png") for name in finished if "items" in name} == masks
    call()
    call("whole")
    whole = files(tmp_path / "whole")
    assert files(out) == whole
    assert all(whole[name] == content for name, content in finished.items())


@pytest.mark.slow
def test_a_photograph_of_100_megapixels_takes_little_memory_beside_itself(
    student: Path, images: Path, tmp_path: Path
) -> None:
    def peak(out: str) -> float:
        process = subprocess.Popen(command(student, images, tmp_path / out), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return used.ru_maxrss / 1e3

    without = peak("small")
    Image.new("RGB", (10_000, 10_000), (200, 30, 0)).save(images / "huge.png", compress_level=1)
    assert peak("out") - without < 800  # 300 as Pillow decodes it, 300 as an array; the mask has 100
    assert read_mask(tmp_path / "out" / "masks" / "huge.png").shape == (10_000, 10_000)
