"""Centroids and their heatmaps, against the definition."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from dhr.ops.centroids import centroids_and_heatmaps
from dhr.ops.similarity import feature_norms


def defined(features: Tensor, masks: Tensor, centring: float) -> tuple[Tensor, Tensor]:
    """By the definition, one image and class at a time, in float64."""
    centroids, heatmaps = [], []
    for one, weights in zip(normalize(features.double(), dim=1), masks.double(), strict=True):
        rows = [(one * row).sum(dim=1) / row.sum() if row.sum() > 0 else torch.zeros_like(one[:, 0]) for row in weights]
        mean = sum(row for row, weight in zip(rows, weights, strict=True) if weight.sum() > 0)
        count = max(int((weights.sum(dim=1) > 0).sum()), 1)
        shift = centring * torch.as_tensor(mean).expand_as(one[:, 0]) / count
        maps = [
            cosine_similarity(one - shift.unsqueeze(1), (row - shift).unsqueeze(1), dim=0).relu() * (weight.sum() > 0)
            for row, weight in zip(rows, weights, strict=True)
        ]
        centroids.append(torch.stack(rows))
        heatmaps.append(torch.stack(maps) * (one.norm(dim=0) > 0))
    return torch.stack(centroids), torch.stack(heatmaps)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 70), st.integers(1, 60)),
    centring=st.sampled_from([0.0, 0.5, 0.9]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_equals_the_definition(
    seed: int, shape: tuple[int, int, int, int], centring: float, dtype: torch.dtype
) -> None:
    b, k, d, n = shape
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(b, d, n, generator=random).to(dtype) + 0.5
    masks = torch.rand(b, k, n, generator=random).to(dtype)
    masks = torch.where(masks > 0.5, masks, 0)
    masks[:, 0] = 0  # a class without any weight
    features[:, :, 0] = 0  # a feature without a direction
    centroids, heatmaps = centroids_and_heatmaps(features, masks, feature_norms(features), centring)
    expected, maps = defined(features, masks, centring)
    assert centroids.dtype == heatmaps.dtype == dtype
    # Where a difference of nearly equal vectors is taken, its direction is known less well.
    tolerance = 1e-9 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(centroids.double(), expected, rtol=0, atol=tolerance)
    well = _spread(features, masks, centring) > 1e-2
    torch.testing.assert_close(heatmaps.double()[well], maps[well], rtol=0, atol=50 * tolerance)
    assert heatmaps.min() >= 0
    assert heatmaps.max() <= 1
    assert (heatmaps[:, 0] == 0).all()
    assert (heatmaps[..., 0] == 0).all()


def _spread(features: Tensor, masks: Tensor, centring: float) -> Tensor:
    """Product of the two lengths that the cosine divides by (b, k, n)."""
    unit = normalize(features.double(), dim=1)
    centroids, _ = defined(features, masks, 0.0)
    seen = (masks.sum(dim=2, keepdim=True) > 0).double()
    shift = centring * (centroids * seen).sum(dim=1) / seen.sum(dim=1).clamp_min(1)
    return (unit - shift.unsqueeze(2)).norm(dim=1).unsqueeze(1) * (centroids - shift.unsqueeze(1)).norm(dim=2)[
        ..., None
    ]


@pytest.mark.parametrize("d", [1, 3, 511, 513, 1030])
@pytest.mark.parametrize("k", [1, 4, 5])
def test_many_channels(d: int, k: int) -> None:
    features, masks = torch.randn(2, d, 37), torch.rand(2, k, 37)
    centroids, heatmaps = centroids_and_heatmaps(features, masks, feature_norms(features))
    expected, maps = defined(features, masks, 0.0)
    torch.testing.assert_close(centroids.double(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(heatmaps.double(), maps, rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**16), st.sampled_from([1e-3, 1.0, 1e4]), st.sampled_from([0.0, 0.5]))
def test_directions_alone_count(seed: int, factor: float, centring: float) -> None:
    random = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 5, 7, generator=random, dtype=torch.float64)
    masks = torch.rand(2, 3, 7, generator=random, dtype=torch.float64)
    expected = centroids_and_heatmaps(features, masks, feature_norms(features), centring)[1]
    scaled = factor * features * (1 + torch.rand(2, 1, 7, generator=random))  # another length at each position
    heatmaps = centroids_and_heatmaps(scaled, 3 * masks, feature_norms(scaled), centring)[1]
    torch.testing.assert_close(heatmaps, expected, rtol=0, atol=1e-9)


def test_centring_brings_out_what_a_shared_direction_hides() -> None:
    random = torch.Generator().manual_seed(0)
    own = torch.eye(2, dtype=torch.float64).repeat_interleave(20, dim=1)  # two classes of 20 positions
    features = torch.cat([torch.full((1, 40), 3.0), own + 0.1 * torch.randn(2, 40, generator=random)])[None].double()
    masks, norms = own[None], feature_norms(features)

    def contrast(centring: float) -> float:
        heatmaps = centroids_and_heatmaps(features, masks, norms, centring)[1]
        return float(heatmaps[0, 0, :20].mean() - heatmaps[0, 0, 20:].mean())

    assert contrast(0.0) < 0.2
    assert contrast(0.9) > 0.5
