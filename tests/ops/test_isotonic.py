"""Isotonic regression against the library's."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from dhr.ops.isotonic import isotonic

NUMBERS = st.floats(-10, 10, allow_subnormal=False)


@given(st.lists(st.tuples(NUMBERS, st.floats(0.01, 10)), min_size=1, max_size=20))
def test_it_is_the_nearest_rising_sequence(pairs: list[tuple[float, float]]) -> None:
    values, weights = (torch.tensor(one, dtype=torch.float64) for one in zip(*pairs, strict=True))
    expected = isotonic_regression(values.numpy(), weights=weights.numpy()).x
    np.testing.assert_allclose(isotonic(values, weights).numpy(), expected, atol=1e-8)


def test_sequences_of_a_batch_are_apart() -> None:
    random = torch.Generator().manual_seed(0)
    values, weights = torch.randn(2, 3, 9, generator=random), torch.rand(2, 3, 9, generator=random) + 0.1
    together = isotonic(values, weights)
    assert together.shape == values.shape and bool((together.diff(dim=-1) >= 0).all())
    alone = torch.stack(
        [
            torch.stack([isotonic(v, w) for v, w in zip(*pair, strict=True)])
            for pair in zip(values, weights, strict=True)
        ]
    )
    torch.testing.assert_close(together, alone)
