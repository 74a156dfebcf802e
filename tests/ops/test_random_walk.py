"""Random walk: parity with dense matrices built pair by pair, what it keeps, and that edges stop it."""

import math
from fractions import Fraction

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.errors import ShapeError
from dhr.ops.random_walk import (
    boundary_affinity,
    feature_affinity,
    forward_offsets,
    offsets,
    path_maxima,
    random_walk,
    transition,
)

SIZES = [(7, 6), (1, 6), (6, 1), (2, 3), (1, 1), (9, 4)]
every_size = pytest.mark.parametrize("size", SIZES)
every_radius = pytest.mark.parametrize("radius", [1, 2, 3, 5])


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_edges(b: int, u: int, v: int, seed: int = 0) -> Tensor:
    """Mostly no edge: most of what is within reach is reached."""
    return numbers(b, 1, u, v, seed=seed) ** 4


def dense(stencil: Tensor, radius: int) -> np.ndarray:
    """The matrix (b, uv, uv) of a stencil; what it says of positions outside the grid must be zero."""
    b, _, u, v = stencil.shape
    found = np.zeros((b, u * v, u * v))
    for index, (dy, dx) in enumerate(offsets(radius)):
        for y in range(u):
            for x in range(v):
                entry = stencil[:, index, y, x].numpy()
                if 0 <= y + dy < u and 0 <= x + dx < v:
                    found[:, y * v + x, (y + dy) * v + x + dx] = entry
                else:
                    assert (entry == 0).all()
    return found


def pairs(u: int, v: int, radius: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    places = [(y, x) for y in range(u) for x in range(v)]
    return [(i, j) for i in places for j in places if 0 < math.dist(i, j) <= radius]


def on_the_way(i: tuple[int, int], j: tuple[int, int]) -> set[tuple[int, int]]:
    """Positions whose distance from the straight line, along the shorter side, is half a cell or less."""
    (y0, x0), (y1, x1) = i, j
    length = max(abs(y1 - y0), abs(x1 - x0))
    half = Fraction(1, 2)
    found = set()
    for step in range(length + 1):
        y, x = y0 + Fraction((y1 - y0) * step, length), x0 + Fraction((x1 - x0) * step, length)
        for row in range(math.floor(y), math.ceil(y) + 1):
            for column in range(math.floor(x), math.ceil(x) + 1):
                if abs(row - y) <= half and abs(column - x) <= half:
                    found.add((row, column))
    return found


# Parity


@every_radius
@every_size
def test_boundary_affinity_equals_the_loop_over_pairs(size: tuple[int, int], radius: int) -> None:
    u, v = size
    edges = some_edges(2, u, v)
    expected = np.stack([np.eye(u * v)] * 2)
    for i, j in pairs(u, v, radius):
        highest = torch.stack([edges[:, 0, y, x] for y, x in on_the_way(i, j)]).amax(dim=0)
        expected[:, i[0] * v + i[1], j[0] * v + j[1]] = 1 - highest.numpy()
    np.testing.assert_allclose(dense(boundary_affinity(edges, radius), radius), expected, rtol=0, atol=1e-12)


@every_radius
@every_size
def test_feature_affinity_equals_the_loop_over_pairs(size: tuple[int, int], radius: int) -> None:
    u, v = size
    features, images = numbers(2, 600, u, v) - 0.4, numbers(2, 3, 3 * u + 1, 2 * v)
    images[:, :, :, : v // 2] = 0.5  # alike in colour
    colours = interpolate(images, size, mode="area").numpy()
    vectors = features.numpy()
    expected = np.stack([np.eye(u * v)] * 2)
    for i, j in pairs(u, v, radius):
        for index in range(2):
            f, g = vectors[index, :, i[0], i[1]], vectors[index, :, j[0], j[1]]
            apart = colours[index, :, i[0], i[1]] - colours[index, :, j[0], j[1]]
            cosine = max(0.0, f @ g / (np.linalg.norm(f) * np.linalg.norm(g)))
            expected[index, i[0] * v + i[1], j[0] * v + j[1]] = cosine * np.exp(-(apart @ apart) / (2 * 0.2**2))
    result = feature_affinity(features, images, radius, sigma_colour=0.2)
    np.testing.assert_allclose(dense(result, radius), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 8, 100, 256])
@pytest.mark.parametrize(("size", "radius"), [((7, 6), 2), ((5, 9), 5), ((1, 7), 3), ((2, 2), 5), ((1, 1), 1)])
def test_the_walk_equals_a_power_of_the_dense_matrix(size: tuple[int, int], radius: int, steps: int) -> None:
    scores = numbers(2, 3, *size) * 10 - 5
    moves = transition(boundary_affinity(some_edges(2, *size), radius), beta=3.0)
    result = random_walk(moves, scores, radius, steps)
    for index, matrix in enumerate(dense(moves, radius)):
        expected = np.linalg.matrix_power(matrix, steps) @ scores[index].flatten(1).T.numpy()
        np.testing.assert_allclose(result[index].flatten(1).T.numpy(), expected, rtol=0, atol=1e-11)
    single = random_walk(moves.float(), scores.float(), radius, steps)
    torch.testing.assert_close(single, result.float(), rtol=0, atol=1e-4)


def test_transitions_equal_the_formula() -> None:
    affinity = boundary_affinity(some_edges(2, 6, 7), 3)
    matrix = dense(affinity, 3) ** 2.5
    expected = matrix / matrix.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(dense(transition(affinity, 2.5), 3), expected, rtol=0, atol=1e-12)


# What is kept


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 300),
    st.floats(0.1, 20),
    st.integers(0, 999),
)
def test_keeps_range_partition_and_constants(
    u: int, v: int, k: int, radius: int, steps: int, beta: float, seed: int
) -> None:
    affinity = boundary_affinity(some_edges(2, u, v, seed), radius)
    moves = transition(affinity, beta)
    assert (moves >= 0).all()
    torch.testing.assert_close(moves.sum(dim=1), torch.ones(2, u, v, dtype=torch.float64), rtol=0, atol=1e-12)
    scores = numbers(2, k, u, v, seed=seed)
    result = random_walk(moves, scores, radius, steps)
    assert (result.amax(dim=(2, 3)) <= scores.amax(dim=(2, 3)) + 1e-11).all()
    assert (result.amin(dim=(2, 3)) >= scores.amin(dim=(2, 3)) - 1e-11).all()
    shares = scores / scores.sum(dim=1, keepdim=True)
    total = random_walk(moves, shares, radius, steps).sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-11)
    constant = torch.full_like(scores, 0.7)
    torch.testing.assert_close(random_walk(moves, constant, radius, steps), constant, rtol=0, atol=1e-11)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 5), st.integers(0, 999))
def test_affinities_are_symmetric_and_in_range(u: int, v: int, radius: int, seed: int) -> None:
    features, images = numbers(2, 5, u, v, seed=seed) - 0.5, numbers(2, 3, 2 * u, 3 * v, seed=seed)
    for affinity in (feature_affinity(features, images, radius), boundary_affinity(some_edges(2, u, v, seed), radius)):
        assert affinity.min() >= 0 and affinity.max() <= 1
        assert (affinity[:, len(offsets(radius)) // 2] == 1).all()
        matrix = dense(affinity, radius)
        np.testing.assert_array_equal(matrix, matrix.transpose(0, 2, 1))


def walked(features: Tensor, images: Tensor, edges: Tensor, scores: Tensor) -> Tensor:
    """A walk by both affinities."""
    affinity = feature_affinity(features, images, 3, 0.4) * boundary_affinity(edges, 3)
    return random_walk(transition(affinity, 2.0), scores, 3, 20)


@pytest.mark.parametrize(
    "turn", [lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.flip(2, 3), lambda x: x.transpose(2, 3)]
)
def test_mirrored_and_turned_maps_give_mirrored_and_turned_scores(turn) -> None:
    given = numbers(2, 6, 7, 9), numbers(2, 3, 21, 27), some_edges(2, 7, 9), numbers(2, 3, 7, 9)
    expected = turn(walked(*given))
    torch.testing.assert_close(walked(*(turn(one) for one in given)), expected, rtol=0, atol=1e-12)


def test_each_class_and_each_image_walks_alone() -> None:
    given = numbers(3, 6, 7, 9), numbers(3, 3, 21, 27), some_edges(3, 7, 9), numbers(3, 4, 7, 9)
    result = walked(*given)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(walked(*given[:3], given[3][:, order]), result[:, order], rtol=0, atol=1e-14)
    torch.testing.assert_close(walked(*given[:3], given[3][:, 1:2]), result[:, 1:2], rtol=0, atol=1e-14)
    for index in range(3):
        alone = walked(*(one[index : index + 1] for one in given))
        torch.testing.assert_close(alone[0], result[index], rtol=0, atol=1e-14)


def test_only_the_direction_of_features_counts() -> None:
    features, images = numbers(1, 6, 5, 5) - 0.5, numbers(1, 3, 5, 5)
    lengths = 0.1 + 10 * numbers(1, 1, 5, 5, seed=1)
    result = feature_affinity(features * lengths, images, 2)
    torch.testing.assert_close(result, feature_affinity(features, images, 2), rtol=0, atol=1e-12)


def test_features_without_a_length_are_joined_with_nothing() -> None:
    features = torch.ones(1, 4, 3, 3)
    features[..., 1, 1] = 0
    affinity = feature_affinity(features, torch.zeros(1, 3, 3, 3), 1)
    centre = affinity[0, :, 1, 1]
    assert centre.tolist() == [0, 0, 1, 0, 0]
    assert transition(affinity).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_keeps_the_types_and_leaves_the_inputs_alone(dtype: torch.dtype) -> None:
    given = [one.to(dtype) for one in (numbers(1, 4, 5, 6), some_edges(1, 5, 6), numbers(1, 2, 5, 6))]
    copies = [one.clone() for one in given]
    features, edges, scores = given
    assert feature_affinity(features, numbers(1, 3, 10, 12), 2).dtype == dtype
    moves = transition(boundary_affinity(edges, 2))
    assert moves.dtype == dtype
    result = random_walk(moves, scores.requires_grad_(), 2, 30)
    assert result.dtype == dtype and not result.requires_grad
    assert result.data_ptr() != scores.data_ptr()
    assert all(torch.equal(one, copy) for one, copy in zip(given, copies, strict=True))
    expected = random_walk(moves.double(), scores.double(), 2, 30)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=2 * torch.finfo(dtype).eps)


def test_no_steps_give_the_scores_back() -> None:
    scores = numbers(1, 2, 4, 4)
    assert torch.equal(random_walk(transition(boundary_affinity(some_edges(1, 4, 4), 2)), scores, 2, steps=0), scores)


# Gradients, for training


def test_path_maxima_pass_gradients_to_the_highest_position() -> None:
    maps = numbers(1, 1, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: path_maxima(x, 2, outside=0.0), (maps,))
    assert torch.autograd.gradcheck(lambda x: boundary_affinity(x, 2), (maps,))
    index = forward_offsets(3).index((0, 3))
    (gradient,) = torch.autograd.grad(path_maxima(maps, 3)[0, index, 1, 0], maps)
    expected = torch.zeros(4, 5, dtype=torch.float64)
    expected[1, int(maps[0, 0, 1, :4].argmax())] = 1
    assert torch.equal(gradient[0, 0], expected)


# What it is for


def test_nothing_leaks_over_an_edge_of_colour_when_beta_is_high() -> None:
    u, v = 12, 14
    images = torch.full((1, 3, 2 * u, 2 * v), 0.3)
    images[..., v:] = 0.7
    seeds = torch.zeros(1, 2, u, v)
    seeds[0, 0, 5, 2] = seeds[0, 1, 6, 11] = 1
    affinity = feature_affinity(torch.ones(1, 4, u, v), images, 3, sigma_colour=0.3)
    sharp = random_walk(transition(affinity, 20.0), seeds, 3, 256)
    assert sharp[0, 0, :, v // 2 :].max() < 1e-6 and sharp[0, 1, :, : v // 2].max() < 1e-6
    assert (sharp.argmax(dim=1)[0] == (torch.arange(v) >= v // 2)).all()
    soft = random_walk(transition(affinity, 0.2), seeds, 3, 256)
    assert soft[0, 0, :, v // 2 :].max() > 1e-3


@pytest.mark.parametrize("radius", [1, 3, 5])
def test_an_edge_map_stops_the_walk(radius: int) -> None:
    edges = torch.zeros(1, 1, 11, 13)
    edges[..., 6] = 1
    seeds = torch.zeros(1, 1, 11, 13)
    seeds[0, 0, 5, 3] = 1
    moves = transition(boundary_affinity(edges, radius))
    result = random_walk(moves, seeds, radius, 1000)[0, 0]
    assert result[:, 6:].abs().max() < 1e-6
    torch.testing.assert_close(result[:, :6].mean(), seeds[0, 0, :, :6].mean(), rtol=0.5, atol=0)
    assert result[:, :6].min() > 0.3 * result[:, :6].max()  # and everywhere up to it, the seed has spread
    edges[0, 0, 5, 6] = 0  # a gap
    assert random_walk(transition(boundary_affinity(edges, radius)), seeds, radius, 1000)[0, 0, :, 7:].min() > 1e-3


# What cannot be


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for users, whose shapes jaxtyping does not check."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.parametrize("radius", [0, -1])
def test_a_radius_must_be_positive(radius: int) -> None:
    with pytest.raises(ShapeError, match="radius must be 1 or more"):
        offsets(radius)
    with pytest.raises(ShapeError, match="radius"):
        boundary_affinity(some_edges(1, 4, 4), radius)
    with pytest.raises(ShapeError, match="radius"):
        feature_affinity(numbers(1, 3, 4, 4), numbers(1, 3, 4, 4), radius)
    with pytest.raises(ShapeError, match="radius"):
        random_walk(numbers(1, 1, 4, 4), numbers(1, 1, 4, 4), radius)


def test_numbers_that_cannot_work_are_refused() -> None:
    moves = transition(boundary_affinity(some_edges(1, 4, 4), 1))
    with pytest.raises(ShapeError, match="steps must be 0 or more"):
        random_walk(moves, numbers(1, 1, 4, 4), 1, -1)
    for beta in (0.0, -1.0, math.nan):
        with pytest.raises(ShapeError, match="beta must be above 0"):
            transition(moves, beta)
    for sigma in (0.0, -1.0, math.nan):
        with pytest.raises(ShapeError, match="sigma_colour must be above 0"):
            feature_affinity(numbers(1, 3, 4, 4), numbers(1, 3, 4, 4), 1, sigma)


def test_images_and_features_must_be_as_many(unchecked: None) -> None:
    with pytest.raises(ShapeError, match="as many images as features, got 1 and 2"):
        feature_affinity(numbers(2, 3, 4, 4), numbers(1, 3, 4, 4))


def test_edges_are_one_map_an_image(unchecked: None) -> None:
    with pytest.raises(ShapeError, match="one map per image is expected, got 2"):
        boundary_affinity(numbers(1, 2, 4, 4))


@pytest.mark.parametrize("scores", [(1, 3, 4, 6), (1, 3, 5, 5), (2, 3, 4, 5)])
def test_transition_and_scores_must_fit(scores: tuple[int, ...], unchecked: None) -> None:
    moves = transition(boundary_affinity(some_edges(1, 4, 5), 2))
    with pytest.raises(ShapeError, match="resize the scores"):
        random_walk(moves, numbers(*scores), 2)


def test_the_radius_must_be_that_of_the_affinity() -> None:
    moves = transition(boundary_affinity(some_edges(1, 4, 5), 2))
    with pytest.raises(ShapeError, match="radius 3"):
        random_walk(moves, numbers(1, 2, 4, 5), 3)


@pytest.mark.parametrize(("u", "v"), [(0, 4), (4, 0), (0, 0)])
def test_maps_without_positions_are_refused(u: int, v: int) -> None:
    with pytest.raises(ShapeError, match="at least one position"):
        boundary_affinity(torch.zeros(1, 1, u, v))
    with pytest.raises(ShapeError, match="at least one position"):
        feature_affinity(torch.zeros(1, 3, u, v), torch.zeros(1, 3, 8, 8))
    with pytest.raises(ShapeError, match="at least one position"):
        random_walk(torch.zeros(1, 5, u, v), torch.zeros(1, 2, u, v), 1)
