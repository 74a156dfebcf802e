"""Classes that are nearly always together: the photographs that show one alone keep them apart."""

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


def weights(tags: list[list[int]], of: list[int], classes: int = 4) -> list[float]:
    found: list[float] = Companions.of([torch.tensor(one) for one in tags], classes)(torch.tensor(of)).tolist()
    return found


def test_a_photograph_without_the_usual_companion_counts_more() -> None:
    tags = [[0, 1]] * 15 + [[1, 2]] * 3
    assert weights(tags, [1, 2]) == pytest.approx([5**1.5, 1])
    assert weights(tags, [0, 1]) == [1, 1]


def test_the_most_frequent_missing_companion_decides() -> None:
    tags = [[0, 1, 2]] * 12 + [[0, 1]] * 12 + [[0]] * 6
    assert weights(tags, [0]) == pytest.approx([4**1.5])  # without 1; those without 2 are 18 of 30
    assert weights(tags, [0, 1]) == pytest.approx([1, 1])


@pytest.mark.parametrize("alone", [0, 1, 2])
def test_too_few_photographs_show_nothing(alone: int) -> None:
    assert weights([[0, 1]] * 20 + [[0]] * alone, [0]) == [1]


def test_classes_that_are_seldom_together_are_no_companions() -> None:
    assert weights([[0, 1]] * 11 + [[0]] * 3, [0]) == [1]
    assert weights([[0, 1]] * 12 + [[0]] * 3, [0]) == [8]


def test_no_photograph_counts_without_limit() -> None:
    assert weights([[0, 1]] * 5000 + [[0]] * 3, [0]) == [40]


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=30))
def test_weights_are_within_their_limits(tags: list[set[int]]) -> None:
    lists = [torch.tensor(sorted(one)) for one in tags]
    found = Companions.of(lists, 6)
    for ids in lists:
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


def test_the_rounds_do_not_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three photographs with a body alone decide; without their weight, faces become walls."""
    photographs = [person(seed, [0, 1]) for seed in range(40)] + [person(100 + seed, [1, 2]) for seed in range(3)]
    seen, truths = [one for one, _ in photographs], [truth for _, truth in photographs]

    def faces() -> float:
        """Share of the faces that are found, in the photographs with both."""
        survey, valid = fit_survey(seen, 3, PRESETS["default"]), torch.ones(1, 2, dtype=torch.bool)
        hits = [
            survey.shares(one.features.float()[None], one.ids[None], valid)[0].argmax(dim=0)[truth == 0] == 0
            for one, truth in zip(seen[:40], truths[:40], strict=True)
        ]
        return float(torch.cat(hits).float().mean())

    mended = faces()
    monkeypatch.setattr("dhr.method.companions._MOST", 1.0)
    drifted = faces()
    assert mended > 0.9
    assert drifted < 0.1
