"""Discriminants against the densities that they stand for."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from dhr.ops.discriminant import Moments, discriminant


@pytest.mark.parametrize("parts", [1, 3])
def test_differences_are_log_odds_of_gaussians(parts: int) -> None:
    random = np.random.default_rng(0)
    labels, weights = random.integers(0, 3, 200), random.random(200)
    features = random.normal(size=(4, 200)) + random.normal(size=(3, 4))[labels].T * 2
    moments = Moments.nothing(3, 4)
    for rows in np.array_split(np.arange(200), parts):
        moments.add(*(torch.from_numpy(value) for value in (features[:, rows], labels[rows], weights[rows])))
    scores = discriminant(moments, 0.0)(torch.from_numpy(features).float(), torch.arange(3)).numpy()

    means = [np.average(features[:, labels == label], axis=1, weights=weights[labels == label]) for label in range(3)]
    centred = features - np.stack(means, axis=1)[:, labels]
    within = (centred * weights) @ centred.T / weights.sum()
    density = np.stack([multivariate_normal(mean, within).logpdf(features.T) for mean in means])
    np.testing.assert_allclose(scores - scores[:1], density - density[:1], atol=2e-3)


def test_shrinkage_ends_at_the_nearest_mean() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(3, 60, generator=random) * torch.tensor([[1.0], [10], [0.1]])
    labels = torch.arange(60) % 2
    moments = Moments.nothing(2, 3)
    moments.add(features, labels, torch.ones(60))
    means = torch.stack([features[:, labels == label].mean(dim=1) for label in range(2)])
    nearest = torch.cdist(features.T, means).argmin(dim=1)
    assert torch.equal(discriminant(moments, 1e4)(features, torch.arange(2)).argmax(dim=0), nearest)


def test_a_class_without_weight_is_unknown_and_nothing_is_nan() -> None:
    moments = Moments.nothing(3, 2)
    moments.add(torch.ones(2, 5), torch.zeros(5, dtype=torch.long), torch.ones(5))  # all equal: no variance at all
    found = discriminant(moments, 0.3)
    assert found.known.tolist() == [1, 0, 0]
    assert found.weights.isfinite().all() and found.bias.isfinite().all()
