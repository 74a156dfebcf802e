"""What the whole data set says, joined with what a photograph says."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize, one_hot

from dhr.errors import ShapeError
from dhr.method.cells import SurveyCells
from dhr.method.config import PRESETS, BoundaryConfig
from dhr.method.survey import agreed, join, settled
from dhr.method.survey_fit import fit_survey

from .whole import rebalance

OPTIONS = {"boundary": BoundaryConfig(kind="none", base="none")}
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
        pooled = own.clamp_min(1e-4) ** (1 - weight) * said.clamp_min(1e-4) ** weight
        expected = torch.where(where, pooled, said)
        expected = expected / expected.sum(dim=1, keepdim=True)
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
    own = torch.rand(2, classes, 42, generator=random) ** 4
    survey = torch.softmax(4 * torch.randn(2, classes, 42, generator=random), dim=1)
    survey[:, 0] *= 1e-6
    valid = torch.ones(2, classes, dtype=torch.bool)
    joined = join(own, survey, valid, replace(DEFAULT, survey=0.9, smallest_ratio=least))
    before, after = ((one.argmax(dim=1) == 0).sum(dim=1) for one in (own / own.sum(1, keepdim=True), joined))
    goal = before.clamp_max(math.ceil(least * 42))  # which classes that are raised together may miss
    assert (after >= (goal if classes < 3 else goal.clamp_max(1))).all()
    torch.testing.assert_close(joined.sum(dim=1), torch.ones(2, 42))
    for index in range(2):  # an image does not depend on the others, and not on padding
        padded = (
            torch.cat([own[index], torch.zeros(1, 42)])[None],
            torch.cat([survey[index], torch.zeros(1, 42)])[None],
        )
        real = torch.tensor([[True] * classes + [False]])
        alone = join(*padded, real, replace(DEFAULT, survey=0.9, smallest_ratio=least))
        torch.testing.assert_close(alone[0, :-1], joined[index])
        assert (alone[0, -1] == 0).all()


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_two_opinions_count_the_same(seed: int, classes: int) -> None:
    random = torch.Generator().manual_seed(seed)
    first, second = torch.softmax(4 * torch.randn(2, 2, classes, 20, generator=random), dim=2)
    both = agreed(first, second)
    torch.testing.assert_close(both, agreed(second, first))
    torch.testing.assert_close(both.sum(dim=1), torch.ones(2, 20))
    torch.testing.assert_close(agreed(3 * first, second), both)  # they are shares first
    torch.testing.assert_close(agreed(first, first), first, atol=1e-3, rtol=0)  # but for the floor
    where = (first.argmax(dim=1) == second.argmax(dim=1)) & (first.amax(dim=1) > 0.5) & (second.amax(dim=1) > 0.5)
    assert (both.argmax(dim=1) == first.argmax(dim=1))[where].all()
    silent = second * (torch.arange(20) >= 10)
    torch.testing.assert_close(agreed(first, silent)[..., :10], first[..., :10])
    torch.testing.assert_close(agreed(silent, first)[..., 10:], both[..., 10:])
    padded = [torch.cat([one, torch.zeros(2, 1, 20)], dim=1) for one in (first, second)]
    assert torch.equal(agreed(*padded)[:, -1], torch.zeros(2, 20))


def test_a_survey_of_another_shape_is_refused(scene: Callable[..., Any]) -> None:
    inputs = scene().inputs(False)
    said = torch.ones_like(rebalance(**inputs, **OPTIONS).intra)
    with pytest.raises(ShapeError, match="survey must be"):
        rebalance(**inputs, survey=said, background=True, **OPTIONS)
    with pytest.raises(ShapeError, match="survey must be"):
        rebalance(**inputs, survey=said[..., :-1], **OPTIONS)


def photographs(confused: float, count: int = 6) -> tuple[list[SurveyCells], torch.Tensor]:
    """Cells of three classes in 8 channels: 0 and 1 nearly always together, 2 with either; and the truth.

    Where 0 and 1 are both tagged, the scores call a share ``confused`` of each by the other's name.
    """
    random = torch.Generator().manual_seed(0)
    directions = torch.eye(3, 8)
    truth, seen = torch.arange(64) % 2, []
    for tags in [[0, 1]] * count + [[0, 2], [1, 2]]:
        classes = torch.tensor(tags)[truth]
        features = normalize(directions[classes] + 0.1 * torch.randn(64, 8, generator=random), dim=1).T
        wrong = (torch.rand(64, generator=random) < confused) & (tags == [0, 1])
        scores = 0.5 + 0.2 * one_hot(torch.where(wrong, 1 - truth, truth), 2).T
        seen.append(SurveyCells(features.half(), scores.half(), torch.tensor(tags)))
    return seen, truth


@pytest.mark.parametrize("rounds", [1, 5])
def test_photographs_that_know_teach_those_that_do_not(rounds: int) -> None:
    seen, truth = photographs(confused=0.4)
    config = replace(DEFAULT, survey_rounds=rounds)
    survey, valid = fit_survey(seen, 3, config), torch.ones(1, 2, dtype=torch.bool)
    own = torch.stack([one.scores.argmax(dim=0) for one in seen[:6]])
    said = torch.cat([survey.shares(one.features.float()[None], one.ids[None], valid) for one in seen[:6]])
    torch.testing.assert_close(said.sum(dim=1), torch.ones(6, 64))
    before, after = ((one == truth).float().mean().item() for one in (own, said.argmax(dim=1)))
    assert before < 0.7 and after > 0.95
    swapped = survey.shares(seen[0].features.float()[None], seen[0].ids.flip(0)[None], valid)
    assert torch.equal(swapped[0], said[0].flip(0))


def test_more_rounds_repair_more() -> None:
    """What one round believes, the next one corrects."""
    seen, truth = photographs(confused=0.48, count=40)
    valid = torch.ones(1, 2, dtype=torch.bool)
    right = []
    for rounds in (1, 10):
        config = replace(DEFAULT, survey_rounds=rounds)
        survey = fit_survey(seen, 3, config)
        said = [survey.shares(one.features.float()[None], one.ids[None], valid) for one in seen[:40]]
        joined = [
            join(one.scores.float()[None], share, valid, replace(config, survey=0.5))
            for one, share in zip(seen[:40], said, strict=True)
        ]
        right.append(torch.stack([(one.argmax(dim=1) == truth).float().mean() for one in joined]).mean().item())
    assert right[1] > right[0]


def test_it_keeps_silent_on_unknown_classes_and_padding() -> None:
    seen, _ = photographs(confused=0.1)
    survey = fit_survey(seen, 4, DEFAULT)
    features = seen[0].features.float().expand(2, -1, -1)
    ids = torch.tensor([[0, 1, 3], [0, 1, 3]])
    shares = survey.shares(features, ids, torch.tensor([[True, True, True], [True, True, False]]))
    assert (shares[0] == 0).all() and (shares[1, 2] == 0).all()
    alone = survey.shares(features[:1], ids[:1, :2], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(shares[1:, :2], alone)
    assert (survey.shares(features[:1], ids[:1], torch.zeros(1, 3, dtype=torch.bool)) == 0).all()


def test_progress_counts_every_round() -> None:
    seen, _ = photographs(confused=0.1)
    shown: list[tuple[int, int]] = []
    fit_survey(seen, 3, replace(DEFAULT, survey_rounds=3), progress=lambda step: shown.append((step.done, step.total)))
    assert shown == [(done, 24) for done in range(1, 25)]


def test_it_counts_as_far_as_it_is_trusted() -> None:
    """Where labels follow the features it is trusted; where they are drawn by lot, of classes that are nearly always
    together, hardly."""
    clear, _ = photographs(confused=0.0, count=12)
    assert fit_survey(clear, 3, DEFAULT).trust > 0.95
    random = torch.Generator().manual_seed(1)
    lot = [replace(one, scores=torch.rand(2, 64, generator=random).half()) for one in clear]
    survey = fit_survey(lot, 3, DEFAULT)
    assert survey.trust < 0.4 and survey.agreement.max() < 0.25
    known = fit_survey(clear, 3, DEFAULT)
    assert known.weighed(replace(DEFAULT, survey=0.5)).survey == pytest.approx(0.5, abs=0.01)
    alone = [SurveyCells(one.features, one.scores[:1], one.ids[:1]) for one in clear]
    assert fit_survey(alone, 3, DEFAULT).trust == 0.0


def mended(one: SurveyCells, truth: torch.Tensor) -> SurveyCells:
    """The cells of a photograph with the labels of a person."""
    return replace(one, scores=one_hot(truth, 2).T.half(), certain=True)


def right(survey: Any, seen: list[SurveyCells], truth: torch.Tensor) -> float:
    """Share of the cells that discriminants name as they are."""
    valid = torch.ones(1, 2, dtype=torch.bool)
    said = torch.cat([survey.shares(one.features.float()[None], one.ids[None], valid) for one in seen])
    return (said.argmax(dim=1) == truth).float().mean().item()


def test_a_certain_mask_teaches_photographs_that_are_all_wrong() -> None:
    seen, truth = photographs(confused=1.0, count=8)
    wrong = seen[:8]  # 0 and 1 are always tagged together
    assert right(fit_survey(wrong, 3, DEFAULT), wrong, truth) < 0.05
    one, *others = wrong
    taught = fit_survey([*[mended(one, truth)] * 3, *others[:5]], 3, replace(DEFAULT, survey=0.9))
    assert right(taught, others, truth) > 0.95


@settings(max_examples=10)
@given(st.integers(1, 4), st.floats(0.0, 1.0))
def test_certain_labels_are_the_same_in_every_round(rounds: int, confused: float) -> None:
    """Certain cells are never labelled again: of certain cells alone, every round fits the same discriminants."""
    seen, truth = photographs(confused, count=3)
    certain = [mended(one, truth) for one in seen]
    once, often = (fit_survey(certain, 3, replace(DEFAULT, survey_rounds=count)) for count in (1, rounds))
    for name, value in vars(once.discriminant).items():
        assert torch.equal(value, getattr(often.discriminant, name))
    assert once.trust == often.trust


def look_alike(*sides: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (1, 2, 8, 8) and an image (1, 3, 32, 32) of a left and a right half."""
    half = torch.cat([torch.full((8, 4), side) for side in sides], dim=1)
    features = torch.stack([half.cos(), half.sin()])[None]
    return features, (half / 4)[None, None].expand(1, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_positions_that_look_alike_outvote_one_of_them() -> None:
    features, image = look_alike(0.0, 1.5)
    said = torch.zeros(1, 2, 8, 8)
    said[:, 0, :, :4] = said[:, 1, :, 4:] = 0.9
    said[:, 1, :, :4] = said[:, 0, :, 4:] = 0.1
    clean = settled(said, features, image)
    assert torch.equal(clean.argmax(dim=1), said.argmax(dim=1)), "what they agree on stays, with its edge"
    torch.testing.assert_close(clean, said, rtol=1e-2, atol=1e-2)
    wrong = said.clone()
    wrong[:, :, 0, 0] = wrong[:, :, 0, 0].flip(1)
    assert torch.equal(settled(wrong, features, image).argmax(dim=1), said.argmax(dim=1))


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_averages_are_shares_again(seed: int, k: int) -> None:
    random = torch.Generator().manual_seed(seed)
    features, images = torch.randn(2, 5, 6, 7, generator=random), torch.rand(2, 3, 12, 14, generator=random)
    said = torch.softmax(3 * torch.randn(2, k, 6, 7, generator=random), dim=1)
    said[1, -1] = 0
    said = said / said.sum(dim=1, keepdim=True).clamp_min(1e-12)
    silent = torch.rand(2, 1, 6, 7, generator=random) < 0.2
    said = said.masked_fill(silent, 0)
    found = settled(said, features, images)
    torch.testing.assert_close(found.sum(dim=1), (said.sum(dim=1) > 0).float())
    assert not found[1, -1].any(), "padding stays padding"
    alone = torch.cat([settled(*(x[i : i + 1] for x in (said, features, images))) for i in range(2)])
    torch.testing.assert_close(found, alone)
    assert torch.equal(settled(torch.zeros_like(said), features, images), torch.zeros_like(said))
