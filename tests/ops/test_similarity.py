"""Lengths of features and groups of classes that look alike."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dhr.ops.similarity import correlated_groups, feature_norms


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "n"), [(1, 1), (3, 15), (7, 16), (520, 37), (1030, 64)])
def test_lengths_are_those_of_pytorch(d: int, n: int, dtype: torch.dtype) -> None:
    features = torch.randn(3, d, n, generator=torch.Generator().manual_seed(n)).to(dtype)
    features[1, :, 0] = 0
    expected = torch.linalg.vector_norm(features.double(), dim=1, keepdim=True).clamp_min(1e-8)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(feature_norms(features).double(), expected, rtol=tolerance, atol=1e-12)
    sliced = torch.cat([features, features], dim=2)[..., 1 : n + 1]  # not contiguous
    torch.testing.assert_close(feature_norms(sliced)[..., :-1].double(), expected[..., 1:], rtol=tolerance, atol=1e-12)


@st.composite
def centroids_and_classes(draw: st.DrawFn) -> tuple[Tensor, Tensor, float]:
    """Centroids (b, k, d) in few dimensions, where chains of likeness are common; valid (b, k); tau."""
    b, k, d = draw(st.integers(1, 3)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    valid = torch.rand(b, k, generator=random) < draw(st.sampled_from([0.5, 1.0]))
    centroids = torch.randn(b, k, d, generator=random, dtype=torch.float64)
    return centroids, valid, draw(st.floats(-0.95, 0.999))


@settings(deadline=None, max_examples=60)
@given(centroids_and_classes())
def test_groups_are_an_equivalence_relation_of_the_valid_classes(case: tuple[Tensor, Tensor, float]) -> None:
    centroids, valid, tau = case
    groups = correlated_groups(centroids, valid, tau)
    assert groups.dtype == torch.bool
    assert torch.equal(groups.diagonal(dim1=1, dim2=2), valid)
    assert torch.equal(groups, groups.transpose(1, 2))
    for image in groups.tolist():
        for a, b, c in itertools.product(range(len(image)), repeat=3):
            assert image[a][c] or not (image[a][b] and image[b][c])
    assert not groups[~valid].any()
    assert not groups.transpose(1, 2)[~valid].any()


@settings(deadline=None, max_examples=60)
@given(centroids_and_classes())
def test_groups_are_the_connected_components(case: tuple[Tensor, Tensor, float]) -> None:
    centroids, valid, tau = case
    groups = correlated_groups(centroids, valid, tau)
    for index in range(len(centroids)):
        kept = valid[index].numpy()
        vectors = centroids[index].numpy()[kept]
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        component = connected_components(unit @ unit.T > tau, directed=False)[1] if kept.any() else np.zeros(0)
        expected = component[:, None] == component[None]
        np.testing.assert_array_equal(groups[index].numpy()[np.ix_(kept, kept)], expected)


@settings(deadline=None, max_examples=40)
@given(centroids_and_classes(), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order(case: tuple[Tensor, Tensor, float], random) -> None:
    centroids, valid, tau = case
    order = list(range(valid.shape[1]))
    random.shuffle(order)
    expected = correlated_groups(centroids, valid, tau)[:, order][:, :, order]
    assert torch.equal(correlated_groups(centroids[:, order], valid[:, order], tau), expected)


@pytest.mark.parametrize("k", [2, 3, 5, 8, 9, 33])
def test_a_chain_is_one_group_however_long(k: int) -> None:
    """Each class is like the next one only: 3 degrees apart in the plane."""
    angle = torch.arange(k) * np.pi / 60
    chain = torch.stack([angle.cos(), angle.sin()], dim=1)[None]
    valid = torch.ones(1, k, dtype=torch.bool)
    assert correlated_groups(chain, valid, float(np.cos(np.pi / 50))).all()
    assert torch.equal(correlated_groups(chain, valid, float(np.cos(np.pi / 70)))[0], torch.eye(k, dtype=torch.bool))


def test_padding_does_not_link_two_classes() -> None:
    angle = torch.tensor([0.0, 0.5, 1.0])
    chain = torch.stack([angle.cos(), angle.sin()], dim=1)[None]
    linked = correlated_groups(chain, torch.tensor([[True, True, True]]), 0.8)
    assert linked.all()
    apart = correlated_groups(chain, torch.tensor([[True, False, True]]), 0.8)
    assert apart[0].tolist() == [[True, False, False], [False, False, False], [False, False, True]]


def test_a_class_without_centroid_is_alone() -> None:
    centroids = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [1.0, 0.1]]])
    groups = correlated_groups(centroids, torch.ones(1, 3, dtype=torch.bool), 0.8)
    assert groups[0].tolist() == [[True, False, True], [False, True, False], [True, False, True]]
