"""YOLO's layout, as several programs write it; label files that are wrong, and files that were made to do harm."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dhr.data import DataSet, open_data
from dhr.errors import DataError, ItemError

pytest.importorskip("cv2")

SQUARE = "0 0 0.49 0 0.49 0.99 0 0.99"  # the left half
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, formats: ModuleType) -> Write:
    """Writes photographs with label files, by their paths, and a description."""

    def make(labels: dict[str, str | None], description: str | None, name: str = "data.yaml") -> Path:
        root = tmp_path / "set"
        for image, text in labels.items():
            formats.photograph(root / image)
            if text is not None:
                before, _, after = f"/{image}".rpartition("/images/")
                formats.write(root / f"{before}/labels/{after}".lstrip("/").replace(".jpg", ".txt"), text)
        if description is not None:
            formats.write(root / name, description)
        return root

    return make


def tags(data: DataSet) -> dict[str, list[str]]:
    return {one.name: [data.classes.names[tag] for tag in one.tags] for one in data.samples}


ONE = {"images/train/a.jpg": f"1 {SQUARE}\n"}
NAMES = "names: [cat, dog]\n"


@pytest.mark.parametrize(
    ("image", "description"),
    [
        (
            "images/train/a.jpg",
            "path: ../datasets/pets\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n",
        ),
        ("images/train/a.jpg", "path: /home/ann/pets\ntrain: images/train\n" + NAMES),
        ("train/images/a.jpg", "train: ../train/images\nval: ../valid/images\nnc: 2\n" + NAMES),
        ("train/images/a.jpg", "train: C:\\pets\\train\\images\n" + NAMES),
        ("train/images/a.jpg", "train: [train/images, valid/images]\n" + NAMES),
        ("images/a.jpg", "train: images\nval: images\n" + NAMES),
        ("images/a.jpg", "train: ./\n" + NAMES),
        ("train/a.jpg", "train: train\n" + NAMES),
    ],
)
def test_descriptions_of_every_kind(write: Write, formats: ModuleType, image: str, description: str) -> None:
    root = write({image: f"1 {SQUARE}\n"}, description)
    if "images" not in image:  # labels beside the photographs
        (root / "labels").rename(root / "gone") if (root / "labels").exists() else None
        formats.write((root / image).with_suffix(".txt"), f"1 {SQUARE}\n")
    data = open_data(root)
    assert data.classes.names == ("background", "cat", "dog")
    assert list(tags(data).values()) == [["dog"]] and data.samples[0].name.endswith("a")
    labels = data.read_ground_truth(data.samples[0])
    assert (labels[:, :4] == 2).all() and not labels[:, 4:].any()


def test_lists_of_photographs_and_splits(write: Write, formats: ModuleType) -> None:
    root = write(
        {"images/train/a.jpg": f"0 {SQUARE}", "images/train/trip/b.jpg": f"1 {SQUARE}", "images/val/c.jpg": None},
        "train: train.txt\nval: val.txt\ncold: cold.txt\n" + NAMES,
    )
    formats.write(root / "train.txt", "./images/train/a.jpg\n/elsewhere/images/train/trip/b.jpg\n\n./images/gone.jpg\n")
    formats.write(root / "val.txt", "images/val/c.jpg\n")
    formats.write(root / "cold.txt", "images/train/a.jpg\n")
    data = open_data(root)
    assert tags(data) == {"a": ["cat"], "trip/b": ["dog"], "c": []}
    assert [one.source for one in data.problems] == ["./images/gone.jpg"]
    assert tags(open_data(root, split="cold")) == {"a": ["cat"]}
    with pytest.raises(DataError, match="no split 'test'; there are 'cold', 'train', 'val'"):
        open_data(root, split="test")


def test_classes_txt_with_images_and_labels(write: Write) -> None:
    root = write({"images/a.jpg": f"1 {SQUARE}\n"}, "cat\ndog\n", "classes.txt")
    data = open_data(root)
    assert data.classes.names == ("background", "cat", "dog") and tags(data) == {"a": ["dog"]}


def test_classes_txt_is_read_as_everywhere(write: Write) -> None:
    root = write({"images/a.jpg": f"1 {SQUARE}\n"}, "0: cat\n1: dog\n\n", "classes.txt")
    assert open_data(root).classes.names == ("background", "cat", "dog")
    (root / "classes.txt").write_text("cat\n\ndog\n")
    with pytest.raises(DataError, match="line 2: blank, but the line number is the class id"):
        open_data(root)


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("0 0.5 0.5 0.2 0.2", "it is a box"),
        ("0 0.5 0.5 0.2 0.2 0.93", "it is a box"),
        ("0.0 0.5 0.5 0.2 0.2", "it is a box"),
        (f"0 {SQUARE} 0.93", None),
        (f"  0\t{SQUARE}  ", None),
    ],
)
def test_lines_of_every_kind(write: Write, line: str, missing: str | None) -> None:
    data = open_data(write({"images/a.jpg": line}, "train: images\n" + NAMES))
    assert tags(data) == {"a": ["cat"]} and data.samples[0].has_ground_truth == (missing is None)
    if missing is not None:
        with pytest.raises(ItemError, match=missing):
            data.read_ground_truth(data.samples[0])


def test_keypoints_are_no_polygons(write: Write) -> None:
    line = "0 0.5 0.5 0.2 0.2 0.4 0.4 2 0.6 0.6 2"
    data = open_data(write({"images/a.jpg": line}, "train: images\nkpt_shape: [2, 3]\n" + NAMES))
    assert tags(data) == {"a": ["cat"]} and not data.samples[0].has_ground_truth


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("7 0.5 0.5 0.2 0.2", "line 2: an object of the class 7, which does not exist,"),
        ("0 120 60 40 30", "line 2: an object with coordinates outside 0..1"),
        ("0 nan 0.5 0.2 0.2", "line 2: an object with coordinates outside 0..1"),
        ("cat 0.5 0.5 0.2 0.2", "line 2: expected numbers, got 'cat 0.5"),
        ("0 0.5 0.5", "line 2: an object of 2 numbers"),
        ("\x00\ufffe", "line 2: expected numbers"),
    ],
)
def test_lines_that_are_not_understood_leave_their_photograph_out(write: Write, line: str, words: str) -> None:
    root = write({"images/a.jpg": f"1 {SQUARE}\n{line}\n", "images/b.jpg": f"0 {SQUARE}"}, "train: images\n" + NAMES)
    data = open_data(root)
    assert tags(data) == {"b": ["cat"]}
    (problem,) = data.problems
    assert words in problem.reason and "labels/a.txt" in problem.reason and problem.reason.isprintable()
    assert tags(open_data(root, ignore_unknown=True)) == {"a": ["dog"], "b": ["cat"]}


def test_a_data_set_without_any_label_file_says_so(write: Write) -> None:
    with pytest.raises(DataError, match="no photograph has a label file"):
        open_data(write({"images/a.jpg": None}, "train: images\n" + NAMES))


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ("train: images\nnames:\n", "expected names as a list of texts"),
        ("train: images\nnames: [yes, no]\n", "put them in quotes"),
        ("train: images\nnames: {a: cat}\n", "expected names"),
        ("train: images\nnames: [cat, cat]\n", "occur twice"),
        ("train: images\nnames: []\n", "classes"),
        ("train: images\nnames: [cat]\n bad: [\n", "not valid YAML"),
        ("train: &a [x]\nval: *a\nnames: [cat]\n", "aliases"),
        ("train: images\nnames: " + "[" * 30_000 + "\n", "nest"),
        ("train: images\nnames: [" + "9" * 30_000 + "]\n", "digits"),
        ("train: images\nnames: [2024-13-45]\n", "not valid YAML"),
        ("train: gone\nnames: [cat]\n", "there is no folder of photographs and no list 'gone'"),
        ("train: ../../secret\nnames: [cat]\n", "there is no folder of photographs"),
    ],
)
def test_damaged_descriptions_are_one_line(write: Write, description: str, words: str) -> None:
    with pytest.raises(DataError) as error:
        open_data(write(ONE, description))
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1


def test_small_polygons_lie_above_large_ones_in_any_order(write: Write) -> None:
    small, large = "0 0.1 0.1 0.3 0.1 0.3 0.3 0.1 0.3\n", "1 0 0 0.7 0 0.7 0.7 0 0.7\n"
    shown = [
        open_data(write({"images/a.jpg": text}, "train: images\n" + NAMES)) for text in (small + large, large + small)
    ]
    first, second = (data.read_ground_truth(data.samples[0]) for data in shown)
    assert (first == second).all() and set(np.unique(first)) == {0, 1, 2}


def test_names_lead_nowhere(write: Write, formats: ModuleType, tmp_path: Path) -> None:
    formats.photograph(tmp_path / "secret.jpg")
    root = write(ONE, "train: train.txt\n" + NAMES)
    formats.write(root / "train.txt", f"images/train/a.jpg\n../secret.jpg\n{tmp_path}/secret.jpg\n")
    (root / "images" / "link").symlink_to(tmp_path, target_is_directory=True)
    data = open_data(root)
    assert tags(data) == {"a": ["dog"]}
    assert all("no image" in one.reason or one.source == str(root / "images/link") for one in data.problems)


def test_a_polygon_without_end_costs_one_ground_truth(write: Write) -> None:
    text = "0 " + "0 0 1 1 " * 100_000
    data = open_data(write({"images/a.jpg": text}, "train: images\n" + NAMES))
    with pytest.raises(ItemError, match=r"a.txt line 1: .*repeats its path"):
        data.read_ground_truth(data.samples[0])


def test_label_files_of_renamed_photographs_are_named(write: Write) -> None:
    labels = {f"images/train/{name}.jpg": f"1 {SQUARE}\n" for name in ("a", "b", "caf\u00e9", "d")}
    root = write(labels, "train: images/train\n" + NAMES)
    (root / "images/train/caf\u00e9.jpg").rename(root / "images/train/cafe\u0301.jpg")  # as Macs store it
    (root / "labels/train/d.txt").rename(root / "labels/train/D.TXT")
    (root / "images/train/b.jpg").rename(root / "images/train/c.jpg")
    (root / "labels/train/classes.txt").write_text("cat\ndog\n")
    data = open_data(root)
    assert tags(data) == {"a": ["dog"], "cafe\u0301": ["dog"], "d": ["dog"], "c": []}
    assert [one.source for one in data.problems] == [str(root / "labels/train/b.txt")]
    assert "no photograph is called 'b'" in data.problems[0].reason


def test_label_files_that_cannot_be_read_leave_their_photographs_out(write: Write) -> None:
    labels = {f"images/{name}.jpg": f"1 {SQUARE}\n" for name in ("a", "b", "c", "d")}
    root = write(labels, "train: images\n" + NAMES)
    for name in ("b", "c", "d"):
        (root / f"labels/{name}.txt").unlink()
    (root / "labels/b.txt").symlink_to("/nowhere/b.txt")
    os.mkfifo(root / "labels/c.txt")
    (root / "labels/d.txt").mkdir()
    data = open_data(root)
    assert tags(data) == {"a": ["dog"], "d": []}
    assert [Path(one.source).name for one in data.problems] == ["b.jpg", "c.jpg"]


def test_letter_case_of_label_files_counts_where_photographs_differ_in_it_alone(write: Write) -> None:
    root = write({"images/a.jpg": None, "images/A.jpg": f"1 {SQUARE}", "images/b.jpg": None}, "train: images\n" + NAMES)
    for name in ("B", "b"):
        (root / f"labels/{name}.txt").write_text(f"{'bB'.index(name)} {SQUARE}\n")
    data = open_data(root)
    assert tags(data) == {"b": ["cat"]}
    assert any(one.source == str(root / "labels/B.txt") for one in data.problems)


def test_label_files_below_a_link_leave_their_photographs_out(write: Write, tmp_path: Path) -> None:
    labels = {"images/train/a.jpg": f"1 {SQUARE}\n", "images/val/b.jpg": f"0 {SQUARE}\n"}
    root = write(labels, "train: images/train\nval: images/val\n" + NAMES)
    (root / "labels/train").rename(tmp_path / "elsewhere")
    (root / "labels/train").symlink_to(tmp_path / "elsewhere")
    data = open_data(root)
    assert tags(data) == {"b": ["cat"]}
    assert {Path(one.source).name for one in data.problems} == {"train", "a.jpg"}
    assert all("a link to a folder is not followed" in one.reason for one in data.problems)
