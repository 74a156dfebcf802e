"""Classes whose maps are exchanged are found by the photographs with only one of them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize, one_hot

from dhr.method.cells import SurveyCells, surest
from dhr.method.config import PRESETS
from dhr.method.survey_fit import fit_survey
from dhr.method.swaps import Swap, compared, contradicted, exchanged
from dhr.ops.discriminant import Moments, covariance

CELLS, CHANNELS, SHRINKAGE = 60, 8, 1.0


def photograph(tags: list[int], exchange: bool, seed: int, certain: bool = False) -> tuple[SurveyCells, torch.Tensor]:
    """Cells of classes with a direction each, and the truth; scores name 0 as 1 and 1 as 0 if they are exchanged."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.tensor(tags)[torch.arange(CELLS) % len(tags)]
    features = normalize(torch.eye(CHANNELS)[truth] + 0.2 * torch.randn(CELLS, CHANNELS, generator=random), dim=1).T
    named = torch.where(truth < 2, 1 - truth, truth) if exchange and {0, 1} <= {*tags} else truth
    places = torch.tensor([tags.index(int(one)) for one in named])
    scores = 0.4 + 0.2 * one_hot(places, len(tags)).T
    return SurveyCells(features, scores.float(), torch.tensor(tags), certain), truth


def found(photographs: list[SurveyCells]) -> tuple[Swap, ...]:
    moments = Moments.nothing(4, CHANNELS)
    for seen in photographs:
        best, lead = surest(seen.scores)
        moments.add(seen.features, seen.ids[best], lead)
    return contradicted(compared(photographs, covariance(moments, SHRINKAGE)))


def scene(exchange: bool, alone: int, joint: int = 12) -> list[SurveyCells]:
    """Photographs with 0 and 1 (and sometimes 3), and some with 0 or 1 beside 2."""
    tags = [[0, 1], [0, 1, 3]] * (joint // 2) + [[1, 2], [0, 2], [1, 2]][:alone]
    return [photograph(one, exchange, seed)[0] for seed, one in enumerate(tags)]


def test_an_exchange_is_found_and_nothing_else() -> None:
    (swap,) = found(scene(exchange=True, alone=3))
    assert (swap.first, swap.second, swap.joint, swap.deciding) == (0, 1, 12, 3)
    assert -0.6 < swap.evidence * 4 / 3 < -0.4  # that of a clear exchange
    assert found(scene(exchange=False, alone=3)) == ()


@pytest.mark.parametrize("alone", [0, 1, 2])
def test_too_few_photographs_do_not_decide(alone: int) -> None:
    assert found(scene(exchange=True, alone=alone)) == ()


def test_labels_by_lot_are_hardly_ever_exchanged() -> None:
    """They say nothing, so exchanging them would do no harm, but the run would tell of an exchange."""
    told = 0
    for seed in range(50):
        random = torch.Generator().manual_seed(seed)
        lot = [replace(one, scores=torch.rand(one.scores.shape, generator=random)) for one in scene(False, alone=3)]
        told += len(found(lot))
    assert told <= 2


@given(st.integers(0, 10_000), st.floats(0, 0.4))
def test_labels_that_are_mostly_right_are_not_exchanged(seed: int, wrong: float) -> None:
    random = torch.Generator().manual_seed(seed)
    seen = scene(False, alone=3)
    noisy = [torch.where(torch.rand(CELLS, generator=random) < wrong, one.scores.flip(0), one.scores) for one in seen]
    assert found([replace(one, scores=scores) for one, scores in zip(seen, noisy, strict=True)]) == ()


def test_the_order_of_the_classes_does_not_matter() -> None:
    seen = scene(exchange=True, alone=3)
    turned = [replace(one, scores=one.scores.flip(0), ids=one.ids.flip(0)) for one in seen]
    (one,), (other,) = found(seen), found(turned)
    assert (one.first, one.second) == (other.first, other.second)
    assert one.evidence == pytest.approx(other.evidence, abs=1e-6)


def test_a_certain_photograph_decides_and_stays() -> None:
    sure = [photograph([0, 1], exchange=False, seed=seed, certain=True)[0] for seed in (97, 98, 99)]
    (swap,) = found([*scene(exchange=True, alone=0), *sure])
    assert (swap.joint, swap.deciding) == (12, 3)
    assert exchanged(sure[0], [swap]) is sure[0]


def test_only_photographs_with_both_are_exchanged() -> None:
    swap = Swap(0, 1, -0.5, 0.2, joint=1, deciding=1)
    both, _ = photograph([0, 1, 3], exchange=True, seed=0)
    one, _ = photograph([1, 2], exchange=True, seed=0)
    assert exchanged(one, [swap]) is one
    assert torch.equal(exchanged(both, [swap]).scores, both.scores[[1, 0, 2]])
    assert torch.equal(exchanged(exchanged(both, [swap]), [swap]).scores, both.scores)


@pytest.mark.parametrize("rounds", [1, 10])
def test_the_survey_names_the_classes_as_they_are(rounds: int) -> None:
    pairs = [photograph([0, 1], True, seed) for seed in range(20)]
    deciding = [photograph([1, 2], True, seed)[0] for seed in (30, 31, 32)]
    survey = fit_survey([*(seen for seen, _ in pairs), *deciding], 4, replace(PRESETS["default"], survey_rounds=rounds))
    assert [(swap.first, swap.second) for swap in survey.swaps] == [(0, 1)]
    valid = torch.ones(1, 2, dtype=torch.bool)
    for seen, truth in pairs:
        said = survey.shares(seen.features[None], seen.ids[None], valid)[0]
        assert (said.argmax(dim=0) == truth).float().mean() > 0.95


def test_one_comparison_of_several_is_enough() -> None:
    """Rounds that mend a part of the labels hide an exchange, so the labels before them count, too."""
    before = Swap(0, 1, -0.5, 0.3, joint=12, deciding=3)
    after = replace(before, evidence=0.0)
    assert contradicted([after]) == ()
    assert contradicted([before], [after]) == contradicted([after], [before]) == (before,)
    other = Swap(1, 2, -0.6, 0.3, joint=12, deciding=3)
    assert contradicted([before], [other]) == (other,), "a class is in one pair"
    for unsure in (replace(before, joint=11), replace(before, deciding=2), replace(before, consistency=0.05)):
        assert contradicted([unsure]) == ()


def test_halves_are_of_the_photographs_with_both() -> None:
    """Not of all: every second photograph has neither class."""
    both = [photograph([0, 1], True, seed)[0] for seed in range(12)]
    others = [photograph([2, 3], False, seed)[0] for seed in range(40, 52)]
    mixed = [one for pair in zip(both, others, strict=True) for one in pair]
    deciding = [photograph([1, 2], True, seed)[0] for seed in (30, 31, 32)]
    (swap,) = found([*mixed, *deciding])
    assert (swap.first, swap.second) == (0, 1) and swap.consistency > 0.3


@pytest.mark.parametrize("mended", [2, 5, 8])
def test_corrections_do_not_hide_an_exchange(mended: int) -> None:
    """With enough of them the rounds put all labels right by themselves. But the maps stay exchanged."""
    pairs = [photograph([0, 1], True, seed)[0] for seed in range(20)]
    sure = [photograph([0, 1], False, 100 + seed, certain=True)[0] for seed in range(mended)]
    deciding = [photograph([1, 2], False, seed)[0] for seed in (30, 31, 32)]
    survey = fit_survey([*pairs, *sure, *deciding], 4, PRESETS["default"])
    assert [(one.first, one.second) for one in survey.swaps] == [(0, 1)]


def test_an_exchange_that_explains_nothing_is_taken_back() -> None:
    """The photographs that decide look like neither class, so they contradict each labelling."""
    random = torch.Generator().manual_seed(0)
    pairs = [photograph([0, 1], False, seed)[0] for seed in range(20)]
    strange = normalize(torch.randn(CELLS, CHANNELS, generator=random) - 3 * torch.eye(CHANNELS)[1], dim=1).T
    deciding = [replace(photograph([1, 2], False, seed)[0], features=strange) for seed in (30, 31, 32)]
    survey = fit_survey([*pairs, *deciding], 4, PRESETS["default"])
    valid = torch.ones(1, 2, dtype=torch.bool)
    _, truth = photograph([0, 1], False, 0)
    said = survey.shares(pairs[0].features[None], pairs[0].ids[None], valid)[0]
    assert survey.swaps == () and (said.argmax(dim=0) == truth).float().mean() > 0.95
