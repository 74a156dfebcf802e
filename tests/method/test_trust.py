"""What the survey finds out about itself and about the maps, without ground truth."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize, one_hot

from dhr.method.cells import SurveyCells
from dhr.method.config import PRESETS
from dhr.method.quality import supported
from dhr.method.survey_fit import SHRINKAGE, _Fit, _held_out, agreement, contrast, differing, fit_survey
from dhr.ops.discriminant import Discriminant, Moments
from dhr.progress import silent

DEFAULT = PRESETS["default"]
PAIRS = [*itertools.combinations(range(4), 2)]


def photographs(labels: str = "right", tags: str = "right", seed: int = 0, noise: float = 0.05) -> list[SurveyCells]:
    """Cells of photographs with two of four classes; labels or tags as they are, or drawn by lot."""
    random = torch.Generator().manual_seed(seed)
    seen, truth = [], torch.arange(64) % 2
    for pair in PAIRS * 6:
        features = torch.eye(4, 8)[torch.tensor(pair)[truth]] + noise * torch.randn(64, 8, generator=random)
        said = truth if labels == "right" else torch.randint(2, (64,), generator=random)
        ids = pair if tags == "right" else PAIRS[int(torch.randint(len(PAIRS), (), generator=random))]
        scores = 0.5 + 0.2 * one_hot(said, 2).T
        seen.append(SurveyCells(normalize(features, dim=1).T.half(), scores.half(), torch.tensor(ids)))
    return seen


def folds_of(seen: list[SurveyCells]) -> list[Moments]:
    folds = [Moments.nothing(4, 8) for _ in range(4)]
    for index, one in enumerate(seen):
        scores = one.scores.float()
        lead = (scores[0] - scores[1]).abs() / scores.sum(dim=0)
        folds[index % 4].add(one.features.float(), one.ids[scores.argmax(dim=0)], lead)
    return folds


def test_right_labels_have_trust_and_agreement() -> None:
    survey = fit_survey(photographs(), 4, DEFAULT)
    assert survey.trust > 0.9 and (survey.agreement > 0.95).all()
    assert survey.weighed(DEFAULT).survey == pytest.approx(DEFAULT.survey, abs=0.01)


def test_labels_by_lot_have_trust_but_no_agreement() -> None:
    """Errors without a system cancel out over the photographs: the discriminants are right, and the maps are not."""
    seen = photographs(labels="lot")
    survey = fit_survey(seen, 4, DEFAULT)
    assert survey.trust > 0.7 and (survey.agreement < 0.2).all()
    valid = torch.ones(1, 2, dtype=torch.bool)
    said = torch.cat([survey.shares(one.features.float()[None], one.ids[None], valid) for one in seen])
    assert (said.argmax(dim=1) == torch.arange(64) % 2).float().mean() > 0.95
    assert survey.weighed(DEFAULT).survey > 0.9, "the maps deserve nearly none"


@pytest.mark.parametrize(
    ("trust", "agreement", "weight"),
    [
        (0.8, (0.8, 0.8), 0.6),
        (0.8, (0.9, 1.0), 0.6),  # maps that are better than the survey count as much
        (0.8, (0.0, 0.0), 1.0),
        (0.8, (0.4, 0.0), 0.9),
        (0.2, (0.2, 0.2), 0.3),
        (0.2, (0.0, 0.0), 0.5),
        (0.0, (0.0, 0.0), 0.0),
    ],
)
def test_the_weight_follows_from_trust_and_agreement(trust: float, agreement: tuple[float, ...], weight: float) -> None:
    made = fit_survey(photographs()[:12], 4, DEFAULT)
    survey = replace(made, trust=trust, agreement=torch.tensor(agreement).double())
    assert survey.weighed(DEFAULT).survey == pytest.approx(weight)


@given(st.integers(0, 20))
def test_tags_by_lot_have_neither(seed: int) -> None:
    survey = fit_survey(photographs(labels="lot", tags="lot", seed=seed), 4, DEFAULT)
    assert survey.trust < 0.4 and survey.agreement.mean() < 0.3


@pytest.mark.parametrize("labels", ["right", "lot"])
def test_contrast_is_what_it_says(labels: str) -> None:
    seen = photographs(labels=labels, noise=0.4)
    folds, shrinkage = folds_of(seen), SHRINKAGE / len(seen)
    own, foreign = [[] for _ in range(4)], [[] for _ in range(4)]  # type: ignore[var-annotated]
    for one, known, features in _held_out(seen, folds, shrinkage, None):
        logits = known.weights.double() @ features.double() + known.bias.double()[:, None]
        for label in range(4):
            rivals = [tag for tag in one.ids.tolist() if tag != label]
            share = (logits[label] > logits[rivals].amax(dim=0)).double().mean().item() * (len(rivals) + 1)
            (own if label in one.ids else foreign)[label].append(share)
    means = [(sum(a) / len(a), sum(b) / len(b)) for a, b in zip(own, foreign, strict=True)]
    expected = sum(max(0.0, (p - q) / (p + q)) for p, q in means) / 4
    assert contrast(seen, folds, shrinkage) == pytest.approx(expected, abs=1e-3)


def noise(tags: list[int], seed: int) -> SurveyCells:
    """Cells that tell nothing of the tags."""
    random = torch.Generator().manual_seed(seed)
    features = normalize(torch.randn(8, 64, generator=random), dim=0)
    return SurveyCells(features.half(), torch.rand(len(tags), 64, generator=random).half(), torch.tensor(tags))


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_features_that_tell_nothing_have_no_trust(background: bool, count: int) -> None:
    """However many tags a photograph has: 0 is chance."""
    draw = torch.Generator().manual_seed(count)
    tags = [sorted((1 + torch.randperm(9, generator=draw)[:count]).tolist()) for _ in range(120)]
    seen = [noise([0, *one] if background else one, seed) for seed, one in enumerate(tags)]
    survey = fit_survey(seen, 10, replace(DEFAULT, survey_rounds=1))
    assert survey.trust < 0.1 and survey.weighed(DEFAULT).survey < 0.25


def test_photographs_with_one_tag_do_not_lower_the_trust() -> None:
    seen = photographs(noise=0.3)
    alone = [replace(one, scores=one.scores[:1], ids=one.ids[:1], features=one.features[:, ::2].repeat(1, 2))
             for one in photographs(noise=0.3, seed=1)] * 4  # fmt: skip
    once = replace(DEFAULT, survey_rounds=1)
    assert fit_survey([*seen, *alone], 4, once).trust > fit_survey(seen, 4, once).trust - 0.15


@pytest.mark.parametrize("count", [4, 5, 7])
def test_agreement_of_clear_classes_is_1_and_not_more(count: int) -> None:
    truth = torch.arange(70) % count
    features = torch.eye(count, 8)[truth].T.half()
    scores = (0.1 + 0.8 * one_hot(truth, count).T).half()
    survey = fit_survey([SurveyCells(features, scores, torch.arange(count))] * 12, count, DEFAULT)
    assert (survey.agreement <= 1).all() and survey.trust <= 1
    assert survey.agreement.tolist() == pytest.approx([1.0] * count)


def test_where_all_photographs_have_the_same_classes_agreement_decides() -> None:
    seen = [one for one in photographs() if one.ids.tolist() == [0, 1]]
    folds = folds_of(seen)
    mean = float(agreement(seen, folds, 0.1)[:2].mean())
    assert mean > 0.9 and contrast(seen, folds, 0.1) == pytest.approx(mean)
    lot = [one for one in photographs(labels="lot") if one.ids.tolist() == [0, 1]]
    assert contrast(lot, folds_of(lot), 0.1) < 0.2


def test_photographs_of_one_class_decide_nothing() -> None:
    alone = [SurveyCells(one.features, one.scores[:1], one.ids[:1]) for one in photographs() if one.ids[0] == 0]
    survey = fit_survey(alone, 4, DEFAULT)
    assert survey.trust == 0 and (survey.agreement == 0).all()
    assert fit_survey(photographs()[:1], 4, DEFAULT).trust == 0


@pytest.mark.parametrize(
    ("agreed", "weight"), [(0.0, 1.0), (0.45, 1.0), (0.675, 0.25), (0.81, 0.04), (0.9, 0.01), (1.0, 0.01)]
)
def test_changed_cells_count_less_where_the_maps_are_good(agreed: float, weight: float) -> None:
    found = fit_survey(photographs(), 4, DEFAULT)
    survey = replace(found, trust=0.9, agreement=torch.full((4,), agreed, dtype=torch.float64))
    assert differing(survey) == pytest.approx(weight)
    assert differing(replace(survey, trust=0.0)) == 1
    little = replace(survey, trust=0.34, agreement=survey.agreement * 0.34 / 0.9)
    assert differing(little) == 1, "a survey with little trust cannot tell good maps"


def test_a_survey_does_not_learn_from_what_it_has_changed() -> None:
    """Moments of a second pass are those of cells that keep their class, if the maps are good."""
    seen, good = photographs(), fit_survey(photographs(), 4, DEFAULT)
    good = replace(good, trust=1.0, agreement=torch.ones(4, dtype=torch.float64))
    changed = Discriminant(-good.discriminant.weights, -good.discriminant.bias, good.discriminant.known)
    fit = _Fit(seen, 4, replace(DEFAULT, survey=1.0), None, silent)
    kept, other = (sum(one.mass.sum() for one in fit._moments(seen, survey, (0, 1))) for survey in (
        good, replace(good, discriminant=changed)
    ))  # fmt: skip
    assert other < 0.5 * kept


def halves(first: float) -> torch.Tensor:
    """Scores of two classes on a 4x4 grid: the left half is the first class's, by ``first``."""
    left = torch.full((4, 2), first)
    maps = torch.cat([left, 1 - left], dim=1)
    return torch.stack([maps, 1 - maps])[None]


def test_quality_falls_with_the_support_of_other_photographs() -> None:
    valid, q, full = torch.ones(1, 2, dtype=torch.bool), torch.tensor([0.8]), torch.tensor(1.0)
    mask = halves(0.9)
    sure = torch.ones(1, 2)
    assert supported(q, mask, halves(0.6), sure, valid, full).item() == pytest.approx(0.8)
    assert supported(q, mask, halves(0.2), sure, valid, full).item() == 0  # each class where the other one is
    assert supported(q, mask, torch.zeros_like(mask), sure, valid, full).item() == pytest.approx(0.8)
    half = supported(q, mask, halves(0.6), torch.tensor([[1.0, 0.0]]), valid, torch.tensor(0.5)).item()
    assert half == pytest.approx(0.8 * (0.6 / 1.1) * (1 + 0.1 / 1.1) / 2 / 2**0.25)


def test_quality_of_one_class_is_that_of_the_data_set() -> None:
    """Its mask follows from the tag; padding does not change that."""
    valid, q = torch.tensor([[True, False]]), torch.tensor([1.0])
    said = halves(0.2) * valid[:, :, None, None]
    found = supported(q, halves(0.9), said, torch.tensor([[0.0, 1.0]]), valid, torch.tensor(1.0))
    assert found.item() == pytest.approx(1.0)
    found = supported(q, halves(0.9), said, torch.tensor([[0.0, 1.0]]), valid, torch.tensor(0.5))
    assert found.item() == pytest.approx(0.6 / 1.1)


def test_the_number_of_classes_counts_where_nothing_agrees() -> None:
    q, maps = torch.tensor([1.0, 1.0]), torch.eye(4).view(1, 4, 2, 2).expand(2, -1, -1, -1)
    valid = torch.tensor([[True, True, False, False], [True] * 4])
    said, agreement = maps * valid[:, :, None, None], torch.zeros(2, 4)
    none = supported(q, maps, said, agreement, valid, torch.tensor(0.0))
    assert (none[0] / none[1]).item() == pytest.approx(2**0.5)
    all_agree = supported(q, maps, said, agreement, valid, torch.tensor(1.0))
    assert all_agree[0].item() == pytest.approx(all_agree[1].item())


@given(st.integers(0, 1000), st.integers(1, 4))
def test_quality_stays_within_0_and_1(seed: int, classes: int) -> None:
    random = torch.Generator().manual_seed(seed)
    maps, said = torch.rand(2, 3, classes, 4, 5, generator=random)
    valid = torch.rand(3, classes, generator=random) > 0.3
    valid[:, 0] = True
    rest = (torch.rand(3, generator=random), torch.rand(3, classes, generator=random), torch.rand((), generator=random))
    found = supported(rest[0], maps, said * valid[:, :, None, None], rest[1], valid, rest[2])
    assert ((found >= 0) & (found <= rest[0])).all()


def test_a_few_certain_photographs_count_little_more_than_others() -> None:
    """They do not show all that a class looks like."""
    seen = [replace(one, certain=index < 12) for index, one in enumerate(photographs())]
    counts = torch.zeros(4)
    for one in seen[:12]:
        counts[one.ids] += 1
    assert 0 < counts.min() < 8
    fit = _Fit(seen, 4, DEFAULT, None, silent)
    assert torch.allclose(fit.certain, 1 + 2 * (counts / 8) ** 2)
    many = _Fit([replace(one, certain=True) for one in seen], 4, DEFAULT, None, silent)
    assert (
        many.certain.tolist() == [3] * 4 and _Fit(photographs(), 4, DEFAULT, None, silent).certain.tolist() == [1] * 4
    )
