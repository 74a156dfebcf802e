"""Label Studio: what its exports say, kind by kind, as tags and as ground truth."""

import base64
import io
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dhr.data import open_data
from dhr.data.brush import alpha_runs
from dhr.data.samples import VOID
from dhr.data.stored import StoredDataSet
from dhr.errors import DataError, ItemError

WIDTH, HEIGHT = 20, 10
Write = Callable[..., StoredDataSet]


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """Writes tasks and photographs, and opens them."""

    def write(
        *tasks: Any, files: tuple[str, ...] = ("a.png", "b.png"), classes: str = "", lenient: bool = False,
        size: tuple[int, int] = (WIDTH, HEIGHT),
    ) -> StoredDataSet:  # fmt: skip
        for name in files:
            path = tmp_path / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(path)
        if classes:
            (tmp_path / "classes.txt").write_text(classes, encoding="utf-8")
        (tmp_path / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
        found = open_data(tmp_path, format="label-studio", ignore_unknown=lenient)
        assert isinstance(found, StoredDataSet)
        return found

    return write


def region(kind: str, label: str | None, **value: Any) -> dict[str, Any]:
    """A result for a region, drawn on the photograph as it is."""
    named = {} if label is None else {kind: [label]}
    return {
        "id": value.pop("id", f"{kind}-{label}"), "type": kind, "from_name": "label", "to_name": "image",
        "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "value": {**value, **named},
    }  # fmt: skip


def box(label: str | None, **more: Any) -> dict[str, Any]:
    return region("rectanglelabels", label, x=10, y=10, width=20, height=30, rotation=0, **more)


def polygon(label: str, left: float = 0, right: float = 50, **more: Any) -> dict[str, Any]:
    points = [[left, 0], [right, 0], [right, 100], [left, 100]]
    return region("polygonlabels", label, points=points, closed=True, **more)


def choice(*chosen: str, name: str = "kind", key: str = "c1") -> dict[str, Any]:
    return {"id": key, "type": "choices", "from_name": name, "to_name": "image", "value": {"choices": [*chosen]}}


def task(image: str, *annotations: Any, number: int = 1, key: str = "image", **more: Any) -> dict[str, Any]:
    """A task; each annotation is a list of results, or a whole annotation."""
    whole = [
        one if isinstance(one, dict) else {"id": 100 * number + index, "was_cancelled": False, "result": one}
        for index, one in enumerate(annotations)
    ]
    return {"id": number, "data": {key: image}, "annotations": whole, **more}


def tags(data: StoredDataSet) -> dict[str, set[str]]:
    return {one.name: {data.classes.names[tag] for tag in one.tags} for one in data.samples}


def reasons(data: StoredDataSet) -> str:
    return " | ".join(f"{one.source}: {one.reason}" for one in data.problems)


def truth(data: StoredDataSet, name: str = "a") -> np.ndarray:
    sample = next(one for one in data.samples if one.name == name)
    assert sample.has_ground_truth
    return data.read_ground_truth(sample)


KINDS = {
    "rectanglelabels": {"x": 1, "y": 1, "width": 5, "height": 5},
    "polygonlabels": {"points": [[0, 0], [50, 0], [50, 50]]},
    "brushlabels": {"format": "rle", "rle": [0, 0]},
    "ellipselabels": {"x": 50, "y": 50, "radiusX": 20, "radiusY": 20},
    "keypointlabels": {"x": 5, "y": 5, "width": 1},
    "bitmasklabels": {"imageDataURL": "data:image/png;base64,iVBORw0KGgo="},
    "vectorlabels": {"vertices": [{"x": 1, "y": 2}], "closed": False},
    "labels": {"x": 1, "y": 1, "width": 5, "height": 5},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_region_tags(read: Write, kind: str) -> None:
    data = read(task("a.png", [region(kind, "mug", **KINDS[kind])]), task("b.png", [box("jar")], number=2))
    assert tags(data) == {"a": {"mug"}, "b": {"jar"}} and not data.problems


@pytest.mark.parametrize("kind", ["rectangle", "polygon", "brush", "ellipse", "keypoint", "bitmask", "vector"])
@pytest.mark.parametrize("first", [False, True])
def test_the_label_of_a_region_may_stand_in_another_result_of_its_id(read: Write, kind: str, first: bool) -> None:
    shape = region(kind, None, id="r", **KINDS[f"{kind}labels"])
    label = region("labels", "mug", id="r", **KINDS[f"{kind}labels"])
    data = read(task("a.png", [label, shape] if first else [shape, label]), files=("a.png",))
    assert tags(data) == {"a": {"mug"}}


@pytest.mark.parametrize("kind", ["videorectangle", "timelinelabels", "cube", None, 7])
def test_an_unknown_kind_is_named_by_task_and_left_out(read: Write, kind: Any) -> None:
    strange = {"id": "x", "type": kind, "value": {"labels": ["mug"]}}
    tasks = task("a.png", [box("jar"), strange], number=41), task("b.png", [box("jar")], number=42)
    data = read(*tasks)
    assert tags(data) == {"b": {"jar"}}
    assert f"task 41, annotation 4100: a result of the type '{kind}' is not read" in reasons(data)
    data = read(*tasks, lenient=True)
    assert tags(data) == {"a": {"jar"}, "b": {"jar"}} and not data.samples[0].has_ground_truth
    assert any("are not read and do not count" in note for note in data.notes)
    data = read(task("a.png", [strange]), tasks[1], lenient=True)  # a mug is there, for all that is known
    assert tags(data) == {"b": {"jar"}} and "is not read, and nothing else is annotated" in reasons(data)


def test_a_region_without_a_label_is_named(read: Write) -> None:
    data = read(task("a.png", [box(None)]), task("b.png", [box("jar")], number=2))
    assert tags(data) == {"b": {"jar"}} and "a rectangle without a label is not read" in reasons(data)


def test_what_belongs_to_a_region_is_no_class(read: Write) -> None:
    results = [
        box("mug", id="r"), choice("moving", name="state", key="r"), choice("sharp", name="quality", key="q"),
        {"id": "r", "type": "taxonomy", "from_name": "t", "value": {"taxonomy": [["a", "b"]]}},
        {"id": "r", "type": "rating", "from_name": "stars", "value": {"rating": 4}},
    ]  # fmt: skip
    data = read(task("a.png", results), files=("a.png",))
    assert data.classes.names == ("background", "mug", "sharp")
    notes = " | ".join(data.notes)
    assert "'state' 1, 't' 1" in notes and "results other than labels do not count: 'rating' 1" in notes
    assert "choices count as classes beside the labels of regions: those of 'quality'" in notes


def test_choices_that_name_no_class_are_told_once_and_labels_of_regions_have_to_be_classes(read: Write) -> None:
    given = [
        task("a.png", [box("mug"), choice("sharp", name="quality")]),
        task("b.png", [box("jug"), choice("blurred", name="quality")], number=2),
    ]
    data = read(*given, classes="background\nmug\njar\n")
    assert tags(data) == {"a": {"mug"}} and "unknown tag 'jug'" in reasons(data)
    assert "choices of 'quality' name no class of classes.txt and do not count: 'blurred', 'sharp'" in data.notes[0]
    # A control that does name classes names classes only: a horse is no background.
    data = read(task("a.png", [choice("mug")]), task("b.png", [choice("horse")], number=2))
    assert tags(data) == {"a": {"mug"}} and "unknown tag 'horse'" in reasons(data)
    with pytest.raises(DataError, match="unknown tag 'horse'"):
        read(task("a.png", [choice("horse")]))


@pytest.mark.parametrize("tags_each", [1, 2])
def test_annotators_have_to_agree_however_few_tags_they_give(read: Write, tags_each: int) -> None:
    both = [choice(*["mug", "lid"][:tags_each])], [choice(*["jar", "lid"][:tags_each])]
    data = read(task("a.png", *both, number=7), task("b.png", both[0], both[0], number=8))
    assert set(tags(data)) == {"b"}
    assert "annotation 700 and line 1, task 7, annotation 701 give it different tags" in reasons(data)


def test_two_tasks_of_one_photograph_have_to_agree(read: Write) -> None:
    first, second = (task("s3://x/a.png", [choice(label)], number=2) for label in ("mug", "jar"))
    data = read(first, second, task("b.png", [choice("jar")]))
    assert tags(data) == {"b": {"jar"}} and "give it different tags" in reasons(data)


def test_cancelled_annotations_and_drafts_do_not_count(read: Write) -> None:
    skipped = {"id": 5, "was_cancelled": True, "result": [choice("jar")]}
    data = read(task("a.png", skipped, [choice("mug")]), task("b.png", skipped, number=2, drafts=[{"result": []}]))
    assert tags(data) == {"a": {"mug"}}
    assert "all annotations are cancelled; submit the draft" in reasons(data)


def test_an_empty_annotation_is_a_negative_and_a_task_without_one_is_not(read: Write) -> None:
    data = read(task("a.png", [polygon("mug")]), task("b.png", [], number=2), task("c.png", number=3),
                files=("a.png", "b.png", "c.png"))  # fmt: skip
    assert "c.png" in reasons(data) and "no annotation" in reasons(data)
    assert tags(data) == {"a": {"mug"}, "b": set()} and (truth(data, "b") == 0).all()


def test_completions_of_old_versions(read: Write) -> None:
    old = {"id": 3, "data": {"image": "a.png"}, "completions": [{"id": 1, "result": [choice("mug")]}]}
    assert tags(read(old, files=("a.png",))) == {"a": {"mug"}}


def test_predictions_count_only_where_nobody_annotated(read: Write) -> None:
    guess = {"data": {"image": "a.png"}, "predictions": [{"model_version": "x", "result": [polygon("mug")]}]}
    data = read(guess, files=("a.png",))
    assert tags(data) == {"a": {"mug"}} and (truth(data)[:, :10] == 1).all()
    assert any("predictions count" in note for note in data.notes)
    data = read(guess, task("b.png", [polygon("jar")], number=2) | {"predictions": guess["predictions"]})
    assert tags(data) == {"b": {"jar"}} and data.classes.names == ("background", "jar")
    assert "only predictions" in reasons(data)


def test_a_cancelled_annotation_is_one_beside_predictions(read: Write) -> None:
    guess = {"data": {"image": "a.png"}, "predictions": [{"result": [polygon("mug")]}]}
    skipped = {"id": 5, "was_cancelled": True, "result": []}
    with pytest.raises(DataError, match=r"there is no annotation, only predictions.*all annotations are cancelled"):
        read(guess, task("b.png", skipped), classes="background\nmug\n")


def test_several_files_are_one_export(read: Write, tmp_path: Path) -> None:
    read(task("a.png", [choice("mug")]))
    (tmp_path / "tasks-002.json").write_text(json.dumps([task("b.png", [choice("jar")], number=2)]))
    assert tags(open_data(tmp_path, format="label-studio")) == {"a": {"mug"}, "b": {"jar"}}


IMAGES = {
    "/data/upload/3/1a2b3c4d-a.png": "a", "1a2b3c4d-a.png": "a", "upload/3/1a2b3c4d-a.png": "a",
    "/data/upload/3/1a2b3c4d-c_d.png": "trip/c d", "/data/upload/3/1a2b3c4d-e12x.png": "e#1+2&x",
    "/data/upload/3/1a2b3c4d-%C3%BC.png": "trip/ü",
    "/data/local-files/?d=trip/c%20d.png": "trip/c d", "/data/local-files/?d=trip/c d.png": "trip/c d",
    "http://localhost:8080/data/local-files/?d=shop/trip/c%20d.png": "trip/c d",
    "s3://bucket/photos/a.png": "a", "gs://bucket/trip/c%20d.png": "trip/c d",
    "https://example.org/x/a.png?X-Signature=1%2F2": "a", "https://example.org/get?file=x/a.png": "a",
    "C:\\shop\\trip\\c d.png": "trip/c d", "\\\\server\\share\\a.png": "a", "images/a.png": "a",
    "e#1+2&x.png": "e#1+2&x", "/data/local-files/?d=e%231%2B2%26x.png": "e#1+2&x", "100%25.png": "100%",
}  # fmt: skip


@pytest.mark.parametrize("image", IMAGES)
def test_where_an_image_lies_leads_to_its_photograph(read: Write, image: str) -> None:
    names = ("a.png", "trip/c d.png", "e#1+2&x.png", "100%.png", "trip/u\u0308.png")
    data = read(task(image, [choice("mug")]), files=names)
    found = {unicodedata.normalize("NFC", name) for name in tags(data)}
    assert found == {IMAGES[image]}, reasons(data)


def test_uploads_of_one_name_are_not_one_photograph(read: Write) -> None:
    two = [task(f"/data/upload/1/{digit * 8}-a.png", [choice("mug")], number=int(digit)) for digit in "12"]
    data = read(*two, task("b.png", [choice("mug")], number=3))
    assert set(tags(data)) == {"b"} and "all match 'a.png'" in reasons(data)
    data = read(task("/data/upload/1/11111111-c_d.png", [choice("mug")]), task("b.png", [choice("mug")], number=3),
                files=("b.png", "c d.png", "c_d.png", "trip/c d.png"))  # fmt: skip
    assert set(tags(data)) == {"b", "c_d"}  # the name itself counts more than what it may have been
    data = read(task("/data/upload/1/11111111-ef.png", [choice("mug")]), task("b.png", [choice("mug")], number=3),
                files=("b.png", "e(f).png", "trip/ef!.png"))  # fmt: skip
    assert set(tags(data)) == {"b"} and "several files may have been uploaded as" in reasons(data)


@pytest.mark.parametrize("key", ["image", "img_url", "url", "my photo"])
def test_the_image_may_stand_under_any_key(read: Write, key: str) -> None:
    given = task("https://x.org/a.png", [choice("mug")], key=key)
    given["data"] |= {"city": "b", "note": "b.png or so"}
    assert tags(read(given)) == {"a": {"mug"}}


def test_a_task_of_several_images_is_named(read: Write) -> None:
    pair = {"id": 9, "data": {"left": "a.png", "right": "b.png"}, "annotations": [{"id": 1, "result": []}]}
    list_ = {"id": 8, "data": {"pages": ["a.png", "b.png"]}, "annotations": [{"id": 1, "result": []}]}
    for several in (pair, list_):
        data = read(several, task("c.png", [choice("mug")]), files=("a.png", "b.png", "c.png"))
        assert set(tags(data)) == {"c"}
        assert f"task {several['id']}" in reasons(data) and "several images" in reasons(data)
    drawn = {"id": 1, "data": {"image": "a.png", "example": "b.png"}, "annotations": [{"id": 1, "result": [box("x")]}]}
    assert set(tags(read(drawn))) == {"a"}  # regions say what they are drawn on


def test_a_picture_in_the_task_itself_is_no_name(read: Write) -> None:
    given = task("data:image/png;base64," + "A" * 100_000, [choice("mug")], number=2)
    data = read(given, task("a.png", [choice("mug")]))
    assert "its data has 'image'" in reasons(data) and len(reasons(data)) < 2_000


def test_splits_choose_photographs(read: Write, tmp_path: Path) -> None:
    read(task("a.png", [choice("mug")]), task("b.png", [choice("jar")], number=2))
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "val.txt").write_text("b\n")
    (tmp_path / "supercategories.csv").write_text("class,supercategory\nmug,vessel\njar,vessel\n")
    (tmp_path / "classes.txt").write_text("background\njar\nmug\n")
    data = open_data(tmp_path, split="val", format="label-studio")
    assert tags(data) == {"b": {"jar"}} and not data.problems
    assert data.classes.supers == ("background", "vessel", "vessel")


def test_a_task_without_an_image_names_the_keys_of_its_data(read: Write) -> None:
    given = task("so it goes", [choice("mug")], key="text", number=12)
    assert "task 12: expected a task with an image" in reasons(read(given, task("a.png", [choice("mug")])))
    with pytest.raises(DataError, match=r"no label.*expected a task with an image.*its data has 'text'"):
        read(given)


def row(image: str, **more: Any) -> dict[str, Any]:
    """A row of JSON-MIN."""
    return {"image": image, "id": 1, **more, "annotator": 1, "annotation_id": 5, "created_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("name", ["choice", "label", "kind", "what is it?"])
def test_a_choice_of_json_min_is_read_under_any_name(read: Write, name: str) -> None:
    data = read(row("/data/upload/1/0a1b2c3d-a.png", **{name: "mug"}), row("b.png", **{name: "jar"}))
    assert tags(data) == {"a": {"mug"}, "b": {"jar"}}


def test_texts_of_json_min_that_may_be_choices_are_named_where_there_are_several(read: Write) -> None:
    rows = row("a.png", kind="mug", city="Ulm"), row("b.png", kind="jar", city="Ulm")
    with pytest.raises(DataError, match="there are the texts 'city', 'kind'"):
        read(*rows)
    assert tags(read(*rows, classes="background\nmug\njar\n")) == {"a": {"mug"}, "b": {"jar"}}
    data = read(rows[0], row("b.png", kind="horse", city="Ulm"))
    assert tags(data) == {"a": {"mug"}} and "unknown tag 'horse'" in reasons(data)


def test_texts_of_json_min_beside_labels_are_data(read: Write) -> None:
    data = read(row("a.png", label="mug", city="Ulm"), row("b.png", label="jar", city="Ulm"))
    assert tags(data) == {"a": {"mug"}, "b": {"jar"}} and any("'city'" in note for note in data.notes)


def test_json_min_holds_regions_several_choices_and_attributes(read: Write) -> None:
    shape = {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["mug"]}
    outline = {"points": [[0, 0], [50, 0], [50, 100], [0, 100]], "polygonlabels": ["jar"],
               "original_width": WIDTH, "original_height": HEIGHT}  # fmt: skip
    data = read(
        row("a.png", boxes=[shape], state=["moving", "still"], words={"choices": ["x", "y"]},
            parts=[{"choices": ["lid", "ear"]}, "lid"], more={"x": 1, "y": 1, "choices": ["old", "blue"]}),
        row("b.png", boxes=[outline], state="moving"),
    )  # fmt: skip
    assert tags(data) == {"a": {"mug", "x", "y"}, "b": {"jar"}}
    assert (truth(data, "b")[:, :10] == data.classes.names.index("jar")).all() and any("state" in n for n in data.notes)
    data = read(row("a.png", boxes=[shape]), row("b.png", strange=[{"cubelabels": ["jar"]}]))
    assert tags(data) == {"a": {"mug"}} and "'cubelabels' is not read" in reasons(data)


def test_taxonomies_tag_with_their_leaves(read: Write) -> None:
    result = {"id": "t", "type": "taxonomy", "from_name": "t", "value": {"taxonomy": [["a"], ["a", "cat"], ["dog"]]}}
    assert tags(read(task("a.png", [result]), files=("a.png",))) == {"a": {"cat", "dog"}}


def test_results_without_any_label_are_told_where_there_is_no_class(read: Write) -> None:
    caption = {"id": "t", "type": "textarea", "from_name": "t", "value": {"text": ["a mug"]}}
    with pytest.raises(DataError, match=r"no label could be a class: results other than labels.*'textarea' 1"):
        read(task("a.png", [caption]))
    with pytest.raises(DataError, match=r"no label could be a class: .*'cube'"):
        read(task("a.png", [{"id": 1, "type": "cube", "value": {}}]))


# --- ground truth


def test_polygons_and_ellipses_are_painted(read: Write) -> None:
    oval = region("ellipselabels", "egg", x=75, y=50, radiusX=10, radiusY=40, rotation=90)
    data = read(task("a.png", [polygon("mug"), oval]), files=("a.png",))
    egg, mug = (data.classes.names.index(name) for name in ("egg", "mug"))
    found = truth(data)
    assert (found[:, :10] == mug).all()
    rows, columns = np.nonzero(found == egg)  # turned a quarter: 4 pixels to each side, 2 up and down
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 6, 11, 18)


def test_percentages_follow_a_photograph_that_was_shrunk_since(read: Write) -> None:
    result = polygon("mug") | {"original_width": 10 * WIDTH, "original_height": 10 * HEIGHT}
    found = truth(read(task("a.png", [result]), files=("a.png",)))
    assert (found[:, :10] == 1).all() and (found[:, 10:] == 0).all()
    data = read(task("a.png", [result | {"original_width": 50}]), files=("a.png",))
    with pytest.raises(ItemError, match="of another shape"):
        truth(data)
    data = read(task("a.png", [polygon("mug") | {"image_rotation": 90}]), files=("a.png",))
    assert not data.samples[0].has_ground_truth and any("turned view" in note for note in data.notes)


def test_a_photograph_turned_by_exif(read: Write, tmp_path: Path) -> None:
    given = task("turned.jpg", [polygon("mug")])
    image, exif = Image.new("RGB", (HEIGHT, WIDTH)), Image.Exif()
    exif[0x0112] = 6  # shown a quarter clockwise: 20 pixels wide
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images" / "turned.jpg", exif=exif)
    upright = truth(read(given, files=()), "turned")
    assert upright.shape == (HEIGHT, WIDTH) and (upright[:, :10] == 1).all() and (upright[:, 10:] == 0).all()
    result = polygon("mug") | {"original_width": HEIGHT, "original_height": WIDTH}  # drawn on what is stored
    stored = truth(read(task("turned.jpg", [result]), files=()), "turned")
    assert (stored[:5] == 1).all() and (stored[5:] == 0).all()


@pytest.mark.parametrize(
    "more",
    [
        box("jar"), region("keypointlabels", "jar", **KINDS["keypointlabels"]),
        region("vectorlabels", "jar", **KINDS["vectorlabels"]), choice("jar"), box("mug"),
        region("bitmasklabels", "jar", **KINDS["bitmasklabels"]),
        region("polygonlabels", "jar", points=[[0, 0], [1, 1]]), region("polygonlabels", "jar", points=[["x", 0]] * 4),
    ],
    ids=["box", "point", "vector", "choice", "box of the same class", "damaged bitmask", "two points", "texts"],
)  # fmt: skip
def test_ground_truth_is_whole_or_it_is_none(read: Write, more: dict[str, Any]) -> None:
    data = read(task("a.png", [polygon("mug"), more]), task("b.png", [polygon("mug")], number=2))
    assert [one.has_ground_truth for one in data.samples] == [False, True] and not data.problems
    assert any("without ground truth" in note and "task 1, annotation 100" in note for note in data.notes)


def test_a_choice_of_a_class_that_is_drawn_too_does_not_spoil_the_ground_truth(read: Write) -> None:
    assert (truth(read(task("a.png", [polygon("mug"), choice("mug")])))[:, :10] == 1).all()


def test_masks_in_truth_are_taken_where_there_are_no_outlines(read: Write, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    for name in "ab":
        Image.fromarray(np.full((HEIGHT, WIDTH), 1, np.uint8)).save(tmp_path / "truth" / f"{name}.png")
    data = read(task("a.png", [box("mug")]), task("b.png", [polygon("mug")], number=2))
    assert (truth(data) == 1).all() and (truth(data, "b")[:, 10:] == 0).all()


def test_of_several_annotators_the_first_outlines_count_or_the_marked_ones(read: Write) -> None:
    first, second = [polygon("mug")], [polygon("mug", 50, 100)]
    data = read(task("a.png", first, second), files=("a.png",))
    assert (truth(data)[:, :10] == 1).all() and any(
        "1 photograph outlined by several annotators" in note for note in data.notes
    )
    marked = {"id": 9, "ground_truth": True, "result": second}
    assert (truth(read(task("a.png", first, marked), files=("a.png",)))[:, 10:] == 1).all()


def test_without_a_background_what_is_not_drawn_is_void(read: Write) -> None:
    found = truth(read(task("a.png", [polygon("mug")]), files=("a.png",), classes="jar\nmug\n"))
    assert (found[:, :10] == 1).all() and (found[:, 10:] == VOID).all()


def picture(alpha: np.ndarray) -> str:
    content = io.BytesIO()
    Image.merge("LA", (Image.new("L", alpha.shape[::-1]), Image.fromarray(alpha))).save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def test_bitmasks_are_painted(read: Write) -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[2:5, 3:9] = 255
    result = region("bitmasklabels", "mug", imageDataURL=picture(alpha))
    assert np.array_equal(truth(read(task("a.png", [result]), files=("a.png",))), alpha > 0)
    result = region("bitmasklabels", "mug", imageDataURL=picture(np.full((3, 3), 255, np.uint8)))
    data = read(task("a.png", [result]), files=("a.png",))
    with pytest.raises(ItemError, match=r"(3x3|megapixels)"):
        truth(data)


# --- brushes


@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 255, 100])), min_size=1, max_size=30),
    st.integers(1, 7),
)
def test_brushes_as_the_tools_own_library_codes_them(runs: list[tuple[int, int]], width: int) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    flat = np.repeat([value for _, value in runs], [length for length, _ in runs]).astype(np.uint8)
    alpha = np.resize(flat, (max(1, len(flat) // width), width))
    lengths = alpha_runs(bytes(brush.mask2rle(alpha)), alpha.shape)
    assert np.array_equal(np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(alpha.shape), alpha > 0)


def coded(values: np.ndarray, word: int, sizes: tuple[int, int, int, int], literal: list[int]) -> bytes:
    """Run lengths in which the given lengths are taken in turn as values one by one (negative: as one value)."""
    bits = f"{len(values):032b}{word - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    at = 0
    for turn, length in enumerate(literal):
        part = values[at : at + abs(length)]
        if not len(part):
            break
        if length < 0 and (part != part[0]).any():
            part = part[: int(np.argmax(part != part[0]))]
        which = turn % 4
        part = part[: 1 << sizes[which]]
        bits += f"{int(length < 0)}{which:02b}{len(part) - 1:0{sizes[which]}b}"
        bits += "".join(f"{value:0{word}b}" for value in (part[:1] if length < 0 else part))
        at += len(part)
    bits += "".join(f"0{0:02b}{0:0{sizes[0]}b}{value:0{word}b}" for value in values[at:])
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


@given(
    st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.integers(1, 16),
    st.tuples(*[st.integers(1, 16)] * 4),
    st.lists(st.integers(-9, 9).filter(bool), max_size=40),
)  # fmt: skip
def test_brushes_of_any_word_and_run_length(
    seed: int, height: int, width: int, word: int, sizes: tuple[int, int, int, int], literal: list[int]
) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    random = np.random.default_rng(seed)
    values = (random.random(4 * height * width) < 0.5) * random.integers(0, min(1 << word, 256), 4 * height * width)
    code = coded(values, word, sizes, literal)
    expected = brush.decode_rle(list(code)).reshape(height, width, 4)[..., 3] > 0
    lengths = alpha_runs(code, (height, width))
    assert np.array_equal(np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width), expected)


@given(st.binary(max_size=60))
def test_damaged_brushes_are_refused_before_anything_is_made(code: bytes) -> None:
    for size in ((2, 3), (15_000, 15_000)):
        start = (4 * size[0] * size[1]).to_bytes(4, "big")
        for text in (code, start + code):
            try:
                lengths = alpha_runs(text, size)
            except ValueError as error:
                assert "run lengths" in str(error)
            else:
                assert lengths.sum() == size[0] * size[1] and len(lengths) <= 8 * len(text) + 1


def test_a_brush_is_painted_and_one_of_another_size_is_named(read: Write) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1:4, 2:9] = 255
    result = region("brushlabels", "mug", format="rle", rle=brush.mask2rle(mask))
    assert np.array_equal(truth(read(task("a.png", [result]), files=("a.png",))), mask > 0)
    result = region("brushlabels", "mug", format="rle", rle=brush.mask2rle(mask[:4]))
    with pytest.raises(ItemError, match=r"task 1, annotation 100: .*hold 80 pixels, not 20x10"):
        truth(read(task("a.png", [result]), files=("a.png",)))


@pytest.mark.parametrize(
    "annotation",
    [3, "x", None, {"id": 1}, {"result": 5}, {"result": [5]}, {"result": [{"type": "choices"}]},
     {"result": [{"type": "choices", "value": {"choices": "mug"}}]}, {"result": [{"type": "choices", "value": None}]},
     {"result": [{"id": [], "type": "labels", "value": {}}]}, {"result": {"type": "choices"}},
     {"result": [{"type": "rectanglelabels", "value": {"rectanglelabels": [1]}}]}],
)  # fmt: skip
def test_what_label_studio_never_writes_costs_one_photograph(read: Write, annotation: Any) -> None:
    broken = {"id": 3, "data": {"image": "b.png"}, "annotations": [annotation]}
    data = read(task("a.png", [choice("mug")]), broken)
    assert tags(data) == {"a": {"mug"}} and "task 3" in reasons(data) and "b.png" in reasons(data)
