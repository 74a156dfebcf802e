"""Masks are tied to the content of their photographs, and to names that no two photographs share."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dhr.data.listing import mask_key
from dhr.data.photographs import photographs_below
from dhr.data.samples import ClassTable
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier
from dhr.train.student_file import write_student

STUDENT = (
    *("--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]", "--student-training.steps", "2"),
    *("--student-training.batch", "2", "--student-training.crop", "32"),
    *("--student-training.boundary", "none"),
    *("--student-training.look-every", "1", "--student-training.log-every", "1"),
)


def one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err, ended.err


def photograph(path: Path, seed: int, size: tuple[int, int] = (40, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def predicting(tmp_path: Path) -> list[Path | str]:
    """Arguments of ``dhr predict`` with an untrained student, into ``out``, of the photographs in ``images``."""
    torch.manual_seed(0)
    tagger = TagClassifier(WssConfig(backbone="test_resnet", weights="none"), 2)
    student = Student(tagger, StudentConfig(width=16, low_level=8, rates=(1, 2)), 3).eval()
    write_student(tmp_path / "student", student, ClassTable(("background", "cat", "dog"), True), 320)
    return ["predict", "--student", tmp_path / "student", "--images", tmp_path / "images", "--out", tmp_path / "out"]


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def replaced(case: Any) -> str:
    """Put another photograph of the same size and name in the place of the first; its name."""
    path = sorted((case.data / "images").glob("*.png"))[0]
    with Image.open(path) as image:
        pixels = np.array(image)
    Image.fromarray(255 - pixels).save(path)
    return path.stem


@given(
    st.lists(
        st.sampled_from(["a.png", "A.png", "a.jpg", "b.png", "t/a.png", "T/a.png", "t/\u00e9.png", "t/e\u0301.gif"])
    )
)
def test_every_photograph_is_listed_or_named(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in {"sure.png", *names}:
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
        here = list(Path(folder).rglob("*.*"))
        found = photographs_below(Path(folder))
        assert len({mask_key(one.name) for one in found.listed}) == len(found.listed)
        assert sorted([*(str(one.path) for one in found.listed), *(one.source for one in found.problems)]) == sorted(
            map(str, here)
        )


# dhr predict


def test_a_changed_photograph_is_segmented_again(predicting: Any, dhr: Any, labels: Any, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        photograph(tmp_path / "images" / f"{name}.png", seed)
    assert dhr(predicting).code == 0
    masks = tmp_path / "out" / "masks"
    before = {name: stamp(masks / f"{name}.png") for name in "abc"}

    photograph(tmp_path / "images" / "a.png", 4, (56, 32))  # of another size
    photograph(tmp_path / "images" / "b.png", 5)  # of the same size
    photograph(tmp_path / "images" / "d.png", 6)
    assert dhr(predicting).code == 0
    assert stamp(masks / "c.png") == before["c"]
    assert stamp(masks / "a.png") != before["a"] and stamp(masks / "b.png") != before["b"]
    shutil.rmtree(tmp_path / "elsewhere", ignore_errors=True)
    assert dhr([*predicting[:-1], tmp_path / "elsewhere"]).code == 0
    for name in "abcd":
        np.testing.assert_array_equal(
            labels(masks / f"{name}.png"), labels(tmp_path / "elsewhere" / "masks" / f"{name}.png")
        )


def test_masks_of_photographs_that_are_gone_are_named_and_not_counted(
    predicting: Any, dhr: Any, tmp_path: Path
) -> None:
    for number in range(3):
        photograph(tmp_path / "images" / f"p{number}.png", number)
    assert dhr(predicting).code == 0
    (tmp_path / "images" / "p0.png").unlink()
    (tmp_path / "images" / "p1.png").write_bytes(b"no photograph")
    ended = dhr(predicting)
    assert ended.code == 1
    assert "1 mask in" in ended.out
    assert "2 masks belong to no photograph here" in ended.out
    assert "'p0.png', 'p1.png'" in ended.out
    assert (tmp_path / "out" / "masks" / "p0.png").is_file()
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (record["masks"], record["strange"]) == (1, ["p0.png", "p1.png"])


def test_a_mask_without_its_record_is_made_again(predicting: Any, dhr: Any, tmp_path: Path) -> None:
    """As of a call that was killed in between, or of another program."""
    photograph(tmp_path / "images" / "trip" / "a.png", 1)
    assert dhr(predicting).code == 0
    mask, item = tmp_path / "out" / "masks" / "trip" / "a.png", tmp_path / "out" / "items" / "trip" / "a.json"
    made = mask.read_bytes()
    for damage in (b"", b"[]", b'{"digest": 3}', b"[" * 100_000):
        item.write_bytes(damage)
        mask.write_bytes(b"another")
        assert dhr(predicting).code == 0
        assert mask.read_bytes() == made


@pytest.mark.parametrize("names", [("a.jpg", "a.png"), ("a.png", "A.png"), ("caf\u00e9.png", "cafe\u0301.png")])
def test_photographs_whose_masks_would_share_a_name_are_left_out(
    names: tuple[str, str], predicting: Any, dhr: Any, tmp_path: Path
) -> None:
    for seed, name in enumerate((*names, "other.png")):
        photograph(tmp_path / "images" / name, seed)
    if len(list((tmp_path / "images").iterdir())) < 3:
        pytest.skip("this disk takes both names for one")
    ended = dhr(predicting)
    assert ended.code == 1
    assert "Left out: 2" in ended.out and "its mask would overwrite that of" in ended.out
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["other.png"]

    shutil.rmtree(tmp_path / "out")
    (tmp_path / "images" / "other.png").unlink()
    one_line(dhr(predicting), "its mask would overwrite")


def test_tags_are_matched_by_the_end_of_the_path(predicting: Any, dhr: Any, labels: Any, tmp_path: Path) -> None:
    for number, name in enumerate(("one/a", "two/b")):
        photograph(tmp_path / "images" / f"{name}.png", number)
    (tmp_path / "tags.csv").write_text("image,tags\nC:\\shop\\images\\one\\a.png,dog\nb,cat\ngone,cat\n")
    ended = dhr([*predicting, "--tags", tmp_path / "tags.csv"])
    assert ended.code == 0 and "lines of tags.csv that are not used: 1, such as" in ended.out and "'gone'" in ended.out
    assert set(np.unique(labels(tmp_path / "out" / "masks" / "one" / "a.png"))) <= {0, 2}
    assert set(np.unique(labels(tmp_path / "out" / "masks" / "two" / "b.png"))) <= {0, 1}


@pytest.mark.parametrize("setting", ["--student", "--tags"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_regular_file_is_refused(setting: str, kind: str, predicting: Any, dhr: Any, tmp_path: Path) -> None:
    photograph(tmp_path / "images" / "a.png", 1)
    place = Path("/dev/zero") if kind == "device" else tmp_path / "place"
    if kind == "pipe":
        pytest.importorskip("fcntl", reason="there are no named pipes")
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif not place.exists():
        pytest.skip(f"there is no {place}")
    one_line(dhr([*predicting, setting, place]), f"a {'named pipe' if kind == 'pipe' else kind}", "regular file")
    if setting == "--student":
        ended = dhr(["onnx", "--student", place, "--file", tmp_path / "a.onnx"])
        assert ended.code == 2 and "Traceback" not in ended.err


# A file that cannot be written costs its photograph


def test_a_folder_in_the_place_of_a_mask_does_not_stop_the_others(predicting: Any, dhr: Any, tmp_path: Path) -> None:
    for number in range(3):
        photograph(tmp_path / "images" / f"p{number}.png", number)
    assert dhr(predicting).code == 0
    (tmp_path / "out" / "masks" / "p1.png").unlink()
    (tmp_path / "out" / "masks" / "p1.png").mkdir()
    photograph(tmp_path / "images" / "p2.png", 9)
    ended = dhr(predicting)
    assert ended.code == 1, ended
    assert "2 masks in" in ended.out and "a folder has this name" in ended.out


def test_a_folder_of_photographs_named_as_a_mask_does_not_stop_the_others(
    predicting: Any, dhr: Any, tmp_path: Path
) -> None:
    for number, name in enumerate(("a.jpg", "a.png/b.jpg", "c.jpg")):
        photograph(tmp_path / "images" / name, number)
    ended = dhr(predicting)
    assert ended.code == 1, ended
    assert "2 masks in" in ended.out and "b.jpg" in ended.out and "cannot write" in ended.out


def test_a_run_goes_on_beside_places_that_are_taken(fresh: Any, dhr: Any) -> None:
    names = sorted(path.stem for path in (fresh.data / "images").glob("*.png"))
    assert dhr(fresh.run("--no-stages")).code == 0
    shutil.rmtree(fresh.out / "masks")
    (fresh.out / "masks" / f"{names[0]}.png").mkdir(parents=True)
    (fresh.out / "survey.safetensors").unlink()
    draft = fresh.out / "work" / "survey" / f"{names[1]}.safetensors"
    draft.unlink()
    draft.mkdir()
    (fresh.out / "masks" / f"{names[2]}.png").symlink_to("/dev/null")
    ended = dhr(fresh.run("--no-stages"))
    assert ended.code == 1, ended
    assert "a folder has this name" in ended.out and "a link has this name" in ended.out
    masks = [path for path in (fresh.out / "masks").rglob("*.png") if path.is_file() and not path.is_symlink()]
    assert len(masks) == 3
    skipped = {Path(one["source"]).stem for one in fresh.record()["skipped"]}
    assert skipped == {names[0], names[2]}


def test_a_training_goes_on_beside_places_that_are_taken(finished: Any, dhr: Any, tmp_path: Path) -> None:
    out = tmp_path / "student"
    names = sorted(path.stem for path in (finished.data / "images").glob("*.png"))
    (out / "work" / "uss" / f"{names[0]}.safetensors").mkdir(parents=True)
    (out / "training" / "pictures" / "step-00000001.png").mkdir(parents=True)
    (out / "run.json").write_text('{"identity": {}}')
    call = training(finished, out)
    ended = dhr(call)
    assert ended.code == 1, ended
    assert "Student of 4 photographs" in ended.out
    assert f"{names[0]}.png" in ended.out and "step-00000001.png" in ended.out
    assert (out / "training" / "pictures" / "step-00000002.png").is_file()


# What reads masks of a run


def training(case: Any, out: Path) -> list[str]:
    arguments = [*case.run()[1:], *STUDENT]
    arguments[arguments.index("--out") + 1] = str(out)
    masks = ("--masks", str(case.out / "masks"), "--classifier.file", str(case.out / "classifier.safetensors"))
    return ["train", *arguments, *masks]


def test_records_name_the_content_of_photographs(finished: Any) -> None:
    for path in (finished.out / "items").rglob("*.json"):
        item = json.loads(path.read_text())
        assert item["digest"] == hashlib.sha256(Path(item["image"]).read_bytes()).hexdigest()


def test_masks_of_a_replaced_photograph_are_not_scored(finished: Any, dhr: Any, tmp_path: Path) -> None:
    assert dhr(finished.evaluate()).code == 0
    name = replaced(finished)
    one_line(dhr(finished.evaluate()), name, "another photograph of this name")
    stages = ["evaluate", "--data", finished.data, "--masks", finished.out / "stages" / "seed"]
    one_line(dhr(stages), name, "another photograph of this name")
    shutil.copytree(finished.out / "masks", tmp_path / "alone")  # without records nothing is known
    assert dhr(["evaluate", "--data", finished.data, "--masks", tmp_path / "alone"]).code == 0


def test_masks_of_a_replaced_photograph_are_not_exported(finished: Any, dhr: Any, tmp_path: Path) -> None:
    call = [
        "export",
        "--data",
        finished.data,
        "--masks",
        finished.out / "masks",
        "--to",
        "png",
        "--out",
        tmp_path / "o",
    ]
    assert dhr(call).code == 0
    assert len(list((tmp_path / "o").rglob("*.png"))) == 5
    name = replaced(finished)
    ended = dhr(call)
    assert ended.code == 1 and name in ended.out and "another photograph of this name" in ended.out
    assert len(list((tmp_path / "o").rglob("*.png"))) == 4


def test_masks_of_a_replaced_photograph_teach_nothing(finished: Any, dhr: Any, tmp_path: Path) -> None:
    name = replaced(finished)
    ended = dhr(training(finished, tmp_path / "student"))
    assert ended.code == 1, ended
    assert name in ended.out and "another photograph of this name" in ended.out
    assert "Student of 4 photographs" in ended.out


def test_a_training_of_other_photographs_is_refused(finished: Any, dhr: Any, tmp_path: Path) -> None:
    shutil.copytree(finished.out / "masks", tmp_path / "masks")
    call = training(finished, tmp_path / "student")
    call[call.index("--masks") + 1] = str(tmp_path / "masks")
    assert dhr(call).code == 0
    assert dhr(call).code == 0
    replaced(finished)
    one_line(dhr(call), "holds another run", "photographs and tags changed")


def test_a_mask_of_a_run_whose_record_is_of_other_content_is_made_again(finished: Any, dhr: Any) -> None:
    path = sorted((finished.out / "items").glob("*.json"))[0]
    mask = finished.out / "masks" / f"{path.stem}.png"
    made = mask.read_bytes()
    path.write_text(json.dumps({**json.loads(path.read_text()), "digest": "0" * 64}))
    mask.write_bytes(b"another")
    assert dhr(finished.run()).code == 0
    assert mask.read_bytes() == made


def test_a_copy_of_a_replaced_photograph_is_replaced(finished: Any, dhr: Any, tmp_path: Path) -> None:
    """Also where the masks have no records."""
    shutil.copytree(finished.out / "masks", tmp_path / "masks")
    call = ["export", "--data", finished.data, "--masks", tmp_path / "masks", "--to", "yolo", "--images", "copy"]
    call += ["--out", tmp_path / "out2"]
    assert dhr(call).code == 0
    name = replaced(finished)
    assert dhr(call).code == 0
    copies = [path.read_bytes() for path in (tmp_path / "out2").rglob(f"{name}.png")]
    assert copies == [(finished.data / "images" / f"{name}.png").read_bytes()]
