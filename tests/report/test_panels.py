import base64
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dhr.data.palette import palette
from dhr.report.charts import bar
from dhr.report.panels import contours, data_uri, heat_map, overlay, shrink_labels, shrunk, thumbnail
from dhr.report.text import safe


def photograph(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1, 1), (1, 1)), ((200, 100), (200, 100)), ((400, 100), (200, 50)), ((1, 9000), (1, 200)), ((9000, 1), (200, 1))],
)
def test_thumbnails_fit_and_are_never_empty(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrunk(*size) == expected
    assert thumbnail(photograph(*size)).shape == (*expected, 3)


def test_a_small_photograph_stays_as_it_is() -> None:
    image = photograph(7, 5)
    np.testing.assert_array_equal(thumbnail(image), image)


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 40), st.integers(1, 40))
def test_nearest_resizing_keeps_to_the_labels(height: int, width: int, rows: int, columns: int) -> None:
    labels = np.arange(height * width, dtype=np.uint32).reshape(height, width).astype(np.uint8)
    small = shrink_labels(labels, rows, columns)
    assert small.shape == (rows, columns)
    assert set(small.ravel().tolist()) <= set(labels.ravel().tolist())
    if (rows, columns) == (height, width):
        np.testing.assert_array_equal(small, labels)


def test_contours_are_where_labels_change() -> None:
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]], dtype=np.uint8)
    expected = [[False, True, False], [True, True, True], [False, False, False]]
    assert contours(labels).tolist() == expected
    assert not contours(np.zeros((1, 1), dtype=np.uint8)).any()


def test_overlay_tints_classes_darkens_background_and_marks_void() -> None:
    grey = np.full((20, 20, 3), 100, dtype=np.uint8)
    colours = palette(256)
    whole = {label: overlay(grey, np.full((20, 20), label, dtype=np.uint8), colours, True) for label in (0, 1, 255)}
    assert (whole[0] < 100).all()
    assert (whole[1][..., 0] > whole[1][..., 1]).all()  # class 1 is dark red
    assert len(np.unique(whole[255])) == 2  # two greys of the hatching
    assert (overlay(grey, np.zeros((20, 20), dtype=np.uint8), colours, False) != whole[0]).any()


def test_heat_is_warm_and_survives_what_is_not_finite() -> None:
    grey = np.full((10, 10, 3), 100, dtype=np.uint8)
    cam = np.zeros((2, 2), dtype=np.float16)
    cam[0, 0], cam[0, 1], cam[1, 0] = 1, np.nan, np.inf
    picture = heat_map(grey, cam)
    assert picture.shape == grey.shape
    assert picture[0, 0].sum() > picture[-1, -1].sum()
    assert heat_map(grey, np.zeros((1, 1), dtype=np.float16)).std(axis=(0, 1)).max() == 0


def test_a_data_uri_is_the_smaller_of_png_and_jpeg() -> None:
    flat, noisy = np.zeros((100, 100, 3), dtype=np.uint8), photograph(100, 100)
    for picture, kind in ((flat, "png"), (noisy, "jpeg")):
        head, body = data_uri(picture).split(",")
        assert head == f"data:image/{kind};base64"
        assert Image.open(io.BytesIO(base64.b64decode(body))).size == (100, 100)


def test_bars_stay_within_their_track() -> None:
    assert 'width="50.00%"' in bar(0.5)
    assert 'width="0.00%"' in bar(math.nan)
    assert 'width="100.00%"' in bar(7.0)
    assert "mark" not in bar(0.5)
    assert "mark" in bar(0.5, mark=1.0)


@given(st.text(), st.integers(3, 50))
def test_safe_text_has_no_markup(text: str, limit: int) -> None:
    result = safe(text, limit)
    assert not set("<>\"'") & set(result)
    assert len(result) <= 6 * limit
