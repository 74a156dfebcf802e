"""Connected regions of masks, against scipy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dhr.ops.regions import bounding_boxes, connected_regions, largest_regions

ndimage = pytest.importorskip("scipy.ndimage")
masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda size: st.lists(st.booleans(), min_size=size[0] * size[1], max_size=size[0] * size[1]).map(
        lambda cells: np.array(cells).reshape(size)
    )
)


def same_regions(ours: Tensor, mask: np.ndarray) -> bool:
    """Whether two cells have one number here where they have one number there."""
    theirs, count = ndimage.label(mask, np.ones((3, 3)))
    pairs = {*zip(ours.flatten().tolist(), theirs.ravel().tolist(), strict=True)}
    return len(pairs) == len({one for one, _ in pairs}) == count + (not mask.all())


@given(masks)
def test_regions_of_any_mask(mask: np.ndarray) -> None:
    ours = connected_regions(torch.from_numpy(mask)[None, None])[0, 0]
    assert torch.equal(ours > 0, torch.from_numpy(mask))
    assert same_regions(ours, mask)


def spiral(side: int) -> np.ndarray:
    """One line that winds from the corner to the middle, a cell apart from itself."""
    row, column = (np.abs(np.arange(side) - side // 2) for _ in range(2))
    rings = np.maximum(row[:, None], column)  # squares around the middle
    mask: np.ndarray = rings % 2 == (side // 2) % 2
    for ring in range(side // 2, 1, -2):  # open each square, and join it with the next one inside
        top, left = side // 2 - ring, side // 2 - ring
        mask[top + 1, left] = False
        mask[top + 2, left + 1] = True
    return mask


@pytest.mark.parametrize("side", [9, 32, 127])
def test_regions_that_wind(side: int) -> None:
    for mask in (spiral(side), spiral(side).T, spiral(side)[::-1].copy()):
        assert mask.sum() > side * side / 3
        assert same_regions(connected_regions(torch.from_numpy(mask.copy())[None, None])[0, 0], mask)


@pytest.mark.parametrize("share", [0.3, 0.4, 0.5])
def test_regions_of_noise(share: float) -> None:
    """Near the share where noise percolates, regions are as long and as crooked as they can be."""
    mask = np.random.default_rng(0).random((3, 2, 100, 128)) < share
    ours = connected_regions(torch.from_numpy(mask))
    assert all(same_regions(ours[b, k], mask[b, k]) for b in range(3) for k in range(2))


@given(masks, st.integers(1, 4))
def test_the_largest_come_first(mask: np.ndarray, count: int) -> None:
    random = np.random.default_rng(0)
    weights = torch.from_numpy(random.random(mask.shape) + 0.1)[None, None]
    found, sums = largest_regions(torch.from_numpy(mask)[None, None], weights, count)
    parts, number = ndimage.label(mask, np.ones((3, 3)))
    expected = sorted((float(weights[0, 0].numpy()[parts == one].sum()) for one in range(1, number + 1)), reverse=True)
    assert found.shape[2] == min(count, mask.size)
    for index, (region, total) in enumerate(zip(found[0, 0], sums[0, 0], strict=True)):
        if index < len(expected):
            assert total.item() == pytest.approx(expected[index])
            assert weights[0, 0][region].sum().item() == pytest.approx(expected[index])
        else:
            assert not region.any() and total == 0


@given(masks)
def test_boxes_hold_their_mask(mask: np.ndarray) -> None:
    left, top, right, bottom = (int(one) for one in bounding_boxes(torch.from_numpy(mask)))
    if not mask.any():
        assert (left, top, right, bottom) == (0, 0, 0, 0)
        return
    rows, columns = np.nonzero(mask)
    assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
