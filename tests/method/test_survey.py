"""What the whole data set says, joined with what a photograph says."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dhr.errors import ShapeError
from dhr.method.config import PRESETS, BoundaryConfig
from dhr.method.rebalance import rebalance
from dhr.method.survey import Survey, add_photograph, join, survey_features
from dhr.ops.discriminant import Moments, discriminant

OPTIONS = {"boundary": BoundaryConfig(kind="none", base="none", seed="none")}
DEFAULT = PRESETS["default"]


def test_scores_are_joined_by_weight(scene: Callable[..., Any]) -> None:
    inputs = scene().inputs(False)
    alone = rebalance(**inputs, config=replace(DEFAULT, smallest_ratio=0.0), **OPTIONS)
    assert torch.equal(alone.joined, alone.intra)
    said = torch.softmax(torch.randn(alone.intra.shape, dtype=alone.intra.dtype), dim=1)
    own = alone.intra / alone.intra.sum(dim=1, keepdim=True).clamp_min(1e-12)
    for weight in (0.0, 0.3, 1.0):
        result = rebalance(**inputs, survey=said, config=replace(DEFAULT, survey=weight, smallest_ratio=0.0), **OPTIONS)
        assert torch.equal(result.intra, alone.intra)
        where = (own.sum(dim=1, keepdim=True) > 0).expand_as(own)
        expected = torch.where(where, (1 - weight) * own + weight * said, said)
        torch.testing.assert_close(result.joined, expected)
        assert torch.equal(result.mask, expected.argmax(dim=1))


def test_a_survey_that_says_nothing_changes_nothing(scene: Callable[..., Any]) -> None:
    inputs = scene().inputs(False)
    alone = rebalance(**inputs, **OPTIONS)
    result = rebalance(**inputs, survey=torch.zeros_like(alone.intra), **OPTIONS)
    assert torch.equal(result.mask, alone.mask)


@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from([0.0, 0.05, 0.1]))
def test_no_class_is_starved(seed: int, classes: int, least: float) -> None:
    """One class is starved by a survey that knows nothing of it; it keeps what it had, up to the least share."""
    random = torch.Generator().manual_seed(seed)
    own = torch.rand(2, classes, 6, 7, generator=random) ** 4
    survey = torch.softmax(4 * torch.randn(2, classes, 6, 7, generator=random), dim=1)
    survey[:, 0] *= 1e-6
    valid = torch.ones(2, classes, dtype=torch.bool)
    joined = join(own, survey, valid, replace(DEFAULT, survey=0.9, smallest_ratio=least))
    before, after = ((one.argmax(dim=1) == 0).sum(dim=(1, 2)) for one in (own / own.sum(1, keepdim=True), joined))
    goal = before.clamp_max(math.ceil(least * 42))  # which classes that are raised together may miss
    assert (after >= (goal if classes < 3 else goal.clamp_max(1))).all()
    torch.testing.assert_close(joined.sum(dim=1), torch.ones(2, 6, 7))
    for index in range(2):  # an image does not depend on the others, and not on padding
        padded = (
            torch.cat([own[index], torch.zeros(1, 6, 7)])[None],
            torch.cat([survey[index], torch.zeros(1, 6, 7)])[None],
        )
        real = torch.tensor([[True] * classes + [False]])
        alone = join(*padded, real, replace(DEFAULT, survey=0.9, smallest_ratio=least))
        torch.testing.assert_close(alone[0, :-1], joined[index])
        assert (alone[0, -1] == 0).all()


def test_a_survey_of_another_shape_is_refused(scene: Callable[..., Any]) -> None:
    inputs = scene().inputs(False)
    said = torch.ones_like(rebalance(**inputs, **OPTIONS).intra)
    with pytest.raises(ShapeError, match="survey must be"):
        rebalance(**inputs, survey=said, background=True, **OPTIONS)
    with pytest.raises(ShapeError, match="survey must be"):
        rebalance(**inputs, survey=said[..., :-1], **OPTIONS)


def test_it_tells_a_class_by_other_photographs_and_keeps_silent_on_unknown_ones() -> None:
    random = torch.Generator().manual_seed(0)
    directions = torch.eye(3, 8)

    def photograph(classes: torch.Tensor) -> torch.Tensor:  # 4 x 4 cells
        noise = 0.1 * torch.randn(16, 8, generator=random)
        return (directions[classes] + noise).T.reshape(1, 8, 4, 4)

    truth, moments = torch.arange(16) % 2, Moments.nothing(3, 16)
    for _ in range(5):
        features = photograph(truth)
        scores = torch.nn.functional.one_hot(truth, 2).T.reshape(1, 2, 4, 4).float()
        add_photograph(moments, survey_features(features, features), scores, torch.tensor([0, 1]))
    survey = Survey(discriminant(moments, DEFAULT.survey_shrinkage))
    features = photograph(truth)
    seen = survey_features(features, features)
    swapped = survey.shares(seen, torch.tensor([1, 0]), (4, 4), DEFAULT)
    assert torch.equal(swapped[0].argmax(dim=0).flatten(), 1 - truth)
    torch.testing.assert_close(swapped.sum(dim=1), torch.ones(1, 4, 4))
    assert (survey.shares(seen, torch.tensor([0, 2]), (4, 4), DEFAULT) == 0).all()
