"""Objects that other programs write: every format gives the same maps, and damaged ones are named."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as run_lengths

from dhr.data.objects import FORMATS, find_format
from dhr.data.objects.ferret import read_ferret
from dhr.data.objects.grounded_sam import read_grounded_sam
from dhr.data.objects.labels import Labels
from dhr.data.objects.paint import paint, present
from dhr.data.objects.places import Places, photograph_names
from dhr.data.objects.record import Box, Found, Objects, box, score
from dhr.data.objects.single import READERS
from dhr.data.samples import ClassTable
from dhr.errors import DataError, ItemError

SIZE = (40, 60)  # height, width
CLASSES = ClassTable(("background", "cat", "potted plant", "cow"), True)
LABELS = Labels(CLASSES, {"cow": ("ox",)})
CAT, PLANT = (6, 4, 30, 20), (30, 10, 54, 36)  # left, top, right, bottom
SURE = (0.9, 0.5)


def boxed(*corners: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    left, top, right, bottom = corners
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def expected(sure: tuple[float, float] = SURE) -> np.ndarray:
    return np.stack([boxed(*CAT) * np.float32(sure[0]), boxed(*PLANT) * np.float32(sure[1])])


def rle(mask: np.ndarray) -> dict[str, Any]:
    found = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [*found["size"]], "counts": found["counts"].decode()}


def corners(left: int, top: int, right: int, bottom: int) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def grounded_sam_2(root: Path) -> None:
    pairs = zip(("a cat.", "potted_plant"), (CAT, PLANT), SURE, strict=True)
    entries = [{"class_name": name, "bbox": [*one], "segmentation": rle(boxed(*one)), "score": [sure]}
               for name, one, sure in pairs]  # fmt: skip
    value = {"image_path": "x/one.jpg", "annotations": entries, "box_format": "xyxy", "img_width": 60, "img_height": 40}
    write(root / "one.json", value)


def grounded_sam(root: Path) -> None:
    entries = [{"value": 0, "label": "background"}]
    entries += [{"value": 1, "label": "cat", "logit": 0.9, "box": [*CAT]}]  # type: ignore[list-item]
    entries += [{"value": 2, "label": "potted plant", "logit": 0.5, "box": [*PLANT]}]  # type: ignore[list-item]
    write(root / "one.json", entries)


def labelled(root: Path) -> None:
    shapes = [
        {"label": "cat", "score": 0.9, "points": corners(*CAT), "shape_type": "polygon"},
        {"label": "Potted Plant", "score": 0.5, "points": [[54, 10], [30, 36]], "shape_type": "rectangle"},
    ]
    value = {"version": "2.5", "shapes": shapes, "imagePath": "one.jpg", "imageHeight": 40, "imageWidth": 60}
    write(root / "one.json", value)
    write(root / "one.png", "")  # photographs lie beside the files


def supervision(root: Path) -> None:
    entries = [
        {**dict(zip(("x_min", "y_min", "x_max", "y_max"), map(str, one), strict=True)), "class_id": "1",
         "confidence": str(sure), "tracker_id": "", "class_name": name}
        for one, sure, name in zip((CAT, PLANT), SURE, ("cat", "potted plant"), strict=True)
    ]  # fmt: skip
    write(root / "one.json", entries)


def coco(root: Path) -> None:
    value = {
        "images": [{"id": 7, "file_name": "one.jpg", "height": 40, "width": 60}, {"id": 8, "file_name": "two.jpg"}],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "potted plant"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 0, "bbox": [6, 4, 24, 16], "score": 0.9, "segmentation": []},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 0, "score": 0.5,
             "segmentation": [[value for point in corners(*PLANT) for value in point]]},
        ],
    }  # fmt: skip
    write(root / "train" / "_annotations.coco.json", value)


def results(root: Path) -> None:
    """A list of COCO's results, beside the images and categories."""
    table = {"images": [{"id": 7, "file_name": "one.jpg"}], "categories": [{"id": 3, "name": "cat"}], "annotations": []}
    table["categories"].append({"id": 4, "name": "potted plant"})
    write(root / "instances.json", table)
    found = [{"image_id": 7, "category_id": 3, "bbox": [6, 4, 24, 16], "score": 0.9}]
    found += [{"image_id": 7, "category_id": 4, "segmentation": rle(boxed(*PLANT)), "score": 0.5}]  # type: ignore[dict-item]
    write(root / "results.json", found)


def autodistill(root: Path) -> None:
    write(root / "data.yaml", "names: [cat, potted plant]\nnc: 2\ntrain: /x/train/images\nval: /x/valid/images\n")
    left, top, right, bottom = CAT
    lines = [f"0 {(left + right) / 120} {(top + bottom) / 80} {(right - left) / 60} {(bottom - top) / 40}"]
    lines.append(f"1 {' '.join(f'{x / 60} {y / 40}' for x, y in corners(*PLANT))}")
    write(root / "train" / "labels" / "one.txt", "\n".join(lines) + "\n")
    write(root / "annotations" / "confidence-one.txt", "0.9\n0.5\n")
    write(root / "config.json", {"task": "detection"})


def ultralytics(root: Path) -> None:
    write(root / "classes.txt", "cat\npotted plant\n")
    left, top, right, bottom = CAT
    box_of = f"{(left + right) / 120} {(top + bottom) / 80} {(right - left) / 60} {(bottom - top) / 40}"
    outline = " ".join(f"{x / 60} {y / 40}" for x, y in corners(*PLANT))
    write(root / "labels" / "one.txt", f"0 {box_of} 0.9\n1 {outline} 0.5\n")


def pascal_voc(root: Path) -> None:
    left, top, right, bottom = CAT
    sides = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
    outline = "".join(f"<x{n}>{x + 1}</x{n}><y{n}>{y + 1}</y{n}>" for n, (x, y) in enumerate(corners(*PLANT), 1))
    write(
        root / "annotations" / "one.xml",
        "<annotation><filename>one.jpg</filename><size><width>60</width><height>40</height><depth>3</depth></size>"
        f"<object><name>cat</name><bndbox>{sides}</bndbox><confidence>0.9</confidence></object>"
        f"<object><name>potted plant</name><bndbox>{sides}</bndbox><polygon>{outline}</polygon><score>0.5</score>"
        "</object></annotation>",
    )


PROGRAMS: dict[str, Callable[[Path], None]] = {
    one.__name__: one
    for one in (
        *(grounded_sam_2, grounded_sam, labelled, supervision, coco, results, autodistill, ultralytics, pascal_voc),
    )
}


def maps(root: Path, name: str = "one", canvas: tuple[int, int] = SIZE, wanted: tuple[int, ...] = (1, 2)) -> np.ndarray:
    found = find_format(root)
    assert found is not None
    objects = found.read(root).read(name)
    return paint(objects, [LABELS.find(one.label) for one in objects.found], wanted, SIZE, canvas)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_gives_the_same_maps(program: str, tmp_path: Path) -> None:
    PROGRAMS[program](tmp_path)
    np.testing.assert_allclose(maps(tmp_path), expected(), atol=1e-6)
    # The order of the classes is that of the tags; a class without an object has zeros.
    np.testing.assert_allclose(maps(tmp_path, wanted=(3, 2)), [np.zeros(SIZE), expected()[1]], atol=1e-6)


@pytest.mark.parametrize("program", PROGRAMS)
def test_maps_have_the_size_that_is_asked_for(program: str, tmp_path: Path) -> None:
    PROGRAMS[program](tmp_path)
    np.testing.assert_allclose(maps(tmp_path, canvas=(20, 30)), expected()[:, 1::2, 1::2], atol=1e-6)
    assert maps(tmp_path, canvas=(1, 1)).shape == (2, 1, 1)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_photograph_that_is_not_named_is_one_line(program: str, tmp_path: Path) -> None:
    PROGRAMS[program](tmp_path)
    for name in ("nobody", "../one", "trip/one", "/etc/passwd"):
        with pytest.raises(ItemError, match="expected the objects of the photograph") as caught:
            maps(tmp_path, name)
        assert "\n" not in str(caught.value)


def test_ferret_answers_with_boxes_in_thousandths(tmp_path: Path) -> None:
    left, top, right, bottom = (100, 100, 500, 500)
    text = f"There is a cat [{left}, {top}, {right}, {bottom}], and potted plant [500, 250, 900, 900] [0, 0, 50, 50]."
    lines = [
        {"image_id": 1, "file_name": "one.jpg", "prompt": "Where?", "text": text, "width": 60, "height": 40},
        {"image_id": 1, "file_name": "one.jpg", "text": "a cow [0, 900, 1000, 1000]", "width": 60, "height": 40},
    ]
    write(tmp_path / "0_of_1.jsonl", "\n".join(map(json.dumps, lines)) + "\n")
    labels = Labels(CLASSES, {"cat": ("There is a cat",)})
    objects = FORMATS["Ferret"].read(tmp_path).read("one")
    ids = [labels.find(one.label) for one in objects.found]
    assert ids == [1, 2, 2, 3]
    found = paint(objects, ids, (1, 2, 3), SIZE, SIZE)
    np.testing.assert_array_equal(found[0], boxed(6, 4, 30, 20))
    np.testing.assert_array_equal(found[1], boxed(30, 10, 54, 36) | boxed(0, 0, 3, 2))
    np.testing.assert_array_equal(found[2], boxed(0, 36, 60, 40))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a cat [1, 2, 3", "without its other half"),
        ("a cat ]1, 2, 3, 4[", "without its other half"),
        ("[1, 2, 3, 4]", "has no name before it"),
        ("a cat [1, 2, 3]", "four numbers"),
        ("a cat [1, 2, 3, 4000]", "0 to 1000"),
        ("a cat [3, 2, 1, 4]", "with an area"),
        ("a cat [1, 2, x, 4]", "box 1 of its text"),
    ],
)
def test_an_answer_that_is_not_understood_is_named(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="its text") as caught:
        read_ferret({"text": text})
    assert words in str(caught.value)


def test_the_highest_score_of_a_class_counts_at_each_pixel() -> None:
    found = (
        Found("cat", box([0, 0, 40, 40]), 0.4),
        Found("cat", box([20, 0, 60, 40]), 0.8),
        Found("cat", box([0, 0, 5, 5])),
    )
    made = paint(Objects("x", found), [1, 1, 3], (1,), SIZE, SIZE)[0]
    assert (made[:, :20] == np.float32(0.4)).all() and (made[:, 20:] == np.float32(0.8)).all()
    assert present(found, [1, None, 3]) == {1, 3}


across, down = (
    st.tuples(st.floats(0, side), st.floats(0, side)).filter(lambda one: one[0] < one[1]) for side in (60, 40)
)


@given(across, down, st.integers(1, 50), st.integers(1, 50))
def test_a_box_covers_the_pixels_whose_centres_it_holds(
    x: tuple[float, float], y: tuple[float, float], height: int, width: int
) -> None:
    (left, right), (top, bottom) = x, y
    patch = Box(left, top, right, bottom).patch(SIZE, (height, width))
    assert patch.mask.all() and patch.mask.size >= 1
    assert 0 <= patch.top < patch.top + patch.mask.shape[0] <= height
    assert 0 <= patch.left < patch.left + patch.mask.shape[1] <= width
    rows, columns = (np.arange(height) + 0.5) * 40 / height, (np.arange(width) + 0.5) * 60 / width
    inside = ((top <= rows) & (rows < bottom))[:, None] & ((left <= columns) & (columns < right))
    if inside.any():
        whole = np.zeros((height, width), bool)
        whole[patch.top : patch.top + patch.mask.shape[0], patch.left : patch.left + patch.mask.shape[1]] = True
        assert (whole != inside).sum() <= height + width  # rounding at an edge


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bbox": [0, 0, 600, 20]}, "leaves the picture of 60x40 pixels"),
        ({"bbox": [0, 0, "x", 20]}, "box: expected a finite number"),
        ({"bbox": [9, 9, 9, 9]}, "with an area"),
        ({"bbox": None}, "four numbers"),
        ({"score": 50}, "score: expected a finite number, 0 to 1.1"),
        ({"score": "high"}, "score: expected a finite number"),
        ({"class_name": 3}, "class_name: expected text"),
        ({"segmentation": {"size": [40, 60], "counts": "  "}}, "damaged"),
        ({"segmentation": {"size": [40, 60], "counts": [5]}}, "add up to 5 pixels"),
        ({"segmentation": {"size": [4000000, 6000000], "counts": [1]}}, "expected height and width"),
        ({"segmentation": {"size": [60, 40], "counts": [2400]}}, "40x60 pixels, the photograph has 60x40"),
        ({"segmentation": [[1, 2, 3, 4]]}, "no polygon of three points"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("inf")]]}, "not valid JSON"),
    ],
)  # fmt: skip
def test_an_object_that_cannot_be_used_is_named(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    entry = {"class_name": "cat", "bbox": [*CAT], "score": 0.5} | change
    write(tmp_path / "one.json", {"annotations": [entry], "img_width": 60, "img_height": 40})
    with pytest.raises(ItemError) as caught:
        maps(tmp_path)
    assert words in str(caught.value) and "one.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"hello": 1}, "expected JSON of LabelMe"),
        ([1, 2], "expected JSON of LabelMe"),
        ("[" * 100_000, "not valid JSON"),
        ("{", "not valid JSON"),
        ('{"shapes": [], "shapes": []}', "occurs twice"),
        ({"shapes": [{"label": "cat", "shape_type": "linestrip", "points": [[1, 2], [3, 4]]}]}, "shape with an area"),
        ({"shapes": [{"label": "cat", "shape_type": "mask", "points": [[1, 2], [3, 4]]}]}, "shape with an area"),
        ({"shapes": [{"label": "cat", "points": [[1, 2, 3]]}]}, "expected points x, y"),
        ({"shapes": [{"points": [[1, 2], [3, 4], [5, 6]]}]}, "label: expected"),
        ({"shapes": ["cat"]}, "shape 1: expected an object"),
        ([{"value": 1, "label": "cat", "box": [1, 2, 3]}], "entry 0"),
        ({"annotations": [3]}, "annotation 1"),
        ({"annotations": [], "box_format": "cxcywh"}, "box_format"),
        ([{"x_min": 1, "y_min": 2, "x_max": 3, "y_max": 4}], "class_name: expected"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(value: Any, words: str, tmp_path: Path) -> None:
    write(tmp_path / "one.json", value)
    with pytest.raises(ItemError) as caught:
        maps(tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("7 0.5 0.5 0.1 0.1", "class 7 is not in"),
        ("0 0.5 0.5 0.1", "expected a box of 4 numbers"),
        ("0 30 20 10 10", "expected shares"),
        ("0 nan 0.5 0.1 0.1", "expected shares"),
        ("0 0.5 0.5 0 0.1", "with an area"),
        ("cat 0.5 0.5 0.1 0.1", "expected numbers"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is not in"),
    ],
)
def test_a_line_of_yolo_that_is_not_understood_is_named(line: str, words: str, tmp_path: Path) -> None:
    autodistill(tmp_path)
    write(tmp_path / "train" / "labels" / "one.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(ItemError, match="line 2") as caught:
        maps(tmp_path)
    assert words in str(caught.value)


def test_confidence_of_other_lines_does_not_count_and_is_noted(tmp_path: Path) -> None:
    autodistill(tmp_path)
    write(tmp_path / "annotations" / "confidence-one.txt", "0.9\n")
    objects = FORMATS["YOLO"].read(tmp_path).read("one")
    assert [one.score for one in objects.found] == [1.0, 1.0] and "confidence" in objects.notes[0]
    write(tmp_path / "annotations" / "confidence-one.txt", "0.9\nhigh\n")
    with pytest.raises(ItemError, match="confidence-one"):
        FORMATS["YOLO"].read(tmp_path).read("one")


def test_photographs_of_one_name_are_not_confused(tmp_path: Path) -> None:
    autodistill(tmp_path)
    write(tmp_path / "valid" / "labels" / "one.txt", "1 0.5 0.5 0.1 0.1\n")
    with pytest.raises(ItemError, match="several entries are called 'one'"):
        maps(tmp_path)
    folder = FORMATS["YOLO"].read(tmp_path)
    assert len(folder.read("train/labels/one").found) == 2 and len(folder.read("valid/labels/one").found) == 1
    assert folder.strays({"valid/one"}) == ["one"]
    # Scores are those of the same split.
    write(tmp_path / "valid" / "labels" / "confidence-one.txt", "0.25\n")
    folder = FORMATS["YOLO"].read(tmp_path)
    assert [one.score for one in folder.read("valid/one").found] == [0.25]
    assert [one.score for one in folder.read("train/one").found] == [1.0, 1.0]  # no split: it may be of either


@given(st.lists(st.sampled_from(["images", "labels", "train", "..", ".", "", "C:", "a", "b.jpg", "/"]), max_size=6))
def test_a_path_in_a_file_gives_names_that_lead_nowhere(parts: list[str]) -> None:
    names = photograph_names("/".join(parts))
    assert names and not any(name.startswith("/") for name in names)
    places: Places[int] = Places(Path("x"))
    places.add("/".join(parts), 1)
    assert places.strays({names[-1]}) == []


def test_labels_mean_classes_by_name_and_by_words() -> None:
    for label in ("cat", "Cat", "a cat", "the cat.", " CAT "):
        assert LABELS.find(label) == 1
    for label in ("potted plant", "potted_plant", "pottedplant", "a Potted-Plant"):
        assert LABELS.find(label) == 2
    assert LABELS.find("ox") == LABELS.find("an ox") == 3
    for label in ("cats", "cat dog", "", "background", "acat"):
        assert LABELS.find(label) is None
    two = Labels(ClassTable(("tv", "TV", "t-v"), False), {})
    assert [two.find(name) for name in ("tv", "TV", "t-v", "Tv")] == [0, 1, 2, None]


@given(st.text(max_size=20))
def test_any_label_is_looked_up(label: str) -> None:
    assert LABELS.find(label) in (None, 1, 2, 3)


def test_scores_of_sam_may_exceed_one() -> None:
    assert score(1.03) == 1 and score([[0.25]]) == 0.25 and score(None) == 1
    for value in (1.2, -0.1, float("nan"), "1", [0.5, 0.5], True):
        with pytest.raises(ValueError, match="score"):
            score(value)
    with pytest.raises(ValueError, match="four numbers"):
        box([1, 2, 3])


def test_a_few_json_files_beside_masks_are_not_objects(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.png", "")
    write(tmp_path / "palette.json", {})
    assert find_format(tmp_path) is None
    assert set(READERS) == {"LabelMe, X-AnyLabeling", "Grounded-SAM", "supervision", "Ferret"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"images": [{"id": 1}], "categories": [{"id": 1, "name": "cat"}]}, "expected an id and a name in images"),
        ({"images": [{"id": 1, "file_name": "a"}], "categories": []}, "expected categories"),
        ({"images": [{"id": 1, "file_name": "a"}] * 2, "categories": [{"id": 1, "name": "cat"}]}, "two images"),
        ({"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "two categories"),
        ({"images": [], "categories": [{"id": 1, "name": "a"}], "annotations": [{}]}, "with an image_id"),
    ],
)
def test_a_file_of_coco_that_cannot_be_used_is_one_line(value: Any, words: str, tmp_path: Path) -> None:
    write(tmp_path / "a.json", value)
    with pytest.raises(DataError) as caught:
        FORMATS["COCO"].read(tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_object_of_no_category_is_named_with_its_photograph(tmp_path: Path) -> None:
    coco(tmp_path)
    path = tmp_path / "train" / "_annotations.coco.json"
    value = json.loads(path.read_text())
    value["annotations"][1]["category_id"] = None
    write(path, value)
    with pytest.raises(ItemError, match=r"annotation 2.*the category None does not exist"):
        maps(tmp_path)
    assert maps(tmp_path, "two").max() == 0  # no object was found there


SCALARS = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.sampled_from(["cat", "polygon", ""])
KEYS = (
    *("shapes", "label", "points", "score", "shape_type", "imageHeight", "annotations", "class_name", "bbox", "mask"),
    *("segmentation", "size", "counts", "value", "box", "logit", "text", "x_min", "x_max", "y_min", "y_max"),
)
ANY = st.recursive(
    SCALARS | st.lists(st.floats(-1, 70), min_size=2, max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANY)
def test_any_file_is_read_or_refused_in_one_line(value: Any, tmp_path: Path) -> None:
    for wrapped in (value, {"shapes": [value]}, {"annotations": [value]}, [value]):
        write(tmp_path / "one.json", wrapped)
        try:
            found = maps(tmp_path)
        except ItemError as error:
            assert "\n" not in str(error)
        else:
            assert found.shape == (2, *SIZE) and found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("program", PROGRAMS)
@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_read_or_refused_in_one_line(program: str, data: st.DataObject, tmp_path: Path) -> None:
    PROGRAMS[program](tmp_path)
    path = data.draw(st.sampled_from(sorted(path for path in tmp_path.rglob("*") if path.is_file())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(bytes(content))
    try:
        if find_format(tmp_path) is not None:
            maps(tmp_path)
    except (ItemError, DataError) as error:
        assert "\n" not in str(error)
    finally:
        for one in [*tmp_path.rglob("*")]:
            if one.is_file():
                one.unlink()


def test_objects_that_cover_the_photograph_without_end_are_refused() -> None:
    found = (Found("cat", box([0, 0, 60, 40])),) * 42_000
    with pytest.raises(ItemError, match="cover the photograph over 1000 times"):
        paint(Objects("x", found), [1] * len(found), (1,), SIZE, SIZE)


def test_run_lengths_of_a_huge_picture_take_no_more_memory_than_the_maps() -> None:
    huge = {"size": [4000, 6000], "counts": [0, 24_000_000]}
    found = read_grounded_sam({"annotations": [{"class_name": "cat", "segmentation": huge, "score": 1}]})
    assert found is not None
    tracemalloc.start()
    made = paint(Objects("x", tuple(found)), [1], (1,), SIZE, SIZE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.min() == 1 and peak < 1_000_000


def test_objects_of_an_image_that_is_not_listed_are_named(tmp_path: Path) -> None:
    coco(tmp_path)
    path = tmp_path / "train" / "_annotations.coco.json"
    value = json.loads(path.read_text())
    value["annotations"].append({"id": 99, "image_id": 77, "category_id": 1, "bbox": [0, 0, 5, 5]})
    path.write_text(json.dumps(value))
    folder = FORMATS["COCO"].read(tmp_path)
    assert "image_id 77" in folder.strays({"one"})
