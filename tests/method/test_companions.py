"""Classes that are nearly always together: the photographs that show one alone keep them apart."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from dhr.method.cells import SurveyCells
from dhr.method.companions import Companions
from dhr.method.config import PRESETS
from dhr.method.survey_fit import fit_survey

CELLS, CHANNELS = 60, 8
WALL = 5


def cells(tags: list[int], certain: bool = False) -> SurveyCells:
    return SurveyCells(torch.zeros(1, 1), torch.ones(len(tags), 1), torch.tensor(tags), certain)


def weights(tags: list[list[int]], of: list[int], certain: int = 0) -> list[float]:
    """Weights of the classes of a photograph; the first ones are certain."""
    seen = [cells(one, place < certain) for place, one in enumerate(tags)]
    found: list[float] = Companions.of(seen, 5)(torch.tensor(of)).tolist()
    return found


OTHERS = [[3], [4]] * 100
"""Photographs without the classes that are compared, which so are rare."""


def test_a_photograph_without_the_usual_companion_counts_more() -> None:
    tags = [[0, 1]] * 15 + [[1, 2]] * 3 + OTHERS
    assert weights(tags, [1, 2]) == pytest.approx([5**1.5, 1])
    assert weights(tags, [0, 1]) == [1, 1]


def test_a_photograph_with_one_class_counts_as_it_is() -> None:
    """All of its cells are sure already."""
    assert weights([[0, 1]] * 15 + [[1]] * 3 + OTHERS, [1]) == [1]


def test_the_missing_companion_with_the_largest_weight_decides() -> None:
    tags = [[0, 1, 2]] * 12 + [[0, 1]] * 12 + [[0, 3]] * 6 + OTHERS
    assert weights(tags, [0, 3]) == pytest.approx([4**1.5, 1])  # without 1; those without 2 are 18 of 30
    assert weights(tags, [0, 1]) == pytest.approx([1, 1])


def test_a_class_of_most_photographs_is_no_companion() -> None:
    """Nine of ten photographs have class 3, with and without class 0."""
    tags = [[0, 3]] * 27 + [[0, 4]] * 3 + [[1, 3]] * 63 + [[1, 4]] * 7
    assert weights(tags, [0, 4]) == pytest.approx([1, 1])
    assert weights([[0, 3]] * 27 + [[0, 4]] * 3 + [[1]] * 70, [0, 4]) == pytest.approx([27, 1])


@pytest.mark.parametrize("alone", [0, 1, 2])
def test_too_few_photographs_show_nothing(alone: int) -> None:
    assert weights([[0, 1]] * 20 + [[0, 2]] * alone + OTHERS, [0, 2]) == [1, 1]


def test_classes_that_are_seldom_together_are_no_companions() -> None:
    assert weights([[0, 1]] * 11 + [[0, 2]] * 3 + OTHERS, [0, 2]) == [1, 1]
    assert weights([[0, 1]] * 12 + [[0, 2]] * 3 + OTHERS, [0, 2]) == [8, 1]


def test_no_photograph_counts_without_limit() -> None:
    assert weights([[0, 1]] * 500 + [[0, 2]] * 3 + [[3], [4]] * 300, [0, 2]) == [40, 1]


def test_certain_photographs_show_classes_apart() -> None:
    """So a correction cannot take away what three photographs show."""
    lone = [[0, 2]] * 3
    assert weights([*lone, *[[0, 1]] * 48, *OTHERS], [0, 2], certain=1) == pytest.approx([40, 1])
    assert weights([*[[0, 1]] * 1, *lone, *[[0, 1]] * 48, *OTHERS], [0, 2], certain=1) == pytest.approx([40, 1])
    assert weights([*[[0, 1]] * 4, *[[0, 1]] * 48, *lone, *OTHERS], [0, 2], certain=4)[0] == pytest.approx(
        (48 / 7) ** 1.5
    )


@given(st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=30))
def test_weights_are_within_their_limits(tags: list[set[int]]) -> None:
    lists = [sorted(one) for one in tags]
    found = Companions.of([cells(one) for one in lists], 5)
    for one in lists:
        ids = torch.tensor(one)
        assert bool(((found(ids) >= 1) & (found(ids) <= 40)).all())
        assert torch.equal(found(ids.flip(0)), found(ids).flip(0))


def person(seed: int, tags: list[int]) -> tuple[SurveyCells, Tensor]:
    """A photograph of faces (0) and bodies (1), both before walls without a tag, or of a body beside another class.

    Maps tell faces and bodies in six of ten cells, and take walls for faces.
    """
    random = torch.Generator().manual_seed(seed)
    cells = torch.arange(CELLS)
    if tags == [0, 1]:
        truth = torch.where(torch.rand(CELLS, generator=random) < 0.35, WALL, cells % 2)
        right = torch.rand(CELLS, generator=random) < 0.6
        named = torch.where(truth == WALL, 0, torch.where(right, truth, 1 - truth))
    else:
        truth = named = torch.tensor(tags)[cells % 2]
    features = torch.eye(CHANNELS)[truth] + 0.3 * torch.randn(CELLS, CHANNELS, generator=random)
    scores = torch.full((2, CELLS), 0.4)
    scores[torch.tensor([tags.index(int(one)) for one in named]), cells] += 0.2
    return SurveyCells(normalize(features, dim=1).T, scores, torch.tensor(tags)), truth


def people() -> list[tuple[SurveyCells, Tensor]]:
    """Photographs with faces and bodies, three with bodies without faces, and others."""
    tags = [[0, 1]] * 40 + [[1, 2]] * 3 + [[3, 4]] * 50
    return [person(seed, one) for seed, one in enumerate(tags)]


def test_the_rounds_do_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three photographs with bodies alone decide; without their weight, faces become walls."""
    photographs = people()

    def faces() -> float:
        """Share of the faces that are found, in the photographs with both."""
        survey = fit_survey([one for one, _ in photographs], 5, PRESETS["default"])
        valid = torch.ones(1, 2, dtype=torch.bool)
        hits = [
            survey.shares(one.features.float()[None], one.ids[None], valid)[0].argmax(dim=0)[truth == 0] == 0
            for one, truth in photographs[:40]
        ]
        return float(torch.cat(hits).float().mean())

    mended = faces()
    monkeypatch.setattr("dhr.method.companions._MOST", 1.0)
    drifted = faces()
    assert mended > 0.9
    assert drifted < 0.1


def test_the_last_round_counts_all_photographs_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do trust and agreement depend on the weights."""
    seen = [one for one, _ in people()]
    once, often = (replace(PRESETS["default"], survey_rounds=rounds) for rounds in (1, 3))
    found = [fit_survey(seen, 5, one) for one in (once, often)]
    monkeypatch.setattr("dhr.method.companions._MOST", 1.0)
    plain = [fit_survey(seen, 5, one) for one in (once, often)]
    assert torch.equal(found[0].discriminant.weights, plain[0].discriminant.weights)
    assert not torch.equal(found[1].discriminant.weights, plain[1].discriminant.weights)
    for one, other in zip(found, plain, strict=True):
        assert one.trust == other.trust
        assert torch.equal(one.agreement, other.agreement)


def test_all_passes_are_counted() -> None:
    seen, shown = [one for one, _ in people()], list[tuple[int, int | None]]()
    config = replace(PRESETS["default"], survey_rounds=2)
    fit_survey(seen, 5, config, progress=lambda step: shown.append((step.done, step.total)))
    total = 3 * len(seen)  # the first round takes two passes
    assert shown[:total] == [(done + 1, total) for done in range(total)]
