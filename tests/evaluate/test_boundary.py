"""Edges of masks against those of the truth, against one pixel at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.evaluate.boundary import TOLERANCE, boundary_f, boundary_matches


def edge_pixels(labels: np.ndarray, truth: np.ndarray, label: int) -> list[tuple[int, int]]:
    height, width = labels.shape
    found = []
    for y in range(height):
        for x in range(width):
            if truth[y, x] == 255 or labels[y, x] != label:
                continue
            beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(v, u) for v, u in beside if 0 <= v < height and 0 <= u < width and truth[v, u] != 255]
            if any(labels[place] not in (label, 255) for place in inside):
                found.append((y, x))
    return found


def filled(truth: np.ndarray, rings: int) -> np.ndarray:
    """Void takes the least label beside it, ring by ring."""
    labels = truth.copy()
    for _ in range(rings):
        wide = np.pad(labels, 1, constant_values=255)
        around = np.min([wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]], axis=0)
        labels = np.where(labels == 255, around, labels)
    return labels


def by_hand(pred: np.ndarray, truth: np.ndarray, classes: int) -> list[list[int]]:
    radius = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    truth, pred = filled(truth, radius), filled(pred, radius)

    def met(own: list[tuple[int, int]], other: list[tuple[int, int]]) -> int:
        return sum(any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in other) for y, x in own)

    rows = []
    for label in range(classes):
        ours, theirs = edge_pixels(pred, truth, label), edge_pixels(truth, truth, label)
        rows.append([len(ours), met(ours, theirs), len(theirs), met(theirs, ours)])
    return rows


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 12), st.sampled_from([1, 5, 30, 160]), st.integers(1, 4), st.sampled_from([0.0, 0.1, 0.7]),
    st.integers(0, 2**16),
)  # fmt: skip
def test_equals_one_pixel_at_a_time(height: int, width: int, classes: int, void: float, seed: int) -> None:
    random = np.random.default_rng(seed)

    def draw() -> np.ndarray:
        cells = random.integers(0, classes, (-(-height // 3), -(-width // 3)), dtype=np.uint8)
        labels = cells.repeat(3, 0).repeat(3, 1)[:height, :width]
        labels[random.random(labels.shape) < void] = 255
        return labels

    pred, truth = draw(), draw()
    assert boundary_matches(pred, truth, classes).tolist() == by_hand(pred, truth, classes)


def square(at: int) -> np.ndarray:
    labels = np.zeros((60, 80), dtype=np.uint8)  # a diagonal of 100: the tolerance is 1 pixel
    labels[20:40, at : at + 20] = 1
    return labels


@pytest.mark.parametrize(("shift", "perfect"), [(0, True), (1, True), (2, False)])
def test_edges_within_the_tolerance_meet(shift: int, perfect: bool) -> None:
    score = boundary_f(boundary_matches(square(30 + shift), square(30), 2))
    assert (score == 1) == perfect


def test_edges_far_away_do_not_meet() -> None:
    assert boundary_f(boundary_matches(square(60), square(10), 2)) == 0


def test_a_class_that_is_not_predicted_has_0_and_one_that_is_not_there_does_not_count() -> None:
    nothing = np.zeros((60, 80), dtype=np.uint8)
    assert boundary_f(boundary_matches(nothing, square(30), 7)) == 0
    assert math.isnan(boundary_f(boundary_matches(square(30), nothing, 7)))


def test_what_lies_in_void_does_not_count() -> None:
    truth = square(30)
    truth[:, 25:] = 255
    assert boundary_matches(square(30), truth, 2).sum() == 0


def test_a_void_band_along_the_contour_is_no_reason_not_to_look() -> None:
    truth = square(30)
    truth[19:21, 29:51] = truth[39:41, 29:51] = truth[19:41, 29:31] = truth[19:41, 49:51] = 255  # as in VOC
    perfect, far = (boundary_f(boundary_matches(square(at), truth, 2)) for at in (30, 38))
    assert perfect == 1
    assert far < 0.7


@pytest.mark.parametrize("band", [1, 2, 5, 9])
def test_the_truth_itself_scores_1_whatever_its_void(band: int) -> None:
    random = np.random.default_rng(band)
    truth = random.integers(0, 4, (6, 8), dtype=np.uint8).repeat(40, 0).repeat(40, 1)  # 3 pixels
    edges = np.zeros(truth.shape, bool)
    edges[:, 1:] |= truth[:, 1:] != truth[:, :-1]
    edges[1:] |= truth[1:] != truth[:-1]
    for y, x in np.argwhere(edges):
        truth[max(0, y - band // 2) : y + band // 2 + 1, max(0, x - band // 2) : x + band // 2 + 1] = 255
    found = boundary_matches(truth, truth, 4)
    assert (found == found[:, :1]).all()
    score = boundary_f(found)
    assert score == 1 or (band == 9 and math.isnan(score))  # wider than both sides reach: there is no contour to meet


def test_void_in_the_prediction_is_no_edge_and_no_excuse() -> None:
    truth = square(30)
    pred = truth.copy()
    pred[19:21, 29:51] = 255  # the upper contour, a band of two pixels
    assert boundary_f(boundary_matches(pred, truth, 2)) == 1
    pred[10:30, 20:60] = 255  # the upper half
    assert boundary_f(boundary_matches(pred, truth, 2)) < 0.8


def test_an_edge_amid_wide_void_does_not_count() -> None:
    truth = np.zeros((60, 80), dtype=np.uint8)
    truth[:, 30:] = 1
    pred = truth.copy()
    assert boundary_matches(pred, truth, 2).sum() == 8 * 60
    truth[:, 25:35] = 255
    assert boundary_matches(pred, truth, 2).sum() == 0
