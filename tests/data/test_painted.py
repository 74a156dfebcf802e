"""Objects painted into ground truth: each outline against an independent painter, order, size, orientation, bounds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from dhr.data.ground_truth import NoGroundTruth
from dhr.data.images import read_rgb
from dhr.data.outlines import Bitmap, Outline, Polygons, Runs, ellipse, polygons
from dhr.data.painted import PaintedGroundTruth, PaintedObject, painted
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ItemError

FILE, IMAGE = Path("all.json"), Path("a.png")
CLASSES = ClassTable(("background", "cat", "dog"), background=True)


def box(left: float, top: float, right: float, bottom: float) -> Polygons:
    return polygons([[left, top, right, top, right, bottom, left, bottom]])


def shown(outline: Outline, drawn: tuple[int, int], canvas: tuple[int, int]) -> np.ndarray:
    """An outline alone in the photograph."""
    one = PaintedObject(1, (outline,), "annotation 1", drawn)
    return PaintedGroundTruth(FILE, IMAGE, [one]).read(canvas).astype(bool)


def truth(*objects: PaintedObject, image: Path = IMAGE, rest: int = 0) -> PaintedGroundTruth:
    return PaintedGroundTruth(FILE, image, objects, rest)


def square(label: int, side: float, at: float = 0.0, place: str = "annotation 1", **more: Any) -> PaintedObject:
    return PaintedObject(label, (box(at, at, at + side, at + side),), place, **more)


def runs_of(mask: np.ndarray, by_column: bool) -> np.ndarray:
    flat = np.concatenate([[False], (mask.T if by_column else mask).ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(edges, prepend=0, append=flat.size - 1)


corner = st.floats(-8, 40, width=32)


@given(
    st.lists(st.lists(st.tuples(corner, corner), min_size=3, max_size=8), min_size=1, max_size=3),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_polygons_are_painted_as_pycocotools_paints_them(
    parts: list[list[tuple[float, float]]], size: tuple[int, int]
) -> None:
    flat = [[value for point in part for value in point] for part in parts]
    if max(max(part) for part in flat) > 2 * max(size) or min(min(part) for part in flat) < -max(size):
        return
    whole = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, *size))).astype(bool)
    assert (shown(polygons(flat), size, size) == whole).all()


@given(st.data())
def test_run_lengths_and_bitmaps_give_their_pixels(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    top, left = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4))
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    mask = np.array(bits).reshape(height, width)
    drawn = top + height + data.draw(st.integers(0, 3)), left + width + data.draw(st.integers(0, 3))
    scale = data.draw(st.sampled_from([1, 2, 3]))
    canvas = drawn[0] * scale, drawn[1] * scale
    whole = np.zeros(drawn, bool)
    whole[top : top + height, left : left + width] = mask
    expected = whole.repeat(scale, 0).repeat(scale, 1)
    for by_column in (True, False):
        runs = Runs(runs_of(mask, by_column), top, left, (height, width), by_column)
        assert (shown(runs, drawn, canvas) == expected).all()
        assert (shown(runs, canvas, canvas)[: drawn[0], : drawn[1]] == whole).all()
    assert (shown(Bitmap(mask, top, left), drawn, canvas) == expected).all()
    assert (shown(Bitmap(expected), canvas, drawn) == whole).all()  # shrunk


def test_the_nearest_pixel_is_that_of_the_centre() -> None:
    mask = np.zeros((3, 9), bool)
    mask[1, 4] = True
    for outline in (Bitmap(mask), Runs(runs_of(mask, True), 0, 0, (3, 9), True)):
        assert shown(outline, (3, 9), (1, 3)).tolist() == [[False, True, False]]


def test_polygons_and_ellipses() -> None:
    assert shown(box(2, 1, 5, 4), (8, 9), (8, 9)).nonzero()[1].tolist() == [2, 3, 4] * 3
    rows, columns = np.mgrid[:60, :80] + 0.5
    inside = ((columns - 40) / 30) ** 2 + ((rows - 25) / 12) ** 2 < 1
    assert (shown(ellipse(40, 25, 30, 12), (60, 80), (60, 80)) != inside).mean() < 0.02
    turned = shown(ellipse(40, 30, 25, 10, 90), (60, 80), (60, 80))
    assert (turned != shown(ellipse(40, 30, 10, 25), (60, 80), (60, 80))).mean() < 0.01
    # Clockwise, as y grows downwards: an eighth of a turn leads from the right to the lower right.
    eighth = shown(ellipse(15, 15, 12, 3, 45), (30, 30), (30, 30))
    assert eighth[20, 20] and eighth[9, 9] and not eighth[9, 20] and not eighth[20, 9]


@given(st.permutations(range(4)))
def test_small_objects_lie_above_large_ones_in_any_order(order: list[int]) -> None:
    objects = [square(label, side, place=f"annotation {label}") for label, side in ((1, 10), (2, 6), (3, 3))]
    objects.append(square(VOID, 12))
    labels = truth(*(objects[index] for index in order)).read((12, 12))
    expected = np.full((12, 12), VOID)
    for label, side in ((1, 10), (2, 6), (3, 3)):
        expected[:side, :side] = label
    assert (labels == expected).all()


def test_the_later_of_two_equal_objects_shows_and_the_rest_is_as_told() -> None:
    assert truth(square(1, 3), square(2, 3)).read((3, 3)).tolist() == [[2] * 3] * 3
    assert truth(square(2, 3), square(1, 3)).read((3, 3)).tolist() == [[1] * 3] * 3
    assert truth(square(0, 1), rest=VOID).read((1, 2)).tolist() == [[0, VOID]]


def test_outlines_of_one_object_are_one_area() -> None:
    parts = PaintedObject(1, (box(0, 0, 2, 2), box(4, 4, 6, 6), box(1, 1, 5, 5)), "annotation 1")
    labels = truth(parts, square(2, 5)).read((6, 6))  # 22 pixels against 25
    assert labels[1, 1] == 1 and labels[0, 4] == 2 and (labels == 1).sum() == 22


@pytest.mark.parametrize("size", [(40, 60), (20, 30), (80, 120), (27, 40), (133, 200), (13, 20)])
def test_a_shrunk_photograph_takes_its_objects_with_it(size: tuple[int, int]) -> None:
    labels = truth(square(1, 20, 10, drawn=(40, 60))).read(size)
    scale = size[1] / 60
    rows, columns = np.nonzero(labels)
    edges = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    assert np.abs(np.array(edges) - np.array([10, 30, 10, 30]) * scale).max() <= 1


@pytest.mark.parametrize("size", [(40, 40), (60, 40), (30, 60), (41, 58), (1, 1000)])
def test_another_shape_is_refused_with_both_sizes(size: tuple[int, int], tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    Image.new("L", (size[1], size[0])).save(image)
    with pytest.raises(ItemError, match=r"annotation 1.*60x40 pixels.*of another shape") as error:
        truth(square(1, 20, 10, drawn=(40, 60)), image=image).read(size)
    assert f"a.png of {size[1]}x{size[0]} pixels" in str(error.value)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["polygon", "bitmap", "runs"])
def test_objects_turn_with_the_photograph(tmp_path: Path, orientation: int, kind: str, scale: int) -> None:
    stored = np.zeros((24, 36, 3), np.uint8)
    stored[3:9, 5:25] = 255  # the object, as a program shows it that knows no EXIF
    image = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored.repeat(scale, 0).repeat(scale, 1)).save(image, exif=exif)
    drawn = stored[:, :, 0] > 0
    outline: Outline = {
        "polygon": box(5, 3, 25, 9),
        "bitmap": Bitmap(drawn),
        "runs": Runs(runs_of(drawn, True), 0, 0, (24, 36), True),
    }[kind]
    upright = read_rgb(image)
    assert upright.shape == (36 * scale, 24 * scale, 3)
    labels = truth(PaintedObject(1, (outline,), "annotation 1", (24, 36)), image=image).read(upright.shape[:2])
    assert (labels == upright[:, :, 0] // 255).all()
    upright_drawn = PaintedObject(2, (Bitmap(upright[:, :, 0] > 0),), "annotation 1")
    assert (truth(upright_drawn, image=image).read(upright.shape[:2]) == upright[:, :, 0] // 255 * 2).all()


def test_slivers_have_no_area_and_what_is_no_polygon_is_refused() -> None:
    assert len(polygons([[1, 1, 2, 2], [0, 0, 3, 0, 3, 3], []]).corners) == 1
    for wrong in (
        [],
        [[1, 1, 2, 2]],
        [[0, 0, 1, 1, 2]],
        [[0, 0, 1, float("nan"), 2, 2]],
        [["a"] * 6],
        [5],
        [[1e7] * 6],
    ):
        with pytest.raises(ValueError, match=r"polygon"):
            polygons(wrong)


def test_an_object_without_outline_is_named() -> None:
    lacks = PaintedObject(1, (), "annotation 7", missing="it has no outline")
    found = painted(FILE, IMAGE, [square(1, 2), lacks], CLASSES)
    assert isinstance(found, NoGroundTruth)
    for one in (found, truth(lacks)):
        with pytest.raises(ItemError, match=r"all.json annotation 7.*it has no outline"):
            one.read((3, 3))


@pytest.mark.parametrize(
    "outline",
    [
        polygons([[0, 0, 9e5, 0, 9e5, 9e5]]),
        polygons([[0, 0, 90, 90] * 30_000]),
        Runs(np.array([5]), 0, 0, (6, 8), True),
        Runs(np.array([-5, 53]), 0, 0, (6, 8), True),
        Runs(np.array([4, 4]), 4, 0, (4, 2), False),
        Bitmap(np.ones((7, 8), bool)),
    ],
)
def test_what_does_not_fit_is_one_line(outline: Outline) -> None:
    with pytest.raises(ItemError, match=r"all.json annotation 1: .*a.png of 8x6 pixels") as error:
        shown(outline, (6, 8), (6, 8))
    assert len(str(error.value).splitlines()) == 1


def test_objects_without_end_are_refused_and_many_small_ones_are_not() -> None:
    cover = PaintedObject(1, (Runs(np.array([0, 400 * 400]), 0, 0, (400, 400), True),), "annotation 1")
    with pytest.raises(ItemError, match=r"cover it over 1000 times"):
        truth(*[cover] * 1_001).read((400, 400))
    small = PaintedObject(1, (Runs(np.array([5_000, 1, 4_999]), 0, 0, (100, 100), True),), "annotation 1")
    assert truth(*[small] * 3_000).read((100, 100)).sum() == 1
