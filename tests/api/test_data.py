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


def test_photographs_and_tags_of_other_kinds(tmp_path: Path) -> None:
    grey, clear = (Image.fromarray(GREY[..., 0]), Image.fromarray(GREY).convert("RGBA"))
    data = dhr.open_data(([grey, clear], np.array([["sky"], ["sea"]])), classes=np.array(["sky", "sea"]))
    assert [one.tags for one in data.samples] == [(0,), (1,)] and {*map(type, data.classes.names)} == {str}
    assert all(np.array_equal(data.read_image(one), GREY) for one in data.samples)
    generated = dhr.open_data(((one for one in [GREY]), [(tag for tag in ["sky"])]))
    assert generated.classes.names == ("sky",)


def test_names_stay_apart_when_a_number_makes_them_meet(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png", tmp_path / "0-x.png"]
    data = dhr.open_data((paths, [["sky"]] * 3))
    assert len({one.name for one in data.samples}) == 3


def test_a_missing_photograph_is_left_out_with_a_reason(tmp_path: Path) -> None:
    data = dhr.open_data(([tmp_path / "missing.png"], [["sky"]]))
    with pytest.raises(ItemError, match="cannot be read"):
        data.digest(data.samples[0])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("images", "tags", "words"),
    [
        ([GREY], None, "a list of tags, one entry for each photograph, got NoneType"),
        (Path("folder"), [["a"]], "a list of photographs"),
        ("folder", [["a"]], "a list of photographs"),
        ({"x": GREY}, [["a"]], "a list of photographs"),
        ([GREY], [None], "expected a list of tags, got None"),
        ([GREY], np.array(["sky"]), "expected a list of tags, got 'sky'; write ['sky']"),
        ([GREY[..., 0]], [["a"]], "np.stack"),
        ([np.dstack([GREY, GREY[..., 0]])], [["a"]], "image[..., :3]"),
        ([GREY / 255], [["a"]], ".astype(np.uint8)"),
    ],
)
def test_a_remedy_is_named(images: Any, tags: Any, words: str) -> None:
    with pytest.raises(DataError) as error:
        dhr.open_data((images, tags))
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.usefixtures("unchecked")
def test_class_names_that_are_no_text_are_refused() -> None:
    with pytest.raises(DataError, match="expected names of classes, got 1"):
        dhr.open_data(([GREY], [["sky"]]), classes=[1, "sky"])  # type: ignore[list-item]


def test_what_concerns_folders_is_refused_elsewhere() -> None:
    with pytest.raises(ConfigError, match="are for a folder"):
        dhr.open_data(([GREY], [["sky"]]), split="val")


@pytest.mark.usefixtures("unchecked")
def test_data_of_another_type_is_refused_before_weights(tmp_path: Path) -> None:
    for function in (dhr.run, dhr.train):
        with pytest.raises(ConfigError, match="data must be a folder"):
            function(3, tmp_path)  # type: ignore[arg-type]
