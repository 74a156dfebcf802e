"""Class-level average pooling against a loop, and areas of cells."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dhr.ops.centroids import class_average_pooling
from dhr.ops.similarity import feature_norms
from dhr.ops.upsample import area_average

Case = tuple[Tensor, Tensor]


def naive(features: np.ndarray, masks: np.ndarray) -> np.ndarray:
    b, d, n = features.shape
    centroids = np.zeros((b, masks.shape[1], d))
    for image in range(b):
        for label in range(masks.shape[1]):
            mass = 0.0
            for position in range(n):
                mass += masks[image, label, position]
                centroids[image, label] += masks[image, label, position] * features[image, :, position]
            if mass > 0:
                centroids[image, label] /= mass
    return centroids


@st.composite
def cases(draw: st.DrawFn) -> Case:
    b, d, k, n = (draw(st.integers(1, most)) for most in (3, 5, 4, 12))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    features = torch.randn(b, d, n, generator=random, dtype=torch.float64)
    masks = torch.rand(b, k, n, generator=random, dtype=torch.float64)
    kept = torch.rand(b, k, n, generator=random) < draw(st.sampled_from([0.0, 0.3, 1.0]))  # some classes have no mass
    return features, masks * kept


@settings(deadline=None, max_examples=50)
@given(cases())
def test_equals_the_naive_loop(case: Case) -> None:
    features, masks = case
    expected = naive(features.numpy(), masks.numpy())
    np.testing.assert_allclose(class_average_pooling(features, masks).numpy(), expected, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=50)
@given(cases())
def test_norms_normalise_the_features_first(case: Case) -> None:
    features, masks = case
    norms = feature_norms(features)
    expected = class_average_pooling(features / norms, masks)
    torch.testing.assert_close(class_average_pooling(features, masks, norms), expected, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=30)
@given(cases(), st.randoms(use_true_random=False), st.booleans())
def test_renaming_the_classes_renames_the_centroids(case: Case, random, with_norms: bool) -> None:
    features, masks = case
    order = list(range(masks.shape[1]))
    random.shuffle(order)
    norms = feature_norms(features) if with_norms else None
    expected = class_average_pooling(features, masks, norms)[:, order]
    torch.testing.assert_close(class_average_pooling(features, masks[:, order], norms), expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(cases(), st.floats(1e-6, 1e6))
def test_only_the_proportions_of_a_mask_count(case: Case, factor: float) -> None:
    features, masks = case
    expected = class_average_pooling(features, masks)
    torch.testing.assert_close(class_average_pooling(features, masks * factor), expected, rtol=1e-9, atol=1e-12)


def test_a_class_without_mass_has_no_centroid() -> None:
    features, masks = torch.randn(2, 3, 5), torch.ones(2, 2, 5)
    masks[1, 0] = 0
    for norms in (None, feature_norms(features)):
        centroids = class_average_pooling(features, masks, norms)
        assert (centroids[1, 0] == 0).all()
        assert (centroids[0] != 0).any()


def test_a_mask_of_one_position_gives_its_feature() -> None:
    features = torch.randn(1, 4, 9)
    assert torch.equal(class_average_pooling(features, torch.eye(9)[None]), features.transpose(1, 2))


def test_a_class_smaller_than_a_cell_keeps_its_weight() -> None:
    """One pixel of an 8x8 cell: a majority vote would give it 0, and with it no centroid."""
    masks = torch.zeros(1, 2, 32, 48, dtype=torch.float64)
    masks[:, 0] = 1
    masks[0, :, 13, 21] = torch.tensor([0.0, 1.0])
    cells = area_average(masks, (4, 6))
    assert cells[0, 1, 1, 2] == 1 / 64
    assert cells[0, 1].sum() == 1 / 64
    features = torch.randn(1, 5, 4, 6, dtype=torch.float64)
    centroids = class_average_pooling(features.flatten(2), cells.flatten(2))
    torch.testing.assert_close(centroids[0, 1], features[0, :, 1, 2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("grid", [(1, 1), (2, 3), (5, 4), (7, 11)])
def test_averages_keep_range_and_partition(grid: tuple[int, int]) -> None:
    labels = torch.randint(0, 3, (2, 7, 11))
    masks = torch.nn.functional.one_hot(labels, 3).movedim(3, 1).double()
    cells = area_average(masks, grid)
    assert cells.shape == (2, 3, *grid)
    assert cells.min() >= 0
    torch.testing.assert_close(cells.sum(dim=1), torch.ones(2, *grid, dtype=torch.float64), rtol=0, atol=1e-12)


def test_averages_of_even_cells_are_the_blocks_means() -> None:
    masks = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    expected = masks.unflatten(3, (4, 2)).unflatten(2, (3, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(area_average(masks, (3, 4)), expected, rtol=0, atol=1e-12)


def test_the_same_grid_changes_nothing() -> None:
    masks = torch.rand(1, 2, 3, 4)
    assert torch.equal(area_average(masks, (3, 4)), masks)
