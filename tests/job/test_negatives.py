"""Photographs without tags, where there is a background: they teach the classifier, and their masks are background."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dhr.cli import main
from dhr.data import FolderDataSet, write_mask
from dhr.data.samples import ClassTable, Tagged
from dhr.data.tags import TagReader, merge
from dhr.errors import DataError
from dhr.job import survey as survey_pass
from dhr.job.predict_config import PredictConfig
from dhr.job.segment import Segmenter, Wanted
from dhr.train.classifier import ClassifierConfig, _TagCrops
from dhr.train.crops import TrainingSet

POSITIVE, NEGATIVE = ("p0", "p1", "p2"), ("n0", "n1", "below/n2")
STUDENT = (
    *("--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]", "--student-training.steps", "6"),
    *("--student-training.batch", "3", "--student-training.crop", "32"),
    *("--student-training.scale", "[0.8,1.5]", "--student-training.optimiser", "adamw"),
    *("--student-training.log-every", "1", "--student-training.save-every", "3"),
    *("--student-training.look-every", "3", "--student-training.boundary", "none"),
)


def write_mugs(root: Path) -> Path:
    """Photographs of one class, a bright square on noise, and as many without it."""
    random = np.random.default_rng(0)
    lines = ["image,tags"]
    for name in (*POSITIVE, *NEGATIVE):
        picture = random.integers(0, 90, (48, 64, 3), np.uint8)
        truth = np.zeros((48, 64), np.uint8)
        if name in POSITIVE:
            picture[10:34, 20:50] = (230, 200, 40)
            truth[10:34, 20:50] = 1
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        write_mask(root / "truth" / f"{name}.png", truth)
        lines.append(f"{name}.png,{'mug' if name in POSITIVE else 'background' if name == 'n0' else ''}")
    (root / "tags.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "classes.txt").write_text("background\nmug\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def mugs(new_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run of them."""
    root = tmp_path_factory.mktemp("mugs")
    case = new_case(write_mugs(root / "data"), root / "out")
    assert main(case.run("--doubtful", "0.5")) == 0
    return case


def all_background(out: Path, labels: Any) -> None:
    for name in NEGATIVE:
        assert labels(out / "masks" / f"{name}.png").shape == (48, 64)
        assert not labels(out / "masks" / f"{name}.png").any()


def test_a_run_makes_masks_of_background(mugs: Any, labels: Any) -> None:
    all_background(mugs.out, labels)
    assert set(np.unique(labels(mugs.out / "masks" / "p0.png"))) <= {0, 1}
    for name in NEGATIVE:
        assert not labels(mugs.out / "training_masks" / f"{name}.png").any()
        for stage in ("cam", "base", "seed", "inter", "intra"):
            assert not labels(mugs.out / "stages" / stage / f"{name}.png").any()
        with np.load(mugs.out / "cams" / f"{name}.npz") as file, np.load(mugs.out / "cams" / "p0.npz") as other:
            assert file["cams"].shape == (0, *other["cams"].shape[1:]) and file["cams"].dtype == other["cams"].dtype
            assert file["classes"].shape == (0,) and file["classes"].dtype == other["classes"].dtype
        item = json.loads((mugs.out / "items" / f"{name}.json").read_bytes())
        assert item["tags"] == item["vanished"] == [] and item["ratios"] == {"background": 1.0}
        assert item["quality"] == 1 and item["moved"] == 0
    counts = mugs.record()["counts"]
    assert counts == {"photographs": 6, "masks": 6, "skipped": 0, "with a vanished class": 0}
    report = (mugs.out / "report.html").read_text(encoding="utf-8")
    assert all(name.rpartition("/")[2] in report for name in (*POSITIVE, *NEGATIVE))


def test_a_mask_that_is_gone_is_made_again(mugs: Any, new_case: Any, dhr: Any, made: Any, tmp_path: Path) -> None:
    shutil.copytree(mugs.out, tmp_path / "out")
    case = new_case(mugs.data, tmp_path / "out")
    (case.out / "masks" / "n0.png").unlink()
    (case.out / "items" / "below" / "n2.json").unlink()
    ended = dhr(case.run("--doubtful", "0.5"))
    assert ended.code == 0 and "4 of the masks were there already" in ended.out
    assert made(case.out) == made(mugs.out)


def test_the_classifier_learns_that_the_class_is_absent(mugs: Any) -> None:
    data = FolderDataSet(mugs.data)
    crops = _TagCrops(TrainingSet(data, data.samples, 64, 0), ClassifierConfig(crop=32))
    shown = {sample.name: crops.item(0, index)[2].tolist() for index, sample in enumerate(data.samples)}
    assert shown == {name: [float(name in POSITIVE)] for name in (*POSITIVE, *NEGATIVE)}


def test_heads_of_irn_learn_background_from_them(
    mugs: Any, new_case: Any, dhr: Any, labels: Any, tmp_path: Path
) -> None:
    case = new_case(mugs.data, tmp_path / "out")
    heads = ("--affinity.epochs", "1", "--affinity.batch", "2", "--affinity.crop", "32", "--affinity.radius", "2")
    ended = dhr(case.run("--wss.kind", "irn", *heads))
    assert ended.code == 0, ended
    all_background(case.out, labels)


def test_maps_of_other_programs_need_none_for_them(
    mugs: Any, new_case: Any, dhr: Any, labels: Any, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    for name in POSITIVE:
        shutil.copyfile(mugs.out / "cams" / f"{name}.npz", maps / f"{name}.npz")
    case = new_case(mugs.data, tmp_path / "out")
    ended = dhr(case.run("--wss.kind", "files", "--wss.backbone", "none", "--wss.maps", str(maps)))
    assert ended.code == 0, ended
    all_background(case.out, labels)


def test_recursion_and_students_take_them(mugs: Any, new_case: Any, dhr: Any, labels: Any, tmp_path: Path) -> None:
    case = new_case(mugs.data, tmp_path / "out")
    ended = dhr(case.run("--recursion", *STUDENT))
    assert ended.code == 0, ended
    all_background(case.out, labels)
    all_background(case.out / "first", labels)
    rows = (case.out / "training" / "log.csv").read_text().splitlines()
    assert len(rows) == 7
    student = case.out / "student.safetensors"

    arguments = [*case.run()[1:], *STUDENT]
    arguments[arguments.index("--out") + 1] = str(tmp_path / "maps_only")
    ended = dhr(
        ["train", *arguments, "--student-training.recursion"]
    )  # no masks: the negatives' labels are known still
    assert ended.code == 0, ended

    tags = tmp_path / "tags.csv"  # names are matched as everywhere
    text = (case.data / "tags.csv").read_text().replace("n0.png", "C:\\set\\images\\n0.png")
    tags.write_text(text.replace("below/n2", "images/below/n2").replace("image,tags", "Photo,Labels"))
    for boundary in ("none", "crf"):
        predicted = tmp_path / boundary
        ended = dhr(
            ["predict", "--student", student, "--images", case.data / "images", "--out", predicted, "--boundary",
             boundary, "--tags", tags]
        )  # fmt: skip
        assert ended.code == 0, ended
        all_background(predicted, labels)


@pytest.mark.parametrize("boundary", ["none", "crf", "pamr"])
def test_a_mask_of_no_allowed_class_is_background(boundary: Any) -> None:
    class Student:
        background = True

        def coarse(self, views: torch.Tensor) -> torch.Tensor:
            logits = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
            return torch.softmax(logits, dim=1).expand(len(views), -1, -1, -1)

    config = PredictConfig(boundary=boundary, flip=False)
    segment = Segmenter(Student(), ClassTable(("background", "cat", "dog"), True), 64, config, torch.device("cpu"))
    wanted = [Wanted((20, 24), ()), None, Wanted((20, 24), (2,)), Wanted((20, 24))]
    masks = [part and part()[0] for part in segment.begin(torch.rand(4, 3, 40, 48), wanted)]
    assert masks[0] is not None and masks[0].shape == (20, 24) and not masks[0].any()
    assert masks[1] is None
    assert masks[2] is not None and set(np.unique(masks[2])) == {0, 2}
    assert masks[3] is not None and set(np.unique(masks[3])) == {0, 1, 2}


def test_other_commands_count_them(mugs: Any, dhr: Any, tmp_path: Path) -> None:
    ended = dhr(["inspect", "--data", mugs.data, "--json", tmp_path / "i.json", "--file", tmp_path / "i.html"])
    assert ended.code == 0, ended
    found = json.loads((tmp_path / "i.json").read_bytes())
    assert found["tags_a_photograph"] == {"0": 3, "1": 3} and found["problems"] == []
    assert not any("Every photograph is tagged" in note["text"] for note in found["notes"])
    assert "3 of 6 photographs have no tag" in ended.out
    ended = dhr(mugs.evaluate("--json", tmp_path / "e.json"))
    assert ended.code == 0, ended
    scores = json.loads((tmp_path / "e.json").read_bytes())
    assert list(scores["per_class"]) == ["background", "mug"]
    for kind, place in (("coco", "--file"), ("yolo", "--out")):
        ended = dhr(
            ["export", "--data", mugs.data, "--masks", mugs.out / "masks", "--to", kind, place, tmp_path / kind]
        )
        assert ended.code == 0, ended
    assert dhr(["adjacency", "--data", mugs.data, "--masks", mugs.out / "masks"]).code == 0


def test_the_survey_is_of_tagged_photographs(mugs: Any) -> None:
    samples = FolderDataSet(mugs.data).samples
    assert {sample.name for sample in survey_pass.chosen(samples)} == set(POSITIVE)
    assert (mugs.out / "survey.safetensors").is_file()


def test_a_set_without_any_tag_is_refused_by_a_run(mugs: Any, new_case: Any, dhr: Any, tmp_path: Path) -> None:
    shutil.copytree(mugs.data, tmp_path / "data")
    file = tmp_path / "data" / "tags.csv"
    file.write_text(file.read_text().replace("mug", ""), encoding="utf-8")
    ended = dhr(new_case(tmp_path / "data", tmp_path / "out").run())
    assert ended.code == 2 and "none of the 6 photographs" in ended.err and ended.err.count("\n") == 1


def test_without_a_background_they_are_refused(mugs: Any, tmp_path: Path) -> None:
    shutil.copytree(mugs.data, tmp_path / "data")
    (tmp_path / "data" / "classes.txt").write_text("mug\njar\n", encoding="utf-8")
    file = tmp_path / "data" / "tags.csv"
    file.write_text(file.read_text().replace("background", ""), encoding="utf-8")
    data = FolderDataSet(tmp_path / "data")
    assert len(data.samples) == len(data.problems) == 3
    assert all("first class" in problem.reason and "no tags" in problem.reason for problem in data.problems)
    file.write_text(file.read_text().replace("mug", ""), encoding="utf-8")
    with pytest.raises(DataError, match="5 more for the same reason"):
        FolderDataSet(tmp_path / "data")


def test_a_background_line_beside_others(mugs: Any) -> None:
    read = TagReader(FolderDataSet(mugs.data).classes)
    assert merge([read(2, "a", ["background"]), read(3, "a", ["mug"])]) == Tagged((1,))
    assert merge([read(2, "a", ["background"]), read(3, "a", ["background"])]) == Tagged()
    assert merge([read(2, "a", ["background", "mug"]), read(3, "a", ["mug"])]) == Tagged((1,))
    assert merge([read(2, "a", []), read(3, "a", ["mug"])]).reason
