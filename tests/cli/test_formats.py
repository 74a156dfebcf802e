"""``--format`` and ``--data`` with formats other than the plain folder, as users call them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dhr.data import open_data, palette, write_mask
from dhr.data.benchmarks import benchmark
from dhr.data.palette import class_palette
from dhr.models.student import StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss import WssConfig
from dhr.models.wss.classifier import TagClassifier
from dhr.train.student_file import read_student, write_student


def voc(root: Path, data: Path) -> Path:
    """The photographs of a plain folder as PASCAL VOC would publish them, one class a shape of its own."""
    plain = open_data(data)
    top = root / "VOC2012"
    for folder in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (top / folder).mkdir(parents=True)
    names = []
    for number, sample in enumerate(plain.samples):
        name = f"2007_{number:06d}"
        Image.fromarray(plain.read_image(sample)).save(top / f"JPEGImages/{name}.jpg", quality=95)
        truth = plain.read_ground_truth(sample)
        write_mask(top / f"SegmentationClass/{name}.png", np.where(truth == 255, 255, truth + 1).astype(np.uint8))
        classes = benchmark("voc").classes.names
        objects = "".join(f"<object><name>{classes[tag + 1]}</name></object>" for tag in sample.tags)
        (top / f"Annotations/{name}.xml").write_text(f"<annotation>{objects}</annotation>")
        names.append(name)
    (top / "ImageSets/Segmentation/val.txt").write_text("\n".join(names[:3]) + "\n")
    return root


def test_a_run_and_its_scores_on_voc_as_it_is_published(fresh: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    case = new_case(voc(tmp_path / "voc", fresh.data), tmp_path / "made")
    ended = dhr(case.run("--split", "val"))
    assert ended.code == 0, ended.err
    assert sorted(path.stem for path in (case.out / "masks").glob("*.png")) == [f"2007_{n:06d}" for n in range(3)]
    ended = dhr(case.evaluate("--split", "val", "--format", "voc", "--json", str(tmp_path / "scores.json")))
    assert ended.code == 0, ended.err
    names = list(json.loads((tmp_path / "scores.json").read_text())["per_class"])
    assert names[0] == "background" and len(names) == 21
    truth = tmp_path / "voc/VOC2012/SegmentationClass"
    ended = dhr(["evaluate", "--data", case.data, "--masks", truth, "--json", tmp_path / "self.json"])
    assert ended.code == 0 and json.loads((tmp_path / "self.json").read_text())["miou"] == 100


def test_truth_in_colours_and_tags_in_json_lines_score_as_before(finished: Any, dhr: Any, tmp_path: Path) -> None:
    assert dhr(finished.evaluate("--json", str(tmp_path / "before.json"))).code == 0
    lines = (finished.data / "tags.csv").read_text().splitlines()[1:]
    rows = [dict(zip(("image", "tags"), line.split(","), strict=True)) for line in lines]
    text = "".join(json.dumps({"image": row["image"], "tags": row["tags"].split(";")}) + "\n" for row in rows)
    (finished.data / "tags.jsonl").write_text(text)
    (finished.data / "tags.csv").unlink()
    for path in (finished.data / "truth").rglob("*.png"):
        with Image.open(path) as image:
            labels = np.array(image)
        Image.fromarray(palette()[labels]).save(path)
    ended = dhr(finished.evaluate("--json", str(tmp_path / "after.json"), "--format", "folder"))
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "before.json").read_text()) == json.loads((tmp_path / "after.json").read_text())
    assert dhr(finished.run()).code == 0  # the same photographs, tags and classes: the same run


def test_one_folder_a_class_is_enough_for_a_run(fresh: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    photographs = sorted((fresh.data / "images").glob("*.png"))
    for number, path in enumerate(photographs):
        folder = tmp_path / "photos" / ("ripe" if number % 2 else "raw")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    case = new_case(tmp_path / "photos", tmp_path / "photos" / "out")  # an output folder is no class
    for _ in range(2):
        ended = dhr(case.run())
        assert ended.code == 0, ended.err
    assert len(list((case.out / "masks").rglob("*.png"))) == len(photographs)
    ended = dhr(new_case(tmp_path / "photos", tmp_path / "photos" / "raw" / "out").run())
    assert ended.code == 2 and "lies among the photographs" in ended.err


def test_an_unknown_format_is_one_line(fresh: Any, dhr: Any) -> None:
    for arguments in (
        fresh.run("--format", "vok"),
        ["evaluate", "--data", fresh.data, "--masks", fresh.out, "--format", "x"],
    ):
        ended = dhr(arguments)
        assert ended.code == 2 and ended.err.count("\n") == 1 and "--format must be auto or one of" in ended.err
    assert not fresh.out.exists()


def ade(root: Path, data: Path) -> Path:
    """The photographs of a plain folder as ADE20K would publish them: greyscale masks, numbers from 1, 0 for void."""
    plain = open_data(data)
    top = root / "ADEChallengeData2016"
    for folder in ("images/training", "annotations/training", "images/validation", "annotations/validation"):
        (top / folder).mkdir(parents=True)
    for number, sample in enumerate(plain.samples, start=1):
        name = f"ADE_train_{number:08d}"
        Image.fromarray(plain.read_image(sample)).save(top / f"images/training/{name}.jpg", quality=95)
        truth = plain.read_ground_truth(sample)
        stored = np.where(truth == 255, 0, truth + 1).astype(np.uint8)
        Image.fromarray(stored).save(top / f"annotations/training/{name}.png")
    return root


def colours_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        stored = image.getpalette("RGB")
        assert image.mode == "P" and stored
        return np.array(stored, np.uint8).reshape(-1, 3)


def test_masks_have_the_colours_of_their_data_set_from_run_to_export(
    fresh: Any, dhr: Any, new_case: Any, tmp_path: Path
) -> None:
    case = new_case(ade(tmp_path / "ade", fresh.data), tmp_path / "made")
    table = benchmark("ade").classes
    assert table.colours is not None and table.colours[0] == (120, 120, 120)  # walls, as ADE20K paints them
    expected = class_palette(table)
    assert np.array_equal(expected[:150], table.colours) and not np.array_equal(expected[:150], palette()[:150])
    ended = dhr(case.run("--split", "training"))
    assert ended.code == 0, ended
    masks = sorted((case.out / "masks").glob("*.png"))
    assert len(masks) == 5
    for path in (*masks, *(case.out / "stages").rglob("*.png")):
        colours = colours_of(path)
        assert np.array_equal(colours, expected[: len(colours)])
    call = ["export", "--data", case.data, "--split", "training", "--masks", case.out / "masks", "--to"]
    assert dhr([*call, "png", "--out", tmp_path / "png"]).code == 0
    for path in masks:
        colours = colours_of(tmp_path / "png" / path.name)
        assert np.array_equal(colours, expected[: len(colours)])
    assert dhr([*call, "cvat", "--out", tmp_path / "cvat"]).code == 0
    listed = json.loads((tmp_path / "cvat" / "labels.json").read_text())
    assert listed[0]["name"] == "wall" and listed[0]["color"].lower() == "#787878"


def test_a_student_keeps_the_colours_of_its_data_set(dhr: Any, tmp_path: Path) -> None:
    table = replace(benchmark("ade").classes, names=("wall", "sky"), colours=((120, 120, 120), (6, 230, 230)))
    for classes in (table, replace(table, colours=None)):
        path, out = tmp_path / f"{classes.colours is None}.safetensors", tmp_path / f"out-{classes.colours is None}"
        network = TagClassifier(WssConfig(backbone="test_resnet", weights="none", scales=(1.0,)), 2)
        config = StudentConfig(width=16, low_level=8, rates=(1, 2))
        write_student(path, Student(network, config, 2), classes, long_side=64)
        assert read_student(path).classes.colours == classes.colours
        images = tmp_path / "images"
        images.mkdir(exist_ok=True)
        Image.new("RGB", (64, 48), (90, 140, 200)).save(images / "a.png")
        assert dhr(["predict", "--student", path, "--images", images, "--out", out]).code == 0
        assert np.array_equal(colours_of(out / "masks" / "a.png")[:2], class_palette(classes)[:2])
