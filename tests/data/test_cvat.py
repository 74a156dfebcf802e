"""CVAT: what its XML says, element by element, as tags and as ground truth."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhr.data import open_data
from dhr.data.samples import VOID
from dhr.data.stored import StoredDataSet
from dhr.errors import DataError, ItemError

WIDTH, HEIGHT = 20, 10
Write = Callable[..., StoredDataSet]
LABELS = "<label><name>mug</name></label><label><name>jar</name></label>"


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """Writes images as XML and photographs, and opens them."""

    def write(
        *images: str, files: tuple[str, ...] = ("a.png", "b.png"), labels: str = LABELS, classes: str = "",
        meta: str = "task", lenient: bool = False, size: tuple[int, int] = (WIDTH, HEIGHT), name: str = "annotations",
    ) -> StoredDataSet:  # fmt: skip
        for file in files:
            path = tmp_path / "images" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(path)
        if classes:
            (tmp_path / "classes.txt").write_text(classes, encoding="utf-8")
        head = f"<meta><{meta}><labels>{labels}</labels></{meta}><dumped>2026-01-01</dumped></meta>"
        text = f'<?xml version="1.0"?><annotations><version>1.1</version>{head}{"".join(images)}</annotations>'
        (tmp_path / f"{name}.xml").write_text(text, encoding="utf-8")
        found = open_data(tmp_path, format="cvat", ignore_unknown=lenient)
        assert isinstance(found, StoredDataSet)
        return found

    return write


def image(name: str, *shapes: str, more: str = f'width="{WIDTH}" height="{HEIGHT}"') -> str:
    return f'<image id="0" name="{name}" {more}>{"".join(shapes)}</image>'


def shape(tag: str, label: str, inner: str = "", **attributes: object) -> str:
    given = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<{tag} label="{label}" source="manual" occluded="0"{given}>{inner}</{tag}>'


def polygon(label: str, left: float = 0, right: float = 10, **more: object) -> str:
    return shape("polygon", label, points=f"{left},0;{right},0;{right},{HEIGHT};{left},{HEIGHT}", **more)


def tags(data: StoredDataSet) -> dict[str, set[str]]:
    return {one.name: {data.classes.names[tag] for tag in one.tags} for one in data.samples}


def reasons(data: StoredDataSet) -> str:
    return " | ".join(f"{one.source}: {one.reason}" for one in data.problems)


def truth(data: StoredDataSet, name: str = "a") -> np.ndarray:
    sample = next(one for one in data.samples if one.name == name)
    assert sample.has_ground_truth
    return data.read_ground_truth(sample)


BOX = {"xtl": 1, "ytl": 1, "xbr": 5, "ybr": 5, "rotation": 30}
POINTS = {"points": "1,1;5,5"}
SHAPES = {
    "tag": shape("tag", "mug"),
    "box": shape("box", "mug", **BOX),
    "polygon": polygon("mug"),
    "polyline": shape("polyline", "mug", **POINTS),
    "points": shape("points", "mug", **POINTS),
    "mask": shape("mask", "mug", rle="0, 4", left=1, top=1, width=2, height=2),
    "ellipse": shape("ellipse", "mug", cx=5, cy=5, rx=2, ry=2),
    "cuboid": shape("cuboid", "mug", xtl1=1),
    "skeleton": shape("skeleton", "mug", shape("points", "nose", points="1,1") + shape("points", "1", points="2,2")),
}


@pytest.mark.parametrize("tag", SHAPES)
def test_every_element_tags(read: Write, tag: str) -> None:
    data = read(image("a.png", SHAPES[tag]), image("b.png", polygon("jar")))
    assert tags(data) == {"a": {"mug"}, "b": {"jar"}} and not data.problems
    assert data.classes.names == ("background", "mug", "jar")
    assert [one.has_ground_truth for one in data.samples] == [tag in ("polygon", "mask", "ellipse"), True]
    if not data.samples[0].has_ground_truth:
        assert any("without ground truth" in note and "image 'a.png'" in note for note in data.notes)


def test_points_of_skeletons_are_no_classes_and_may_share_names(read: Write) -> None:
    labels = "".join(
        f"<label><name>{name}</name><type>skeleton</type></label>"
        + "".join(f"<label><name>{point}</name><type>points</type><parent>{name}</parent></label>" for point in "12")
        for name in ("cat", "dog")
    )
    points = "".join(shape("points", point, points="9,9") for point in "12")
    data = read(
        image("a.png", shape("skeleton", "cat", points)),
        image("b.png", shape("skeleton", "dog", points)),
        labels=labels,
    )
    assert data.classes.names == ("background", "cat", "dog") and tags(data) == {"a": {"cat"}, "b": {"dog"}}


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        ("<circle label='mug'/>", "an element 'circle' is not read"),
        (shape("skeleton", "mug", "<circle/>"), "an element 'circle' in a skeleton is not read"),
        (shape("box", "mug", "<points/>"), "an element 'points' in a box is not read"),
        ("<box xtl='1'/>", "a box without a label is not read"),
    ],
)
def test_what_is_not_understood_is_named_by_image_and_left_out(read: Write, strange: str, words: str) -> None:
    given = image("a.png", polygon("mug"), strange), image("b.png", polygon("jar"))
    data = read(*given)
    assert tags(data) == {"b": {"jar"}} and words in reasons(data) and "image 'a.png'" in reasons(data)
    data = read(*given, lenient=True)
    assert set(tags(data)) == {"a", "b"} and not data.samples[0].has_ground_truth


def test_attributes_are_no_classes(read: Write) -> None:
    attribute = '<attribute name="side">left</attribute>'
    data = read(image("a.png", shape("tag", "mug", attribute), polygon("mug").replace("></", f">{attribute}</")))
    assert tags(data) == {"a": {"mug"}} and "left" not in data.classes.names


@pytest.mark.parametrize("meta", ["task", "project", "job"])
def test_labels_of_tasks_projects_and_jobs_unused_ones_included(read: Write, meta: str) -> None:
    data = read(image("a.png", polygon("mug")), labels=LABELS + "<label><name>lid</name></label>", meta=meta)
    assert data.classes.names == ("background", "mug", "jar", "lid")


def test_labels_of_the_tasks_of_a_project(read: Write) -> None:
    task = (
        f"</labels><tasks><task><labels>{LABELS}</labels></task><task><labels>{LABELS}</labels></task></tasks><labels>"
    )
    data = read(image("a.png", polygon("mug")), labels=task, meta="project")
    assert data.classes.names == ("background", "mug", "jar")


def test_photographs_beside_the_file(read: Write, tmp_path: Path) -> None:
    read(image("a.png", polygon("mug")), image("b.png", shape("tag", "jar")))
    for name in ("a.png", "b.png"):
        (tmp_path / "images" / name).rename(tmp_path / name)
    (tmp_path / "images").rmdir()
    (tmp_path / "truth").mkdir()
    Image.fromarray(np.full((HEIGHT, WIDTH), 2, np.uint8)).save(tmp_path / "truth" / "b.png")
    data = open_data(tmp_path, format="cvat")
    assert isinstance(data, StoredDataSet) and not data.problems
    assert tags(data) == {"a": {"mug"}, "b": {"jar"}} and (truth(data, "b") == 2).all()


def test_a_label_of_no_class_is_named(read: Write) -> None:
    data = read(image("a.png", polygon("jug")), image("b.png", polygon("jar")))
    assert tags(data) == {"b": {"jar"}} and "unknown tag 'jug'" in reasons(data)


def test_two_jobs_have_to_agree(read: Write, tmp_path: Path) -> None:
    given = image("a.png", polygon("mug")), image("a.png", polygon("jar")), image("b.png", polygon("jar"))
    data = read(*given)
    assert tags(data) == {"b": {"jar"}} and "give it different tags ('mug' and 'jar')" in reasons(data)
    read(given[0], given[2], name="job_1")
    data = read(given[1], given[2], name="annotations")
    assert tags(data) == {"b": {"jar"}} and "job_1.xml line 1, image 'a.png' give it different tags" in reasons(data)


def test_subsets_are_folders(read: Write) -> None:
    files = ("train/a.png", "val/a.png", "val/trip/b.png")
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    data = read(
        image("a.png", polygon("mug"), more=f'subset="train" {size}'),
        image("a.png", polygon("jar"), more=f'subset="val" {size}'),
        image("trip/b.png", polygon("jar"), more=f'subset="val" {size}'),
        files=files,
    )  # fmt: skip
    assert tags(data) == {"train/a": {"mug"}, "val/a": {"jar"}, "val/trip/b": {"jar"}}


def test_videos_are_refused_with_the_remedy(read: Write) -> None:
    with pytest.raises(DataError, match="tracks of a video; export it as 'CVAT for images"):
        read('<track id="0" label="mug"><box frame="0"/></track>')


def test_an_image_without_annotations_is_a_negative(read: Write) -> None:
    data = read(image("a.png"), image("b.png", polygon("jar")))
    assert tags(data) == {"a": set(), "b": {"jar"}} and (truth(data) == 0).all()
    assert any("has no tag and counts as background" in note for note in data.notes)


def test_without_a_single_label_the_reasons_are_told(read: Write) -> None:
    with pytest.raises(DataError, match=r"no label could be a class: .*an element 'circle' is not read"):
        read(image("a.png", "<circle/>"), labels="")


def test_shapes_are_painted(read: Write) -> None:
    data = read(
        image(
            "a.png", polygon("mug"), shape("ellipse", "jar", cx=15, cy=5, rx=4, ry=2, rotation=90),
            shape("mask", "lid", rle="1, 2, 1", left=1, top=2, width=2, height=2),
        ),
        labels=LABELS + "<label><name>lid</name></label>",
    )  # fmt: skip
    found = truth(data)
    assert (found[2, 2], found[3, 1], found[2, 1], found[3, 2]) == (3, 3, 1, 1)
    rows, columns = np.nonzero(found == 2)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 8, 13, 16)


def test_z_order_says_what_is_in_front_and_else_the_smaller(read: Write) -> None:
    small, large = polygon("mug", 5, 10), polygon("jar", 0, 20)
    for shapes in ((small, large), (large, small)):
        assert set(truth(read(image("a.png", *shapes)))[0]) == {1, 2}
    in_front = polygon("jar", 0, 20, z_order=1), polygon("mug", 5, 10, z_order=0)
    assert set(truth(read(image("a.png", *in_front)))[0]) == {2}


def test_shapes_follow_a_photograph_that_was_shrunk_since(read: Write) -> None:
    large = polygon("mug", 0, 100).replace(f",{HEIGHT}", ",100")
    found = truth(read(image("a.png", large, more='width="200" height="100"')))
    assert (found[:, :10] == 1).all() and (found[:, 10:] == 0).all()
    mask = shape("mask", "mug", rle="0, 10000", left=0, top=0, width=100, height=100)
    found = truth(read(image("a.png", mask, more='width="200" height="100"')))
    assert (found[:, :10] == 1).all() and (found[:, 10:] == 0).all()
    with pytest.raises(ItemError, match=r"image 'a.png'.*of another shape"):
        truth(read(image("a.png", large, more='width="200" height="50"')))


@pytest.mark.parametrize(
    "broken",
    [
        shape("polygon", "mug"), shape("polygon", "mug", points="1,1"), shape("polygon", "mug", points="1,1;2;3,3"),
        shape("polygon", "mug", points="1,1;nan,2;3,3"), shape("polygon", "mug", points="1,1;9e9,2;3,3"),
        shape("ellipse", "mug", cx="x", cy=1, rx=1, ry=1),
        shape("mask", "mug", rle="", left=0, top=0, width=1, height=1),
        shape("mask", "mug", rle="9" * 5000, left=0, top=0, width=1, height=1),
        shape("mask", "mug", rle="9" * 30, left=0, top=0, width=1, height=1),
        shape("mask", "mug", rle="0, 1", left=0, top=0, width=10**12, height=10**12),
        shape("mask", "mug", rle="0, 1", left=0, top=0, width=0, height=0),
    ],
)  # fmt: skip
def test_a_damaged_shape_tags_and_leaves_no_ground_truth(read: Write, broken: str) -> None:
    data = read(image("a.png", broken), image("b.png", polygon("jar")))
    assert tags(data)["a"] == {"mug"} and not data.samples[0].has_ground_truth
    assert any("is damaged" in note for note in data.notes)


@pytest.mark.parametrize(
    ("rle", "box"),
    [("0, 5", (0, 0, 2, 2)), ("0, 4", (19, 0, 2, 2)), ("0, 4", (0, -1, 2, 2)), ("3, -1, 2", (0, 0, 2, 2)),
     ("0, 100000000", (0, 0, 10_000, 10_000))],
)  # fmt: skip
def test_masks_that_do_not_fit_are_named(read: Write, rle: str, box: tuple[int, ...]) -> None:
    left, top, width, height = box
    mask = shape("mask", "mug", rle=rle, left=left, top=top, width=width, height=height)
    with pytest.raises(ItemError, match=r"image 'a.png': its outline does not fit"):
        truth(read(image("a.png", mask)))


def test_masks_in_truth_and_void_without_a_background(read: Write, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(tmp_path / "truth" / "a.png")
    data = read(image("a.png", shape("tag", "jar")), image("b.png", polygon("mug")), classes="jar\nmug\n")
    assert (truth(data) == 0).all() and (truth(data, "b")[:, 10:] == VOID).all()


def test_a_flood_of_elements_or_of_text_is_bounded(read: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dhr.data.xml_text._ELEMENTS", 1_000)
    with pytest.raises(DataError, match="over 1000 elements in one"):
        read(image("a.png", "<a/>" * 1_000))
    read(*[image("a.png", "<a/>" * 100), image("b.png", polygon("mug"))] * 10)
    many = "x\n" * 400_000  # each line is a text of its own
    data = read(image("a.png", polygon("mug"), many))
    assert tags(data) == {"a": {"mug"}}
