import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dhr.errors import ShapeError
from dhr.ops.adjacency import contact_areas, contact_pairs, find_regions

FOREGROUND = (np.arange(256) > 0) & (np.arange(256) < 255)
SUPERS = np.array([0, 1, 1, 2, *range(4, 256)])


def drawn(seed: int) -> np.ndarray:
    """Blobs of classes 0..3 and void, or noise."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 24, 2))
    cell = int(random.integers(1, 5))
    coarse = random.choice([0, 1, 2, 3, 255], tuple(-(-s // cell) for s in shape), p=random.dirichlet(np.ones(5)))
    return np.kron(coarse, np.ones((cell, cell)))[: shape[0], : shape[1]].astype(np.uint8)


def by_scipy(mask: np.ndarray, contact: float) -> list[tuple[int, int, frozenset[int]]]:
    """Class, area and touching classes of each region, from distance transforms."""
    classes = [c for c in np.unique(mask) if FOREGROUND[c]]
    found = []
    for c in classes:
        parts, count = ndimage.label(mask == c, np.ones((3, 3)))
        near = {o: ndimage.distance_transform_edt(mask != o) <= contact + 1e-9 for o in classes if o != c}
        for part in range(1, count + 1):
            touched = frozenset(int(o) for o, there in near.items() if there[parts == part].any())
            found.append((int(c), int((parts == part).sum()), touched))
    return sorted(found, key=lambda one: (one[0], one[1], sorted(one[2])))


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 1.5, 2, 3, 5, 7.3, 40]))
def test_regions_equal_those_of_distance_transforms(seed: int, contact: float) -> None:
    mask = drawn(seed)
    regions = find_regions(mask, FOREGROUND, contact)
    ours = [
        (int(c), int(a), frozenset(np.flatnonzero(t).tolist()))
        for c, a, t in zip(regions.labels, regions.areas, regions.touches, strict=True)
    ]
    expected = by_scipy(mask, contact)
    assert sorted(ours, key=lambda one: (one[0], one[1], sorted(one[2]))) == expected
    sums = contact_areas(regions, SUPERS)
    across = [(a, [SUPERS[o] != SUPERS[c] for o in t]) for c, a, t in expected]
    assert sums.foreground == FOREGROUND[mask].sum()
    assert sums.adjacent == sum(a for a, t in across if t)
    assert sums.inter_only == sum(a for a, t in across if t and all(t))
    assert sums.inter_any == sum(a for a, t in across if any(t))
    assert sums.inter_shared == pytest.approx(sum(a * np.mean(t) for a, t in across if t))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_turning_and_mirroring_a_mask_changes_nothing(seed: int) -> None:
    mask = drawn(seed)
    before = find_regions(mask, FOREGROUND, 3)
    for other in (np.rot90(mask), mask[:, ::-1], mask.T):
        after = find_regions(other, FOREGROUND, 3)
        assert contact_areas(after, SUPERS) == contact_areas(before, SUPERS)
        assert (contact_pairs(after, 4) == contact_pairs(before, 4)).all()
        assert (after.merged().areas == before.merged().areas).all()


def test_pairs_and_merged_regions_by_hand() -> None:
    mask = np.array([[1, 1, 2, 0, 0, 0, 1]], np.uint8)
    regions = find_regions(mask, FOREGROUND, 1)
    assert contact_pairs(regions, 3).tolist() == [[0, 0, 0], [0, 3, 2], [0, 1, 1]]
    assert contact_pairs(regions.merged(), 3).tolist() == [[0, 0, 0], [0, 3, 3], [0, 1, 1]]


@pytest.mark.parametrize("contact", [0, 0.5, -1, float("nan"), float("inf")])
def test_a_distance_that_means_nothing_is_refused(contact: float) -> None:
    with pytest.raises(ShapeError, match="contact distance"):
        find_regions(np.zeros((2, 2), np.uint8), FOREGROUND, contact)
