"""Probes: what they find where features are classes, and where they are not."""

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from probe import (
    cluster_centres,
    cluster_probe,
    drawn_cells,
    fit_linear,
    linear_probe,
    matched,
    score_counts,
)


def world(noise: float, count: int = 4) -> tuple[list[torch.Tensor], list[np.ndarray]]:
    """Photographs of three classes in bands of unequal width, and features that point where the class does."""
    random = torch.Generator().manual_seed(0)
    directions = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]])
    maps, truths = [], []
    for index in range(count):
        labels = torch.bucketize(torch.arange(12), torch.tensor([3 + index, 8])).repeat(10, 1)
        maps.append(directions[labels].permute(2, 0, 1) + noise * torch.randn(4, 10, 12, generator=random))
        truth = np.kron(labels.numpy(), np.ones((4, 4))).astype(np.uint8)
        truth[:2] = 255
        truths.append(truth)
    return maps, truths


def test_clusters_that_are_classes_score_full() -> None:
    maps, truths = world(0.05)
    centres = cluster_centres(drawn_cells(maps, 50), 3)
    score = cluster_probe(centres, maps, truths, 3)
    assert score.miou > 0.85  # the borders are interpolated
    assert score.accuracy > 0.9
    assert fit_score(maps, truths) > 0.85


def test_features_of_noise_score_low() -> None:
    maps, truths = world(0.05)
    random = torch.Generator().manual_seed(1)
    noise = [torch.randn(one.shape, generator=random) for one in maps]
    assert cluster_probe(cluster_centres(drawn_cells(noise, 50), 3), noise, truths, 3).miou < 0.4
    assert fit_score(noise, truths) < 0.45


def fit_score(maps: list[torch.Tensor], truths: list[np.ndarray]) -> float:
    half = len(maps) // 2
    probe = fit_linear(maps[:half], truths[:half], 3)
    return linear_probe(probe, maps[half:], truths[half:], 3).miou


def test_matching_is_one_to_one_and_best() -> None:
    counts = np.array([[4, 5], [3, 9], [0, 1]])
    assert matched(counts).tolist() == [[4, 5], [3, 9]]
    score = score_counts(matched(counts), counts.sum(axis=0))
    assert score.per_class == (4 / (9 + 7 - 4), 9 / (12 + 15 - 9))


def test_the_same_seed_gives_the_same_centres() -> None:
    maps, _ = world(0.5)
    cells = drawn_cells(maps, 50)
    assert torch.equal(cluster_centres(cells, 5, seed=3), cluster_centres(cells, 5, seed=3))
    norms = cluster_centres(cells, 5).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(5))
