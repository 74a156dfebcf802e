"""The authors' program against the same in plain numpy, and what it must not decide."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from dhr.method.config import PRESETS, BoundaryConfig
from dhr.method.released import majority

from .whole import Array, plain_heatmaps, rebalance

CONFIG = PRESETS["released"]


def stretch(values: Array) -> Array:
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return (values - low) / (high - low)


def two_iterations(scores: Array) -> Array:
    """The stretched plan after two of Sinkhorn's iterations towards equal shares."""
    k, n = scores.shape
    kernel = np.exp(scores / CONFIG.eps)
    rows, columns = np.ones((k, 1)), np.ones((1, n))
    for _ in range(2):
        rows = (1 / k) / (kernel * columns).sum(axis=1, keepdims=True)
        columns = (1 / n) / (kernel * rows).sum(axis=0, keepdims=True)
    return stretch(n * rows * kernel * columns)


@pytest.mark.parametrize("seed", range(3))
def test_every_step_is_that_of_the_program(scene: Callable[..., Any], seed: int) -> None:
    made = scene(k=3, seed=seed, noise=0.2)
    result = rebalance(**made.inputs(False), config=CONFIG, boundary=BoundaryConfig(kind="none", base="none"))
    for index in range(2):
        cams, uss, wss = (value[index].flatten(1).numpy() for value in made.inputs(False).values())
        maps = cams / cams.max(axis=1, keepdims=True)
        seed_scores = two_iterations(maps) * maps
        masks = np.eye(3)[:, seed_scores.argmax(axis=0)]
        directions, by_uss = plain_heatmaps(uss, masks, 0.0)
        by_uss, by_wss = stretch(by_uss), stretch(plain_heatmaps(wss, masks, 0.0)[1])
        linked = (directions @ directions.T > CONFIG.tau).sum(axis=1) > 1
        scores = np.where(linked[:, None], two_iterations(by_wss) * by_uss, by_uss)
        expected = {"seed": seed_scores, "inter": two_iterations(by_uss) * by_uss}
        expected |= {"initial": masks, "intra": two_iterations(scores) * scores}
        for step, values in expected.items():
            found = getattr(result, step)[index].flatten(1).numpy()
            np.testing.assert_allclose(found, values, rtol=0, atol=1e-9, err_msg=step)


def test_the_background_has_no_seeds(scene: Callable[..., Any]) -> None:
    result = rebalance(**scene().inputs(False), background=True, config=CONFIG)
    assert (result.seed[:, 0] == 0).all() and (result.seed[:, 1:] > 0).any()
    assert (result.initial[:, 0] == 0).all(), "seeds overwrite all of the base mask"


def test_the_largest_share_takes_the_cell() -> None:
    shares = torch.tensor([[[0.75, 0.0, 0.4, 0.5], [0.25, 0.0, 0.6, 0.5]]])
    assert majority(shares)[0].tolist() == [[1, 0, 0, 0.5], [0, 0, 1, 0.5]]
