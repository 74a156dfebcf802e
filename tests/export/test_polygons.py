"""YOLO's polygons, painted by their specification, give the masks again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from dhr.data.samples import ClassTable
from dhr.export.masks import Item
from dhr.export.parts import parts, runs
from dhr.export.polygons import polygons
from dhr.export.yolo import lines

cv2 = pytest.importorskip("cv2")
ndimage = pytest.importorskip("scipy.ndimage")

TABLE = ClassTable(("background", "cat", "dog"), background=True)


def painted(text: str, height: int, width: int) -> np.ndarray:
    """A label file on a canvas, larger polygons first, as Ultralytics paints them."""
    polygons = []
    for line in text.splitlines():
        label, *numbers = line.split()
        shares = np.array(numbers, dtype=np.float32).reshape(-1, 2)
        assert len(shares) >= 3 and (shares >= 0).all() and (shares <= 1).all()
        points = (shares * (width, height)).astype(np.int32)
        canvas = np.zeros((height, width), np.uint8)
        cv2.fillPoly(canvas, [points], 1)
        polygons.append((int(label) + 1, canvas.astype(bool)))
    labels = np.zeros((height, width), np.uint8)
    for label, mask in sorted(polygons, key=lambda one: -int(one[1].sum())):
        labels[mask] = label
    return labels


def item(labels: np.ndarray) -> Item:
    return Item(1, "a", "a.png", None, labels, "")


@settings(max_examples=150, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()))
def test_a_part_and_its_outline_are_the_same(mask: np.ndarray) -> None:
    for part in parts(mask.astype(np.uint8), TABLE, instances=True):
        for holes in (True, False):
            (outline,) = polygons(part.mask, holes)
            canvas = np.zeros(part.mask.shape, np.uint8)
            cv2.fillPoly(canvas, [outline.astype(np.int32)], 1)
            expected = part.mask if holes else ndimage.binary_fill_holes(part.mask)
            assert (canvas.astype(bool) == expected).all()


@settings(max_examples=100, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()), st.integers(1, 6))
def test_every_part_has_its_outline(mask: np.ndarray, min_area: int) -> None:
    numbered, count = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
    found = []
    for outline in polygons(mask, True, min_area):
        canvas = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(canvas, [outline.astype(np.int32)], 1)
        (part,) = np.unique(numbered[canvas > 0])
        assert (canvas.astype(bool) == (numbered == part)).all()
        found.append(part)
    assert sorted(found) == [part for part in range(1, count + 1) if areas[part - 1] >= min_area]


@settings(max_examples=100, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 1, 2, 255])))
def test_a_label_file_and_its_mask_are_the_same(labels: np.ndarray) -> None:
    found = painted(lines(item(labels), TABLE, holes=True), *labels.shape)
    assert (found == np.where(labels == 255, 0, labels)).all()


def test_filled_holes_are_the_only_loss() -> None:
    ring = np.ones((9, 9), np.uint8)
    ring[3:6, 3:6] = 0
    ring[4, 4] = 2
    assert (painted(lines(item(ring), TABLE, holes=True), 9, 9) == ring).all()
    filled = painted(lines(item(ring), TABLE, holes=False), 9, 9)
    assert (filled != ring).sum() == 8 and filled[4, 4] == 2


def test_small_parts_are_left_out_if_asked() -> None:
    labels = np.array([[1, 1, 0, 2], [1, 1, 0, 0]], np.uint8)
    assert len(lines(item(labels), TABLE, True, min_area=2).splitlines()) == 1
    assert len(lines(item(labels), TABLE, True).splitlines()) == 2
    assert [part.label for part in parts(labels, TABLE, False, min_area=2)] == [1, 2]  # classes are whole


def test_real_masks(voc: Path) -> None:
    table = ClassTable(("background", *(str(number) for number in range(1, 21))), background=True)
    for path in sorted((voc / "masks").glob("*.png"))[:4]:
        with Image.open(path) as image:
            labels = np.array(image)
        text = lines(item(labels), table, holes=True)
        assert (painted(text, *labels.shape) == np.where(labels == 255, 0, labels)).all()


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, 255])))
def test_parts_cover_each_pixel_once(labels: np.ndarray) -> None:
    for instances in (False, True):
        found = np.zeros_like(labels)
        for part in parts(labels, TABLE, instances):
            for edge in (part.mask[0], part.mask[-1], part.mask[:, 0], part.mask[:, -1]):
                assert edge.any()
            whole = part.whole(*labels.shape)
            assert not found[whole].any()
            found[whole] = part.label
            assert not instances or ndimage.label(whole, np.ones((3, 3)))[1] == 1
        assert (found == np.where(labels == 255, 0, labels)).all()


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.booleans()))
def test_runs_are_undone(mask: np.ndarray) -> None:
    lengths: Any = runs(mask)
    values = np.arange(len(lengths)) % 2 == 1
    assert (np.repeat(values, lengths) == mask.ravel()).all()
    assert all(length > 0 for length in lengths[1:])
