"""The method against the equations in plain numpy."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dhr.method.config import PRESETS, BoundaryConfig, MethodConfig

from .whole import plain_steps, rebalance

VARIANTS: dict[str, MethodConfig] = {
    "default": PRESETS["default"],
    "paper": PRESETS["paper"],
    "product": replace(PRESETS["default"], combine="product", tau=0.7, rounds=3),
    "mean": replace(PRESETS["paper"], combine="mean", uss_weight=0.3, rounds=2),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-3)])
@pytest.mark.parametrize("seed", range(3))
def test_every_step_is_that_of_the_equations(
    scene: Callable[..., Any], name: str, dtype: torch.dtype, tolerance: float, seed: int
) -> None:
    config = replace(VARIANTS[name], smallest_ratio=0.02)
    made = scene(k=3, seed=seed, noise=0.2)
    boundary = BoundaryConfig(kind="none", base="none")
    inputs = {key: value.to(dtype) for key, value in made.inputs(False).items()}
    result = rebalance(**inputs, config=config, boundary=boundary)
    for index in range(len(made.cams)):
        maps = (value[index].double().flatten(1).numpy() for value in inputs.values())
        expected = plain_steps(*maps, config)
        assert np.array_equal(result.base[index].flatten(), expected["base"])
        assert np.array_equal(result.initial[index].flatten(1).argmax(dim=0), expected["initial"])
        for step in ("seed", "inter", "intra"):
            found = getattr(result, step)[index].flatten(1).double().numpy()
            np.testing.assert_allclose(found, expected[step], rtol=0, atol=tolerance, err_msg=step)
        assert np.array_equal(result.mask[index].flatten(), expected["intra"].argmax(axis=0))
