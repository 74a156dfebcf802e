"""What a function takes as data: folders, data sets, photographs and tags in memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dhr
from dhr.api.data import DataFolder, opened
from dhr.errors import ConfigError, DataError, ItemError
from dhr.progress import silent

GREY = np.full((12, 8, 3), 128, np.uint8)


def test_arrays_and_tags_are_a_data_set() -> None:
    data = dhr.open_data(([GREY, GREY + 1], [["sky", "sea"], {"dog"}]))
    assert data.classes.names == ("dog", "sea", "sky") and not data.classes.background
    assert [(one.name, one.tags) for one in data.samples] == [("0", (1, 2)), ("1", (0,))]
    assert np.array_equal(data.read_image(data.samples[1]), GREY + 1)
    assert data.digest(data.samples[0]) != data.digest(data.samples[1])
    with pytest.raises(ItemError, match="no ground truth"):
        data.read_ground_truth(data.samples[0])


def test_paths_keep_their_names_and_those_that_meet_get_a_number(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "x.png", tmp_path / "b" / "X.png", tmp_path / "y.png"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(GREY + number).save(path)
    data = dhr.open_data(([*paths[:2], str(paths[2])], [["sky"]] * 3))
    assert [one.name for one in data.samples] == ["0-x", "1-X", "y"]
    assert np.array_equal(data.read_image(data.samples[2]), GREY + 2)


def test_the_background_is_a_class_where_it_is_named() -> None:
    data = dhr.open_data(([GREY, GREY], [["sky"], []]), classes=["background", "sky"])
    assert data.classes.background and [one.tags for one in data.samples] == [(1,), ()]
    assert dhr.open_data(([GREY], [["sky", "background"]])).classes.names == ("background", "sky")
    without = dhr.open_data(([GREY, GREY], [["sky"], []]))
    assert len(without.samples) == 1 and "no tags" in without.problems[0].reason


@pytest.mark.parametrize(
    ("images", "tags", "words"),
    [
        ([GREY], [["a"], ["b"]], "1 photographs and 2 tags"),
        ([], [], "got none"),
        ([GREY], ["sky"], "expected a list of tags, got 'sky'"),
        ([GREY], [3], "expected a list of tags, got 3"),
        ([GREY], [[3]], "expected names as tags, got 3"),
        ([GREY], [["  "]], "expected names as tags"),
        ([GREY.astype(float)], [["a"]], "got (12, 8, 3) of float64"),
        ([GREY[..., 0]], [["a"]], "got (12, 8) of uint8"),
        ([GREY[:0]], [["a"]], "got (0, 8, 3)"),
        ([np.moveaxis(GREY, 2, 0)], [["a"]], "got (3, 12, 8)"),
        ([None], [["a"]], "expected RGB"),
        ([GREY], [["background"]], "expected 1 to 255 classes, got 0"),
    ],
)
def test_what_cannot_be_a_data_set_is_one_line(images: Any, tags: Any, words: str) -> None:
    with pytest.raises(DataError) as error:
        dhr.open_data((images, tags))
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("classes", "words"),
    [(["dog"], "'sky' is not one of classes"), ("sky", "list of class names"), (["sky", "sky"], "each class once")],
)
def test_classes_that_do_not_fit_are_refused(classes: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        dhr.open_data(([GREY], [["sky"]]), classes=classes)


def test_other_things_are_refused() -> None:
    with pytest.raises(DataError, match="expected a folder"):
        dhr.open_data("nowhere")
    with pytest.raises(ConfigError, match="classes is for photographs in memory"):
        dhr.open_data("nowhere", classes=["a"])


def test_a_folder_is_opened_as_it_is_asked_for(fresh: Any) -> None:
    (fresh.data / "splits").mkdir()
    name = sorted((fresh.data / "images").iterdir())[0].stem
    (fresh.data / "splits" / "one.txt").write_text(f"{name}\n")
    assert len(dhr.open_data(fresh.data, split="one").samples) == 1
    assert len(opened(DataFolder(fresh.data, split="one"), silent).samples) == 1
    data = dhr.open_data(fresh.data)
    assert opened(data, silent) is data
