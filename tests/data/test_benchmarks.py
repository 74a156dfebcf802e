"""Tables of the benchmarks against lists that others wrote."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from dhr.data import VOID, open_data, palette, read_mask
from dhr.data.benchmarks import BENCHMARKS, benchmark
from dhr.data.ground_truth import MaskFile
from dhr.data.image_labels import read_image_labels
from dhr.data.labels import Storage
from dhr.data.mask_tags import tags_of_masks
from dhr.data.palette import class_palette
from dhr.progress import silent

COUNTS = {"voc": 21, "coco": 81, "context": 59, "ade": 150, "stuff": 171}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_table_is_sound(name: str) -> None:
    table = benchmark(name)
    names = table.classes.names
    assert len(names) == COUNTS[name] == len(set(names)) == len(set(table.stored))
    assert table.classes.background == (name in ("voc", "coco")) == (names[0] == "background")
    assert not set(table.stored) & set(table.void) and list(table.stored) == sorted(table.stored)
    assert all(name == name.strip() and ";" not in name for name in names)
    assert table.classes.supers is None or len(table.classes.supers) == len(names)
    assert class_palette(table.classes).shape == (256, 3)


def test_numbers_of_the_masks() -> None:
    assert benchmark("voc").stored == benchmark("coco").stored[:21] == tuple(range(21))
    assert benchmark("context").stored == tuple(range(1, 60)) and benchmark("context").void == (0, VOID)
    assert benchmark("ade").stored == tuple(range(1, 151)) and benchmark("ade").void == (0,)
    # The eleven categories that COCO named and never annotated leave gaps.
    gaps = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91}
    assert benchmark("stuff").stored == tuple(one - 1 for one in range(1, 183) if one not in gaps)
    assert benchmark("coco").categories == (0, *(one for one in range(1, 91) if one not in gaps))
    assert benchmark("stuff").classes.names[:80] == benchmark("coco").classes.names[1:]
    assert list(benchmark("stuff").classes.names[80:]) == sorted(benchmark("stuff").classes.names[80:])


def test_coco_is_that_of_the_shared_photographs(shared: Path) -> None:
    coco = benchmark("coco")
    assert list(coco.classes.names) == (shared / "coco_mini" / "classes.txt").read_text().split("\n")[:81]
    with (shared / "coco_mini" / "supercategories.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert coco.classes.supers == tuple(rows[name]["supercategory"] for name in coco.classes.names)
    assert coco.categories == tuple(int(rows[name]["coco_category_id"]) for name in coco.classes.names)


def test_ade_is_object_info_150(shared: Path) -> None:
    with (shared / "ade20k" / "objectInfo150.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ade = benchmark("ade")
    assert [int(row["Idx"]) for row in rows] == list(ade.stored)
    for row, name in zip(rows, ade.classes.names, strict=True):
        assert row["Name"].replace(";", " ").startswith(name)


def test_voc_masks_and_lists(shared: Path) -> None:
    voc = benchmark("voc")
    given = json.loads((shared / "voc2012/lists/cls_labels.json").read_text())
    assert list(voc.classes.names[1:]) == given["classes"]
    masks = sorted((shared / "voc2012/SegmentationClass").glob("*.png"))[::60]
    storage = Storage(voc.classes, voc.stored, voc.void, own_palette=True)
    for path in masks:
        with Image.open(path) as image:
            stored = image.getpalette("RGB")
        assert stored is not None and np.array_equal(np.reshape(stored, (-1, 3))[:21], palette()[:21])
        truth = MaskFile(path, storage).read(None)
        assert np.array_equal(truth, read_mask(path)) and set(np.unique(truth)) <= {*range(21), VOID}
    # Image-level lists were made from the boxes, which mark what the masks show, and now and then more.
    lines = read_image_labels(shared / "voc2012/lists/cls_labels.json", voc.classes)
    tags_of = tags_of_masks({path.stem: MaskFile(path, storage) for path in masks}, silent)
    agree = [set(lines[path.stem].tags) == set(tags_of(path.stem).tags) for path in masks]
    assert np.mean(agree) > 0.9


def test_real_voc_photographs_open_as_they_are_published(shared: Path, tmp_path: Path) -> None:
    real, top = shared / "voc2012/real12", tmp_path / "VOC2012"
    (top / "ImageSets/Segmentation").mkdir(parents=True)
    (top / "JPEGImages").symlink_to(real / "images")
    (top / "SegmentationClass").symlink_to(real / "masks")
    for name in ("train", "val", "train_aug"):
        (top / f"ImageSets/Segmentation/{name}.txt").symlink_to(shared / f"voc2012/lists/{name}.txt")
    from_masks = open_data(tmp_path)
    (top / "cls_labels.json").symlink_to(shared / "voc2012/lists/cls_labels.json")
    from_list = open_data(tmp_path, split="train_aug")
    assert len(from_masks.samples) == 12 and from_list.classes == benchmark("voc").classes
    listed = len((shared / "voc2012/lists/train_aug.txt").read_text().split())
    assert len(from_list.samples) + len(from_list.problems) == listed == 10582
    tags = {one.name: one.tags for one in from_masks.samples}
    assert sum(tags[one.name] == one.tags for one in from_list.samples) >= len(from_list.samples) - 2 > 0  # boxes


def test_real_ade_samples_open_as_they_are_published(shared: Path, tmp_path: Path) -> None:
    samples, top = shared / "ade20k/samples", tmp_path / "ADEChallengeData2016"
    for folder in ("images", "annotations"):
        (top / folder).mkdir(parents=True)
        (top / folder / "validation").symlink_to(samples / folder)
    data = open_data(tmp_path, split="validation")
    assert len(data.samples) == 3 and not data.classes.background
    for sample in data.samples:
        stored = read_mask(samples / "annotations" / f"{sample.name}.png")
        truth = data.read_ground_truth(sample)
        assert np.array_equal(truth, np.where(stored == 0, VOID, stored.astype(int) - 1))
        assert sample.tags == tuple(sorted(set(np.unique(truth).tolist()) - {VOID}))


def test_coco_2014_lists_count_the_classes_without_the_background(shared: Path) -> None:
    lines = read_image_labels(shared / "coco2014_lists/val.txt", benchmark("coco").classes)
    assert len(lines) == 40137 and all(line.reason is None for line in lines.values())
    names = benchmark("coco").classes.names
    assert [names[tag] for tag in lines["COCO_val2014_000000000074"].tags] == ["person", "bicycle", "dog"]


def test_coco_masks_are_those_of_pycocotools(lay: Callable[[str], Path], formats: ModuleType) -> None:
    run_lengths = pytest.importorskip("pycocotools.mask")
    root, content = lay("coco"), formats.coco_json()
    random = np.random.default_rng(0)
    content["annotations"], expected = [], {}
    for image in (9, 25):
        labels = np.zeros((6, 8), np.uint8)
        objects = []
        for number in range(6):
            inside = random.random((6, 8)) < 0.3
            objects.append((int(inside.sum()), number, inside))
        for area, number, inside in objects:
            coded = run_lengths.encode(np.asfortranarray(inside.astype(np.uint8)))
            content["annotations"].append(
                {
                    "id": image * 100 + number, "image_id": image, "category_id": (1, 18, 22)[number % 3], "iscrowd": 0,
                    "area": area, "segmentation": {"size": [6, 8], "counts": coded["counts"].decode()},
                }
            )  # fmt: skip
        for _, number, inside in sorted(objects, key=lambda one: -one[0]):
            labels[inside] = number % 3 + 1
        expected[image] = labels
    (root / "annotations/instances_train2017.json").write_text(json.dumps(content))
    data = open_data(root)
    for sample in data.samples:
        assert np.array_equal(data.read_ground_truth(sample), expected[int(sample.name)])
