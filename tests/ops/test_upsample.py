"""Labels of resampled scores."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from dhr.ops.upsample import upsampled_labels

SIDES = st.integers(1, 12)


@given(st.integers(1, 5), SIDES, SIDES, st.integers(1, 40), st.integers(1, 40), st.integers(0, 9), st.booleans())
def test_labels_are_those_of_bilinear_interpolation(
    k: int, u: int, v: int, height: int, width: int, seed: int, hard: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(k, u, v, generator=generator)
    if hard:  # large regions of one class, in which the kernel takes a short cut
        scores = scores * 0.1 + torch.nn.functional.one_hot(scores.argmax(0), k).permute(2, 0, 1)
    ids = torch.arange(k, dtype=torch.uint8) * 3 + 1
    labels = upsampled_labels(scores, ids, (height, width))
    fine = interpolate(scores[None].double(), (height, width), mode="bilinear", align_corners=False)[0]
    assert labels.shape == (height, width) and labels.dtype == torch.uint8
    chosen = fine.gather(0, ((labels.long() - 1) // 3)[None])[0]
    assert float((fine.amax(0) - chosen).max()) < 1e-5  # the best class, or one that is as good


def test_the_first_of_equal_classes_wins() -> None:
    scores = torch.rand(1, 7, 9).expand(4, -1, -1)
    assert not upsampled_labels(scores, torch.arange(4, dtype=torch.uint8), (30, 31)).any()


@pytest.mark.parametrize("size", [(33, 47), (5, 400)])
def test_the_kernel_and_bands_agree(size: tuple[int, int]) -> None:
    scores = torch.rand(6, 11, 13, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(6, dtype=torch.uint8)
    bands = upsampled_labels(scores.double(), ids, size, band=500)
    np.testing.assert_array_equal(upsampled_labels(scores, ids, size), bands)
