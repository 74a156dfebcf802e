"""Data sets of Hugging Face: every kind of label is read, or named by split and row."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dhr.data import DataSet, open_data
from dhr.errors import DataError, ItemError

datasets = pytest.importorskip("datasets")

Save = Callable[..., Path]


@pytest.fixture
def content(formats: ModuleType, tmp_path: Path) -> bytes:
    """A photograph's bytes."""
    formats.photograph(tmp_path / "photograph.png")
    return (tmp_path / "photograph.png").read_bytes()


@pytest.fixture
def save(content: bytes, tmp_path: Path) -> Save:
    """Saves a table with a column of images: ``save("label", ["cat"], Value("string"))``."""

    def write(column: str, rows: list[Any], feature: Any, classes: str | None = None, **more: Any) -> Path:
        features = {"image": datasets.Image(), column: feature, **{name: one[1] for name, one in more.items()}}
        table = {"image": [{"bytes": content, "path": None}] * len(rows), column: rows}
        table |= {name: one[0] for name, one in more.items()}
        root = tmp_path / "set"
        datasets.Dataset.from_dict(table, features=datasets.Features(features)).save_to_disk(str(root))
        if classes is not None:
            (root / "classes.txt").write_text(classes)
        return root

    return write


def tags(data: DataSet) -> dict[str, tuple[str, ...]]:
    return {one.name.lstrip("0") or "0": tuple(data.classes.names[tag] for tag in one.tags) for one in data.samples}


def told(data: DataSet) -> str:
    return " | ".join(f"{problem.source}: {problem.reason}" for problem in data.problems)


def value(dtype: str) -> Any:
    return datasets.Value(dtype)


def label(*names: str) -> Any:
    return datasets.ClassLabel(names=list(names))


def many(feature: Any) -> Any:
    return datasets.Sequence(feature)


NAMED = "background\njar\nmug\n"


@pytest.mark.parametrize(
    ("rows", "feature", "classes"),
    [
        (["jar", "mug"], lambda: value("string"), None),
        (["jar", " mug "], lambda: value("large_string"), NAMED),
        ([["jar"], ["mug"]], lambda: many(value("string")), None),
        ([0, 1], lambda: label("jar", "mug"), None),
        ([1, 2], lambda: label("background", "jar", "mug"), None),
        ([[0], [1]], lambda: many(label("jar", "mug")), None),
        ([0, 1], lambda: value("int64"), NAMED),
        ([0.0, 1.0], lambda: value("float32"), NAMED),
        ([[0], [1]], lambda: many(value("int8")), NAMED),
        ([[1, 0], [0, 1]], lambda: many(value("int64")), NAMED),
        ([[1.0, 0.0], [0.0, 1.0]], lambda: many(value("float32")), NAMED),
        ([[True, False], [False, True]], lambda: many(value("bool")), NAMED),
        ([[1, 0], [0, 1]], lambda: datasets.List(value("uint8"), length=2), NAMED),
    ],
)
def test_labels_of_every_kind(save: Save, rows: list[Any], feature: Callable[[], Any], classes: str | None) -> None:
    data = open_data(save("labels", rows, feature(), classes))
    assert data.classes.names == ("background", "jar", "mug")
    assert tags(data) == {"0": ("jar",), "1": ("mug",)}
    assert not data.problems


def test_numbers_are_told_to_count_from_0(save: Save) -> None:
    data = open_data(save("label", [0, 1], value("int64"), NAMED))
    assert any("count the classes of classes.txt without the background: 0 is 'jar'" in note for note in data.notes)


@pytest.mark.parametrize(
    ("rows", "dtype", "in_list", "classes", "words"),
    [
        ([0, 1], "int64", False, None, "holds numbers (0 to 1) without names; write classes.txt"),
        ([1, 2], "int64", False, NAMED, "holds numbers 1 to 2, but classes.txt names 2 classes besides the background"),
        ([-2, 1], "int64", False, NAMED, "holds numbers -2 to 1, but"),
        ([[0, 1, 0]], "float32", True, None, "holds lists of 3 numbers 0 and 1, one for each class, but nothing names"),
        (
            [[0, 1, 0]],
            "int64",
            True,
            NAMED,
            "holds lists of 3 numbers 0 and 1, one for each class, but classes.txt names 2",
        ),
        (
            [[0.2, 0.8]],
            "float32",
            True,
            None,
            "no row names a class: .*expected texts or class labels as tags, got '0.2",
        ),
        ([True, False], "bool", False, None, "expected texts or class labels as tags, got 'True'"),
        ([None, None], "string", False, None, "its label is missing, so it is unlabelled"),
    ],
)
def test_labels_that_nothing_names_are_refused_with_the_remedy(
    save: Save, rows: list[Any], dtype: str, in_list: bool, classes: str | None, words: str
) -> None:
    root = save("labels", rows, many(value(dtype)) if in_list else value(dtype), classes)
    with pytest.raises(DataError) as error:
        open_data(root)
    assert re.search(words if ".*" in words else re.escape(words), str(error.value))
    assert "got 0" not in str(error.value)


def test_lists_of_places_with_gaps_or_of_other_lengths_are_never_read_as_numbers(save: Save) -> None:
    data = open_data(save("labels", [[0.0, 1.0], [1.0, None], None], many(value("float32")), NAMED))
    assert tags(data) == {"0": ("mug",)}
    assert told(data).count("is unlabelled") == 2
    root = save("labels", [[0.0, 1.0], [1.0]], many(value("float32")), NAMED)
    with pytest.raises(DataError, match=r"expected texts or class labels as tags, got '0\.0'"):
        open_data(root)


def test_nothing_is_dropped_in_silence(save: Save) -> None:
    feature = label("jar", "mug")
    data = open_data(save("label", [0, -1, None, 1], feature))
    assert tags(data) == {"0": ("jar",), "3": ("mug",)}
    assert "row 1: its label -1 means that it is unlabelled" in told(data)
    assert "row 2: its label is missing, so it is unlabelled" in told(data)
    data = open_data(save("label", [[0, -1], [], [1]], many(feature)))
    assert tags(data) == {"1": (), "2": ("mug",)}  # an empty list is a negative
    assert "row 0: its label -1" in told(data)
    data = open_data(save("tags", ["jar", "", None], value("string")))
    assert tags(data) == {"0": ("jar",)}
    assert told(data).count("is missing") == 2


def test_texts_of_several_labels_are_no_class_of_their_own(save: Save) -> None:
    for text in ("jar, mug", "jar;mug", "mug | jar"):
        with pytest.raises(DataError, match=r"holds several of the other labels; save lists|without ';'"):
            open_data(save("tags", ["jar", text, "mug"], value("string")))


BOX = [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("form", ["lists in an object", "a list of objects"])
@pytest.mark.parametrize("category", ["category", "label"])
def test_objects_tag_by_their_category(save: Save, form: str, category: str) -> None:
    kinds = [[0, 1, 1], [], [1, 1, 0], [1]]
    inner = {"bbox": many(value("float32")), category: label("jar", "mug")}
    if form == "lists in an object":
        rows: list[Any] = [{"bbox": [BOX] * len(one), category: one} for one in kinds]
        feature = datasets.Sequence(inner)
    else:
        rows = [[{"bbox": BOX, category: kind} for kind in one] for one in kinds]
        feature = datasets.List(inner)
    data = open_data(save("objects", rows, feature))
    assert tags(data) == {"0": ("jar", "mug"), "1": (), "2": ("jar", "mug"), "3": ("mug",)}


def test_objects_without_a_category_say_what_they_have(save: Save) -> None:
    root = save(
        "objects", [[{"bbox": BOX, "kind": 1}]], datasets.List({"bbox": many(value("float32")), "kind": value("int64")})
    )
    with pytest.raises(DataError, match="holds objects with 'bbox', 'kind'; expected one of category"):
        open_data(root)


def test_other_columns_of_labels_are_told(save: Save) -> None:
    root = save("fine", [0], label("jar"))
    assert tags(open_data(root)) == {"0": ("jar",)}  # the only column of class labels
    root = save("label", [0], label("jar"), coarse=([0], label("thing")))
    data = open_data(root)
    assert data.notes == ("tags are those of column 'label'; not read: 'coarse'",)
    root = save("fine", [0], label("jar"), coarse=([0], label("thing")))
    with pytest.raises(DataError, match=r"expected a column of tags .*got image, fine, coarse"):
        open_data(root)


def test_all_splits_have_the_same_classes(content: bytes, tmp_path: Path) -> None:
    def table(*names: str) -> Any:
        rows = {"image": [{"bytes": content, "path": None}] * len(names), "tags": list(names)}
        return datasets.Dataset.from_dict(
            rows, features=datasets.Features(image=datasets.Image(), tags=value("string"))
        )

    both = datasets.DatasetDict({"train": table("jar", "mug"), "validation": table("mug")})
    both.save_to_disk(str(tmp_path / "set"))
    assert open_data(tmp_path / "set", split="val").classes == open_data(tmp_path / "set", split="train").classes
    other = datasets.Dataset.from_dict({"image": [{"bytes": content, "path": None}], "tags": [3]}).cast_column(
        "image", datasets.Image()
    )
    datasets.DatasetDict({"train": table("jar"), "test": other}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(DataError, match="column 'tags' of split 'test' is not as in 'train'"):
        open_data(tmp_path / "two")
    assert tags(open_data(tmp_path / "two", split="train")) == {"0": ("jar",)}


def test_images_by_path_are_found_by_its_end_among_files_of_the_data_set(formats: ModuleType, tmp_path: Path) -> None:
    paths = ["images/a.png", "/content/data/images/b.png", "C:\\data\\images\\a.png", "../images/b.png", "gone.png"]
    root = tmp_path / "set"
    rows = {"image": paths, "label": ["jar"] * 5, "id": list(range(5))}
    datasets.Dataset.from_dict(rows).save_to_disk(str(root))
    for name in "ab":
        formats.photograph(root / "images" / f"{name}.png")
    data = open_data(root)
    for sample in data.samples[:4]:
        assert data.read_image(sample).shape == (6, 8, 3)
    with pytest.raises(
        ItemError, match=r"only the path 'gone\.png', and no image .*; save the data set with its images"
    ):
        data.read_image(data.samples[4])


def test_images_as_bytes_and_what_is_no_image(content: bytes, tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"img": [content], "label": ["jar"]}).save_to_disk(str(tmp_path / "bytes"))
    data = open_data(tmp_path / "bytes")
    assert data.read_image(data.samples[0]).shape == (6, 8, 3)
    datasets.Dataset.from_dict({"image": [[[1, 2], [3, 4]]], "label": ["jar"]}).save_to_disk(str(tmp_path / "array"))
    with pytest.raises(DataError, match=r"expected images in column 'image', got .*cast it to Image"):
        open_data(tmp_path / "array")


def test_masks_that_cannot_be_truth_are_refused_by_row(save: Save, tmp_path: Path) -> None:
    masks = []
    for mode, size in (("RGB", (8, 6)), ("L", (9, 6)), ("L", (8, 6))):
        made = Image.fromarray(np.full((size[1], size[0]), 1, np.uint8))
        (made if mode == "L" else Image.new("RGB", size, (9, 200, 3))).save(tmp_path / "mask.png")
        masks.append({"bytes": (tmp_path / "mask.png").read_bytes(), "path": None})
    data = open_data(save("label", [0, 0, 0], label("jar"), mask=(masks, datasets.Image())))
    for row, words in ((0, "row 0"), (1, "row 1: expected a mask of 8x6 pixels")):
        with pytest.raises(ItemError, match=words):
            data.read_ground_truth(data.samples[row])
    assert np.unique(data.read_ground_truth(data.samples[2])).tolist() == [1]
    data = open_data(save("label", [0], label("jar"), annotation=(["a jar"], value("string"))))
    assert not data.samples[0].has_ground_truth
    assert data.notes == ("column 'annotation' holds no images, so it is not ground truth",)


def test_the_remedies_for_other_folders_of_hugging_face_work(formats: ModuleType, tmp_path: Path) -> None:
    """The commands that the errors give make a data set that opens."""
    formats.photograph(tmp_path / "folder" / "train" / "a.png")
    formats.write(tmp_path / "folder" / "train" / "metadata.csv", "file_name,label\na.png,jar\n")
    rows = {"image": [str(tmp_path / "folder" / "train" / "a.png")], "label": ["jar"]}
    table = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    (tmp_path / "tables").mkdir()
    table.to_parquet(str(tmp_path / "tables" / "train.parquet"))
    for name in ("folder", "tables"):
        with pytest.raises(DataError) as error:
            open_data(tmp_path / name)
        command = re.search(r'python -c "[^"]+"', str(error.value))
        assert command is not None
        work = tmp_path / f"work {name}"
        work.mkdir()
        words = [sys.executable, *shlex.split(command[0])[1:]]
        subprocess.run(words, cwd=work, check=True, capture_output=True)
        data = open_data(work / "saved")
        assert [data.classes.names[tag] for sample in data.samples for tag in sample.tags] == ["jar"]
        assert data.read_image(data.samples[0]).shape == (6, 8, 3)
