"""COCO files of every origin: what converters, annotation tools and Python write."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dhr.data import VOID, DataSet, open_data
from dhr.data.coco_objects import identity
from dhr.errors import DataError, ItemError

SIZE = (6, 8)
SQUARE = [0, 0, 4, 0, 4, 6, 0, 6]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, formats: ModuleType) -> Write:
    """Writes photographs and a file of COCO's format; two photographs with an object each unless told otherwise."""

    def make(file: str = "annotations/instances_all.json", folder: str = "images", **content: Any) -> Path:
        root = tmp_path / "set"
        for name in ("a.png", "b.png"):
            formats.photograph(root / folder / name, SIZE)
        formats.write(root / file, json.dumps(coco(**content)))
        return root

    return make


def coco(**content: Any) -> dict[str, Any]:
    return {
        "images": [image(1, "a.png"), image(2, "b.png")],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [thing(1, 1, 1), thing(2, 2, 2)],
    } | content


def image(number: Any, file: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": file, "width": 8, "height": 6} | more


def thing(number: Any, image_id: Any, category: Any, outline: Any = None, **more: Any) -> dict[str, Any]:
    """An object, over the left half of the photograph if there is no other outline."""
    outline = [SQUARE] if outline is None else outline
    return {"id": number, "image_id": image_id, "category_id": category, "segmentation": outline} | more


def tags(data: DataSet) -> dict[str, list[str]]:
    return {one.name: [data.classes.names[tag] for tag in one.tags] for one in data.samples}


def truth(data: DataSet, number: int = 0) -> np.ndarray:
    return data.read_ground_truth(data.samples[number])


BOTH = {"a": ["cat"], "b": ["dog"]}
PLACES = [
    ("annotations/instances_default.json", "images"),
    ("annotations/instances_default.json", "images/default"),
    ("annotations/instances_default.json", "default"),
    ("annotations/train.json", "images"),
    ("annotations/train.json", "images/train"),
    ("train/_annotations.coco.json", "train"),
    ("result.json", "images"),
    ("labels.json", "data"),
    ("annotations.json", "JPEGImages"),
    ("trainval.json", "."),
    ("_annotations.coco.json", "."),
]


@pytest.mark.parametrize(("file", "folder"), PLACES)
def test_files_are_found_where_programs_put_them(write: Write, file: str, folder: str) -> None:
    data = open_data(write(file, folder))
    assert tags(data) == BOTH and list(data.problems) == [] and (truth(data, 1) == 2).sum() == 24


def test_a_json_file_of_something_else_is_not_taken_for_coco(write: Write, formats: ModuleType) -> None:
    root = write("result.json")
    for text in ('{"name": "a project", "images": 3}', "[1, 2]", "", '{"version": "5.0", "shapes": [], "flags": {}}'):
        formats.write(root / "result.json", text)
        with pytest.raises(DataError) as error:
            open_data(root)
        assert "result.json:" not in str(error.value)


@pytest.mark.parametrize(
    "form",
    ["images/{}", "images\\{}", "/home/ann/shop/images/{}", "../../data/upload/3/{}", "C:\\shop\\{}", "./{}", "1/{}"],
)
def test_photographs_are_found_by_the_end_of_their_path(write: Write, form: str) -> None:
    data = open_data(write(images=[image(1, form.format("a.png")), image(2, form.format("b.png"))]))
    assert tags(data) == BOTH and list(data.problems) == []


def test_paths_that_mean_several_photographs_elsewhere_are_refused(write: Write) -> None:
    images = [image(1, "cats/a.png"), image(2, "dogs/a.png"), image(3, "b.png")]
    data = open_data(write(images=images, annotations=[thing(1, 1, 1), thing(2, 2, 2), thing(3, 3, 1)]))
    assert tags(data) == {"b": ["cat"]}
    assert [problem.source for problem in data.problems] == ["cats/a.png", "dogs/a.png"]
    assert all("names 'cats/a', 'dogs/a' all match 'a.png'" in problem.reason for problem in data.problems)


@pytest.mark.parametrize("form", [str, float, lambda one: f"{one}.0", lambda one: f"photo {one}", lambda one: one - 1])
def test_ids_of_any_form_identify(write: Write, form: Callable[[int], Any]) -> None:
    content = coco()
    for one in content["images"] + content["categories"]:
        one["id"] = form(one["id"])
    for one in content["annotations"]:
        one |= {"image_id": form(one["image_id"]), "category_id": form(one["category_id"])}
    data = open_data(write(**content))
    assert tags(data) == BOTH and data.classes.names == ("background", "cat", "dog")


@given(st.integers(-(10**12), 10**12))
def test_an_id_is_one_in_all_its_forms(number: int) -> None:
    assert identity(number) == identity(float(number)) == identity(str(number)) == identity(f" {number}.0 ") == number


@pytest.mark.parametrize("value", [None, True, [], {}, float("nan"), float("inf"), 1.5, "", " "])
def test_what_identifies_nothing_is_named(write: Write, value: Any) -> None:
    assert identity(value) is None
    root = write(categories=[{"id": value, "name": "cat"}], annotations=[])
    with pytest.raises(DataError, match=r"instances_all.json: expected categories .* a whole number or a text as id"):
        open_data(root)
    content = coco()
    content["annotations"].append(thing(7, value, 1))
    data = open_data(write(**content))
    assert tags(data) == BOTH and "(annotation 7): expected an image_id" in data.problems[0].reason


@pytest.mark.parametrize("lost", [None, "b.png", 99])
def test_objects_without_their_photograph_make_no_negatives(lost: Any, write: Write) -> None:
    """A photograph counts as showing nothing only if all objects of its file belong to some photograph."""
    root = write(annotations=[thing(1, 1, 1), thing(2, lost, 2)])
    data = open_data(root)
    assert tags(data) == {"a": ["cat"]}
    assert "an object whose image is unknown" in next(one.reason for one in data.problems if "b.png" in one.source)
    assert tags(open_data(root, ignore_unknown=True)) == {"a": ["cat"], "b": []}
    assert tags(open_data(write(annotations=[thing(1, 1, 1)]))) == {"a": ["cat"], "b": []}


def test_leading_zeros_are_part_of_an_id() -> None:
    assert identity("007") == "007" and identity("-0") == 0


@pytest.mark.parametrize("lacking", ["images", "annotations", "categories"])
def test_a_file_without_one_of_its_lists_says_so(write: Write, lacking: str) -> None:
    if lacking == "annotations":
        data = open_data(write(annotations=[]))
        assert tags(data) == {"a": [], "b": []} and any("no tag" in note for note in data.notes)
        return
    with pytest.raises(DataError) as error:
        open_data(write(**{lacking: []}))
    message = str(error.value)
    assert "got 0" not in message and len(message.splitlines()) == 1
    if lacking == "categories":
        assert "instances_all.json: expected categories with an id and a name" in message


def test_objects_without_annotations_are_negatives(write: Write) -> None:
    data = open_data(write(annotations=[thing(1, 1, 1)]))
    assert tags(data) == {"a": ["cat"], "b": []} and (truth(data, 1) == 0).all()


@pytest.mark.parametrize("outline", [[], None, [[1, 1, 5, 5]], [[1, 1, float("nan"), 5, 5, 5]], 5])
def test_an_object_without_outline_tags_and_costs_the_ground_truth_alone(write: Write, outline: Any) -> None:
    given = thing(7, 1, 2) | {"segmentation": outline}
    data = open_data(write(annotations=[thing(1, 1, 1), given, thing(3, 2, 1)]))
    assert tags(data) == {"a": ["cat", "dog"], "b": ["cat"]} and list(data.problems) == []
    assert [one.has_ground_truth for one in data.samples] == [False, True]
    with pytest.raises(ItemError, match=r"\(annotation 7\): .*(no |expected|empty)"):
        truth(data)
    assert any("without ground truth that are tagged: 1, such as 'a'" in note for note in data.notes)
    assert (truth(data, 1) == 1).sum() == 24


def test_boxes_tag(write: Write) -> None:
    given = thing(1, 1, 1, bbox=[1, 1, 2, 2])
    del given["segmentation"]
    data = open_data(write(annotations=[given]))
    assert tags(data)["a"] == ["cat"] and not data.samples[0].has_ground_truth


def test_a_sliver_beside_good_polygons_has_no_area(write: Write) -> None:
    data = open_data(write(annotations=[thing(1, 1, 1, [SQUARE, [7, 5, 8, 6], []])]))
    assert (truth(data) == 1).sum() == 24


@pytest.mark.parametrize("area", [None, 0, float("nan"), float("inf"), "12", 1e30])
@pytest.mark.parametrize("order", [1, -1])
def test_areas_are_those_of_the_outlines(write: Write, area: Any, order: int) -> None:
    small = thing(1, 1, 1, [[1, 1, 3, 1, 3, 3, 1, 3]], area=area)
    large = thing(2, 1, 2, area=area)
    data = open_data(write(annotations=[small, large][::order]))
    assert (truth(data) == 1).sum() == 4 and (truth(data) == 2).sum() == 20


@pytest.mark.parametrize("crowd", [1, True, 1.0, "1"])
def test_crowds_are_void_beside_objects_of_their_class_only(write: Write, crowd: Any) -> None:
    runs = {"size": [6, 8], "counts": [24, 24]}
    given = [thing(1, 1, 1, runs, iscrowd=crowd), thing(2, 2, 2, runs, iscrowd=crowd)]
    data = open_data(write(annotations=given))
    assert tags(data) == BOTH and set(np.unique(truth(data))) == {0, 1}
    assert any("all objects of 'cat', 'dog' are crowd regions" in note for note in data.notes)
    data = open_data(write(annotations=[*given, thing(3, 2, 1, iscrowd=0)]))  # a cat somewhere in the file
    assert set(np.unique(truth(data))) == {0, VOID} and set(np.unique(truth(data, 1))) == {1, 2}
    assert tags(data) == {"a": ["cat"], "b": ["cat", "dog"]}


def test_neither_crowd_nor_not_is_named(write: Write) -> None:
    data = open_data(write(annotations=[thing(5, 1, 1, iscrowd=7)]))
    with pytest.raises(ItemError, match=r"\(annotation 5\): expected iscrowd 0 or 1"):
        truth(data)


def test_an_unused_root_is_no_class(write: Write) -> None:
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
        {"id": 2, "name": "dog", "supercategory": "pets"},
    ]
    data = open_data(write("train/_annotations.coco.json", "train", categories=categories))
    assert data.classes.names == ("background", "cat", "dog") and tags(data) == BOTH
    assert any("'pets' is left out of the classes" in note for note in data.notes)
    used = [thing(1, 1, 1), thing(2, 2, 0)]
    data = open_data(write("train/_annotations.coco.json", "train", categories=categories, annotations=used))
    assert data.classes.names == ("background", "pets", "cat", "dog") and tags(data)["b"] == ["pets"]


def test_the_categories_of_splits_are_matched_by_name(write: Write, formats: ModuleType) -> None:
    root = write("train/_annotations.coco.json", "train")
    formats.photograph(root / "valid" / "c.png")
    swapped = [{"id": 0, "name": "dog"}, {"id": 5, "name": "cat"}]
    content = coco(images=[image(9, "c.png")], categories=swapped, annotations=[thing(1, 9, 0)])
    formats.write(root / "valid/_annotations.coco.json", json.dumps(content))
    data = open_data(root)
    assert tags(data) == BOTH | {"c": ["dog"]} and (truth(data, 2) == 2).sum() == 24
    assert open_data(root, split="valid").classes.names == ("background", "dog", "cat")
    content["categories"][0]["name"] = "owl"
    formats.write(root / "valid/_annotations.coco.json", json.dumps(content))
    with pytest.raises(DataError, match="are not those of"):
        open_data(root)


def test_categories_of_one_name_are_one_class(write: Write) -> None:
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": " cat"}]
    data = open_data(write(categories=categories, annotations=[thing(1, 1, 3), thing(2, 2, 1)]))
    assert data.classes.names == ("background", "cat", "dog") and tags(data) == {"a": ["cat"], "b": ["cat"]}
    assert any("2 categories are named 'cat'" in note for note in data.notes)
    with pytest.raises(DataError, match="an id of its own"):
        open_data(write(categories=[{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]))


def test_a_photograph_under_two_ids_has_the_objects_of_both(write: Write) -> None:
    right = [4, 0, 8, 0, 8, 6, 4, 6]
    images = [image(1, "a.png"), image("x", "./a.png"), image(2, "b.png")]
    data = open_data(write(images=images, annotations=[thing(1, 1, 1), thing(2, "x", 2, [right]), thing(3, 2, 1)]))
    assert tags(data) == {"a": ["cat", "dog"], "b": ["cat"]}
    assert set(np.unique(truth(data))) == {1, 2}
    assert any("several ids: 1, such as 'a.png' (1 and x)" in note for note in data.notes)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"id": 7, "image_id": 1, "caption": "a cat"}, r"\(annotation 7\): the caption without a category_id"),
        ({"id": 7, "image_id": 1, "category_id": None}, r"\(annotation 7\): an object without a category_id"),
        (thing(7, 1, 99), r"\(annotation 7\): an object of the category 99, which does not exist"),
    ],
)
def test_what_is_not_understood_leaves_its_photograph_out_unless_told_otherwise(
    write: Write, extra: dict[str, Any], words: str
) -> None:
    root = write(annotations=[thing(1, 1, 1), extra, thing(2, 2, 2)])
    data = open_data(root)
    assert tags(data) == {"b": ["dog"]}
    (problem,) = data.problems
    assert problem.reason.count("is not read") == 1 and "--ignore-unknown" in problem.reason
    assert tags(open_data(root, ignore_unknown=True)) == BOTH
    with pytest.raises(DataError, match=words):
        open_data(write(annotations=[thing(1, 1, 1), extra], images=[image(1, "a.png")]))


def test_keypoints_alone_tag(write: Write) -> None:
    given = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 1, 2], "num_keypoints": 1, "iscrowd": 0}
    data = open_data(write(annotations=[given]))
    assert tags(data)["a"] == ["cat"] and not data.samples[0].has_ground_truth


def test_sizes_in_the_file_scale_the_objects(write: Write) -> None:
    large = [value * 10 for value in SQUARE]
    sizes = {"width": 80, "height": 60}
    images = [image(1, "a.png", **sizes), image(2, "b.png", width=60, height=60)]
    data = open_data(write(images=images, annotations=[thing(1, 1, 1, [large]), thing(2, 2, 2, [large])]))
    assert (truth(data) == 1)[:, :4].all() and (truth(data) == 1).sum() == 24
    with pytest.raises(ItemError, match=r"\(annotation 2\).*b.png of 8x6 pixels \(it was drawn on .* 60x60 pixels"):
        truth(data, 1)
    for wrong in (0, None, "wide", -8, 1e300, float("nan")):  # then they are those of the photograph
        images = [image(1, "a.png", width=wrong)]
        assert (truth(open_data(write(images=images, annotations=[thing(1, 1, 1)]))) == 1).sum() == 24


def test_objects_of_the_stored_photograph_turn_with_it(write: Write) -> None:
    root = write(images=[image(1, "a.png")], annotations=[thing(1, 1, 1)])
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise by a quarter: the left half is at the top
    Image.new("RGB", (8, 6)).save(root / "images/a.png", exif=exif)
    labels = truth(open_data(root))
    assert labels.shape == (8, 6) and (labels[:4] == 1).all() and not labels[4:].any()


@pytest.mark.parametrize(
    "outline",
    [
        SQUARE,
        [SQUARE],
        {"size": [6, 8], "counts": [0, 24, 24]},
        {"size": [6.0, 8.0], "counts": [0, 24, 24]},
        [{"size": [6, 8], "counts": [0, 12, 36]}, {"size": [6, 8], "counts": [12, 12, 24]}],
        {"size": [6, 8], "counts": "0h0h0"},
        {"size": [60, 80], "counts": [0, 2400, 2400]},
    ],
)
def test_outlines_of_every_form(write: Write, outline: Any) -> None:
    data = open_data(write(annotations=[thing(1, 1, 1, outline)]))
    assert (truth(data)[:, :4] == 1).all() and (truth(data) == 1).sum() == 24


def test_a_file_without_photographs_says_where_to_put_them(tmp_path: Path, formats: ModuleType) -> None:
    formats.write(tmp_path / "result.json", json.dumps(coco()))
    with pytest.raises(DataError, match=r"result.json: expected its photographs in .*images"):
        open_data(tmp_path)


def test_a_photograph_in_two_files_is_left_out_by_name(write: Write, formats: ModuleType) -> None:
    root = write("annotations/one.json")
    formats.write(root / "annotations/two.json", json.dumps(coco(images=[image(1, "a.png")])))
    data = open_data(root)
    assert tags(data) == {"b": ["dog"]}
    assert any("several of one.json, two.json name it; open one split" in one.reason for one in data.problems)
    assert tags(open_data(root, split="one")) == BOTH


@pytest.mark.parametrize("record", [None, [], {"classes": "cat"}, {"classes": ["cat"], "background": True}, {"a": 1}])
def test_the_record_of_an_export_may_be_anything(write: Write, record: Any) -> None:
    data = open_data(write(dhr=record))
    assert data.classes.names == ("background", "cat", "dog") and tags(data) == BOTH


def test_the_record_of_an_export_gives_order_and_background(write: Write) -> None:
    record = {"classes": ["dog", "gone", "cat"], "background": False}
    data = open_data(write(dhr=record))
    assert data.classes.names == ("dog", "cat") and not data.classes.background
    assert set(np.unique(truth(data))) == {1, VOID}
    void = {"image_id": 1, "segmentation": {"size": [6, 8], "counts": [24, 24]}}
    for entries in ([void], [void, 3], [void, {"image_id": None}]):
        data = open_data(write(dhr={"classes": ["Background", "cat", "dog"], "background": True}, dhr_void=entries))
        assert data.classes.names == ("Background", "cat", "dog") and set(np.unique(truth(data))) == {1, VOID}
        assert len(data.problems) == len(entries) - 1


def test_many_objects_in_one_photograph_are_read_in_bounded_memory(write: Write, unchecked: None) -> None:
    given = [thing(number, 1, 1, [[1, 1, 3, 1, 3, 3]]) for number in range(20_000)]
    data = open_data(write(annotations=given))
    assert (truth(data) == 1).sum() in range(1, 5)


def test_images_that_share_an_id_are_left_out(write: Write) -> None:
    """As where files were joined without new numbers: an object of the id may be in either photograph."""
    images = [image(1, "a.png"), image("1", "gone.png"), image(2, "b.png"), image(2, "x/b.png")]
    data = open_data(write(images=images))
    assert tags(data) == {"b": ["dog"]}
    reason = next(one.reason for one in data.problems if one.source.endswith("a.png"))
    assert "its id 1 is that of several images, 'a.png', 'gone.png'; give each an id of its own" in reason


def test_a_background_that_the_record_does_not_have_costs_its_photograph_alone(write: Write) -> None:
    categories = [{"id": number, "name": name} for number, name in ((1, "cat"), (2, "dog"), (3, "background"))]
    record = {"classes": ["cat", "dog"], "background": False}
    data = open_data(write(dhr=record, categories=categories, annotations=[thing(1, 1, 1), thing(2, 2, 3)]))
    assert tags(data) == {"a": ["cat"]}
    assert "b.png" in data.problems[0].source and "category 3" in data.problems[0].reason
