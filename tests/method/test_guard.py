"""A tagged class keeps a place in the mask, and nothing else changes."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dhr.method.base import shares
from dhr.method.config import PRESETS, BoundaryConfig
from dhr.method.guard import KEPT, areas, covered, guarded, raised, restored
from dhr.types import Rebalanced

from .conftest import make_scene
from .whole import rebalance

DEFAULT = PRESETS["default"]
KINDS = ("none", "pamr", "crf", "random_walk")


def scores_of(k: int, n: int, seed: int, sharp: float) -> Tensor:
    """Random shares of two images; classes differ in strength, and the last ones may score nowhere."""
    random = torch.Generator().manual_seed(seed)
    found = torch.randn(2, k, n, generator=random, dtype=torch.float64)
    found = torch.softmax(sharp * (found + 2 * torch.randn(2, k, 1, generator=random, dtype=torch.float64)), dim=1)
    return shares(found * (torch.rand(2, k, 1, generator=random) > 0.2))


@given(st.integers(1, 5), st.sampled_from([40, 200]), st.integers(0, 10**6), st.sampled_from([0.3, 2.0, 10.0]),
       st.sampled_from([0.02, 0.05, 0.5]))  # fmt: skip
def test_each_class_has_a_place(k: int, n: int, seed: int, sharp: float, least: float) -> None:
    scores, valid = scores_of(k, n, seed, sharp), torch.ones(2, k, dtype=torch.bool)
    valid[1, 1:] = False
    scores = shares(scores * valid.unsqueeze(2))
    found = guarded(scores, valid, least)
    goal = math.ceil(KEPT * math.ceil(n * min(least, 0.5 / k)))
    some = scores.sum(dim=(1, 2)) > 0  # an image without any score has nothing to go by
    assert (areas(found, valid)[0] >= goal).all() or not some[0]
    assert not found[1, 1:].any() and (areas(found, valid)[1, 0] == n or not some[1])
    total = scores.sum(dim=1)
    torch.testing.assert_close(found.sum(dim=1)[total > 0.99], total[total > 0.99])


@given(st.integers(0, 10**6))
def test_what_has_its_share_stays_as_it_is(seed: int) -> None:
    scores, valid = scores_of(3, 100, seed, 1.0), torch.ones(2, 3, dtype=torch.bool)
    enough = (areas(scores, valid) >= 1).all(dim=1)
    found = guarded(scores, valid, 0.03)
    assert torch.equal(found[enough], scores[enough])
    assert torch.equal(guarded(scores, valid, 0.0), scores)


@given(st.integers(2, 5), st.integers(10, 60), st.integers(1, 10), st.integers(0, 10**6))
def test_a_raised_class_leads_where_it_is_least_denied(k: int, n: int, count: int, seed: int) -> None:
    scores = torch.rand(2, k, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scores[:, 0] = 0.001 * scores[:, 0] + 1e-6  # so it is the only class with too few positions
    scores = shares(scores + 1e-3 * torch.ones(k, dtype=scores.dtype).index_fill(0, torch.tensor(0), 0)[:, None])
    goal = torch.zeros(2, k, dtype=scores.dtype)
    goal[0, 0] = count
    found = raised(scores, torch.ones(2, k, dtype=torch.bool), goal)
    denied = scores[0, 1:].amax(dim=0) / scores[0, 0]
    last, leads = denied.sort().values[count - 1], found[0].argmax(dim=0) == 0
    assert leads[denied <= last].all() and not leads[denied > 1.001 * last].any()
    torch.testing.assert_close(found.sum(dim=1), scores.sum(dim=1))
    assert torch.equal(found[1], scores[1])


def test_a_class_that_nothing_speaks_for_gets_the_places_where_the_others_are_weakest() -> None:
    scores = torch.tensor([[[0.9, 0.5, 0.8, 0.45], [0.1, 0.5, 0.2, 0.55], [0.0, 0.0, 0.0, 0.0]]])
    found = guarded(scores, torch.ones(1, 3, dtype=torch.bool), 0.25)
    assert found.argmax(dim=1).tolist() == [[0, 2, 0, 1]]
    assert torch.equal(found[:, :, [0, 2, 3]], scores[:, :, [0, 2, 3]])


def test_where_nothing_else_decides_it_is_where_the_cams_are_weakest() -> None:
    scores = torch.tensor([[[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]])
    cams = torch.tensor([[[0.9, 0.8, 0.1, 0.7], [0.0, 0.0, 0.0, 0.0]]])
    assert guarded(scores, torch.ones(1, 2, dtype=torch.bool), 0.2, cams).argmax(dim=1).tolist() == [[0, 0, 1, 0]]


def test_a_class_that_was_drawn_is_not_looked_for() -> None:
    scores, valid = torch.tensor([[[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]), torch.ones(1, 2, dtype=torch.bool)
    assert torch.equal(guarded(scores, valid, 0.2, drawn=torch.tensor([[0.0, 0.01]])), scores)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("background", [False, True])
def test_no_tagged_class_vanishes_with_any_correction(kind: str, background: bool) -> None:
    """One class has no CAM at all; of another one only a few positions are left."""
    for seed in range(4):
        made = make_scene(k=4, seed=seed)
        cams = made.cams.clone()
        cams[:, 1] = 0
        cams[:, 2] *= torch.rand(cams[:, 2].shape, generator=torch.Generator().manual_seed(seed)) > 0.97

        def run(guard: float, made: object = made, cams: Tensor = cams) -> Rebalanced:
            config, boundary = replace(DEFAULT, guard=guard), BoundaryConfig(kind=kind)  # type: ignore[arg-type]
            inputs = {**made.inputs(), "cams": cams, "images": made.images.clamp(0, 1), "background": background}  # type: ignore[attr-defined]
            return rebalance(**inputs, config=config, boundary=boundary)

        assert not run(0.0).kept.all()
        assert run(DEFAULT.guard).kept.all()


def test_an_erased_class_comes_back() -> None:
    before = torch.full((1, 2, 20, 20), 0.2)
    before[:, 0, 4:10, 4:10] = 0.8  # 36 pixels, 9 %
    before[:, 1] = 1 - before[:, 0]
    gone = torch.cat([torch.zeros(1, 1, 20, 20), torch.ones(1, 1, 20, 20)], dim=1)
    assert torch.equal(covered(restored(gone, covered(before))), covered(before))
    assert torch.equal(restored(before, covered(before), 0.5), before)
    few = gone.clone()
    few[:, :, 5, 5:10] = few[:, :, 5, 5:10].flip(1)  # 5 pixels
    assert torch.equal(restored(few, covered(before)), few), "it is still there"
    assert KEPT * 36 > 5 and torch.equal(covered(restored(few, covered(before), 0.1)), covered(before))
    assert KEPT * 0.01 * 400 < 5 and torch.equal(restored(few, covered(before), 0.01), few), (
        "more than it is guarded for"
    )


def test_positions_without_any_score_are_not_given() -> None:
    scores = torch.tensor([[[0.0, 0.9, 0.8, 0.7], [0.0, 0.1, 0.2, 0.3]]])
    found = guarded(scores, torch.ones(1, 2, dtype=torch.bool), 0.25)
    assert torch.equal(found[:, :, :3], scores[:, :, :3]) and found[0, :, 3].argmax() == 1
