"""Several sources become one: on made photographs, without ground truth."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from dhr.method.calibrate import Calibrated, SourceCells, Task, calibrate
from dhr.method.calibration import KNOTS, Calibration, join_features, places, posterior
from dhr.method.evidence import ENOUGH, agreement, follows_tags, mean_agreement, ranks

CLASSES, SIDE, PHOTOGRAPHS = 5, 8, 20
GOOD, PARTIAL, NOISE = range(3)
UNKNOWN = 3
"""The class that the second source does not know."""


@dataclass(frozen=True)
class Made:
    """Photographs with ground truth, for the tests alone."""

    cells: tuple[SourceCells, ...]
    labels: tuple[Tensor, ...]
    """The place of each cell's class among the tags."""

    def of(self, *sources: int) -> tuple[SourceCells, ...]:
        """The photographs as some of the sources see them."""
        picked = list(sources)
        return tuple(
            replace(one, maps=one.maps[picked], peaks=one.peaks[picked], other_peaks=one.other_peaks[picked])
            for one in self.cells
        )


def photographs(background: bool = False) -> Made:
    """Two classes in each, side by side; features of each class about a direction of its own, with noise."""
    random = torch.Generator().manual_seed(0)
    directions = torch.randn(CLASSES, 12, generator=random)
    scale = torch.rand(3, CLASSES, generator=random) * 5 + 0.1
    offset = torch.randn(3, CLASSES, generator=random) * 10
    cells, labels = [], []
    for index in range(PHOTOGRAPHS):
        ids = 1 + (index + torch.tensor([0, 1 + index % 3])) % (CLASSES - 1) if background else None
        ids = (index + torch.tensor([0, 1 + index % 4])) % CLASSES if ids is None else ids
        split = 2 + index % 5
        truth = (torch.arange(SIDE).repeat(SIDE, 1) >= split).long().flatten()
        named = ids
        if background:  # the last rows
            truth = torch.where(torch.arange(SIDE * SIDE) >= 40, -1, truth)
            named = torch.cat([ids, torch.zeros(1, dtype=torch.long)])
        features = directions[named[truth]] + 0.8 * torch.randn(SIDE * SIDE, 12, generator=random)
        others = torch.tensor([one for one in range(int(background), CLASSES) if one not in ids.tolist()])[:2]
        maps, peaks = [], []
        for source in range(3):
            seen = torch.stack([_seen(source, int(tag), (truth == k).float(), random) for k, tag in enumerate(ids)])
            rest = torch.stack([_seen(source, int(tag), torch.zeros(SIDE * SIDE), random) for tag in others])
            maps.append(scale[source, ids, None] * seen + offset[source, ids, None])
            peaks.append((scale[source, others, None] * rest + offset[source, others, None]).amax(dim=1))
        stacked = torch.stack(maps)
        cells.append(
            SourceCells(
                normalize(features, dim=1).T.contiguous(), stacked, ids, stacked.amax(dim=2), others,
                torch.stack(peaks),
            )
        )  # fmt: skip
        labels.append(truth)
    return Made(tuple(cells), tuple(labels))


def _seen(source: int, tag: int, inside: Tensor, random: torch.Generator) -> Tensor:
    noise = torch.randn(len(inside), generator=random)
    if source == NOISE or (source == PARTIAL and tag == UNKNOWN):
        return 0.5 + 0.3 * noise
    return inside + (0.9 if source == GOOD else 0.6) * noise


def learned(cells: Sequence[SourceCells], background: bool = False) -> Calibrated:
    return calibrate(Task(cells, CLASSES, background, torch.device("cpu")))


def joined(found: Calibrated, cells: Sequence[SourceCells], background: bool = False) -> list[Tensor]:
    valid = torch.ones(1, 2, dtype=torch.bool)
    return [found.calibration(one.maps[None], one.ids[None], valid, background)[0] for one in cells]


def right(maps: Sequence[Tensor], labels: Sequence[Tensor]) -> float:
    """The share of the cells with the right class."""
    pairs = zip(maps, labels, strict=True)
    return float(torch.cat([(one.argmax(dim=0) == truth)[truth >= 0] for one, truth in pairs]).float().mean())


@pytest.fixture(scope="module")
def made() -> Made:
    return photographs()


@pytest.fixture(scope="module")
def both(made: Made) -> Calibrated:
    return learned(made.of(GOOD, PARTIAL))


def test_together_they_are_better_than_each_alone(made: Made, both: Calibrated) -> None:
    together = right(joined(both, made.of(GOOD, PARTIAL)), made.labels)
    alone = [right(joined(learned(made.of(one)), made.of(one)), made.labels) for one in (GOOD, PARTIAL)]
    assert together > max(alone) + 0.03 and together > 0.9


def test_a_class_that_a_source_does_not_know_is_found_out(both: Calibrated) -> None:
    weights = both.calibration.weights
    assert float(weights[1, UNKNOWN]) == 0 and float(weights.sum()) == weights.numel() - 1
    assert float(both.follows.errors[1, UNKNOWN]) <= ENOUGH and float(both.agrees.errors[1, UNKNOWN]) <= ENOUGH
    assert both.photographs.sum() == 2 * PHOTOGRAPHS


CHANGES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda values: values.exp(), lambda values: values**3 - 500, lambda values: -1 / (values.exp() + 1),
    lambda values: values - 100, lambda values: 0.01 * values + 7,
)  # fmt: skip
"""A rising function for each class."""


def test_rising_functions_of_the_maps_change_nothing(made: Made, both: Calibrated) -> None:
    """Between knots the evidence is linear in the values, so the joined maps are nearly, not exactly, the same."""
    cells = made.of(GOOD, PARTIAL)

    def changed(values: Tensor, ids: Tensor) -> Tensor:
        """Change the first source's values of each class by a function of the class."""
        first = [CHANGES[tag](values[0, at].double() / 10).float() for at, tag in enumerate(ids.tolist())]
        return torch.cat([torch.stack(first)[None], values[1:]])

    others = tuple(
        replace(
            one, maps=changed(one.maps, one.ids), peaks=changed(one.peaks, one.ids),
            other_peaks=changed(one.other_peaks, one.others),
        )
        for one in cells
    )  # fmt: skip
    again = learned(others)
    assert torch.equal(again.calibration.weights, both.calibration.weights)
    for first, second in zip(joined(both, cells), joined(again, others), strict=True):
        assert float((first - second).abs().mean()) < 0.02


def test_a_source_of_noise_changes_nothing(made: Made, both: Calibrated) -> None:
    with_noise = learned(made.of(GOOD, PARTIAL, NOISE))
    assert float(with_noise.calibration.weights[2].sum()) == 0
    pairs = zip(joined(both, made.of(GOOD, PARTIAL)), joined(with_noise, made.of(GOOD, PARTIAL, NOISE)), strict=True)
    assert max(float((first - second).abs().mean()) for first, second in pairs) < 0.02


def test_noise_without_maps_of_other_classes_changes_nothing(made: Made, both: Calibrated) -> None:
    cells = [
        replace(one, other_peaks=one.other_peaks.index_fill(0, torch.tensor(NOISE), torch.nan)) for one in made.cells
    ]
    found = learned(cells)
    assert float(found.calibration.weights[NOISE].sum()) == 0
    pairs = zip(joined(both, made.of(GOOD, PARTIAL)), joined(found, cells), strict=True)
    assert max(float((first - second).abs().mean()) for first, second in pairs) < 0.02


def test_the_order_of_the_sources_does_not_matter(made: Made, both: Calibrated) -> None:
    swapped = learned(made.of(PARTIAL, GOOD))
    assert torch.equal(swapped.calibration.weights.flip(0), both.calibration.weights)
    pairs = zip(joined(both, made.of(GOOD, PARTIAL)), joined(swapped, made.of(PARTIAL, GOOD)), strict=True)
    assert max(float((first - second).abs().max()) for first, second in pairs) < 1e-3


def test_with_a_background() -> None:
    made = photographs(background=True)
    found = learned(made.of(GOOD, PARTIAL), background=True)
    for one, truth in zip(joined(found, made.of(GOOD, PARTIAL), background=True), made.labels, strict=True):
        torch.testing.assert_close(one.sum(dim=0), torch.ones(SIDE * SIDE))
        inside, outside = (float(one[1:].amax(dim=0)[where].mean()) for where in (truth >= 0, truth < 0))
        assert inside > outside


def test_a_single_photograph_with_a_single_tag() -> None:
    one = photographs().cells[0]
    alone = replace(
        one, maps=one.maps[:, :1], ids=one.ids[:1], peaks=one.peaks[:, :1], others=one.others[:0],
        other_peaks=one.other_peaks[:, :0],
    )  # fmt: skip
    found = learned([alone])
    assert float(found.calibration.weights[:, alone.ids].min()) == 1, "there is nothing better"
    maps = found.calibration(alone.maps[None], alone.ids[None], torch.ones(1, 1, dtype=torch.bool), False)
    assert torch.equal(maps, torch.ones_like(maps))


def test_with_too_few_photographs_the_best_source_counts(made: Made) -> None:
    """Noise whose maps of other classes are unknown, beside a source that follows the tags, in two photographs."""
    cells = [
        replace(one, other_peaks=torch.stack([one.other_peaks[0] - 99, torch.full_like(one.other_peaks[0], torch.nan)]))
        for one in made.of(GOOD, NOISE)[:2]
    ]
    weights = learned(cells).calibration.weights
    shared = {*cells[0].ids.tolist()} & {*cells[1].others.tolist()}
    assert shared and all(float(weights[0, tag]) == 1 for tag in shared)
    assert any(float(weights[1, tag]) == 0 for tag in shared)


def test_constant_maps_are_no_evidence(made: Made) -> None:
    cells = [replace(one, maps=one.maps.clone().index_fill_(0, torch.tensor(NOISE), 7.0)) for one in made.cells]
    cells = [replace(one, peaks=one.maps.amax(dim=2)) for one in cells]
    found = learned(
        [replace(one, other_peaks=one.other_peaks.clone().index_fill_(0, torch.tensor(2), 7.0)) for one in cells]
    )
    evidence = found.calibration.evidence(cells[0].maps[None], cells[0].ids[None])[0, NOISE]
    assert float(evidence.abs().max()) == 0


def test_values_beyond_the_knots_and_nan() -> None:
    knots = torch.arange(KNOTS).float().view(1, 1, -1)
    one = Calibration(knots, knots / 4, torch.ones(1, 1))
    values = torch.tensor([-9.0, 0.5, 1000.0, torch.nan]).view(1, 1, 1, 4)
    evidence = one.evidence(values, torch.zeros(1, 1, dtype=torch.long))
    assert evidence[0, 0, 0, :3].tolist() == [0.0, 0.125, 8.0] and bool(evidence[0, 0, 0, 3].isnan())


def test_nothing_waits_for_the_device(both: Calibrated, made: Made, no_sync: AbstractContextManager[None]) -> None:
    one, valid = made.of(GOOD, PARTIAL)[0], torch.ones(1, 2, dtype=torch.bool)
    for background in (False, True):
        with no_sync:
            both.calibration(one.maps[None], one.ids[None], valid, background)


NUMBERS = st.lists(st.integers(-20, 20), min_size=2, max_size=30)


@given(NUMBERS, st.data())
def test_measurements_depend_on_the_order_of_values_alone(values: list[int], data: st.DataObject) -> None:
    first = torch.tensor([values], dtype=torch.float64)
    second = first**3 + 5 * first - 1000
    label = torch.tensor(
        data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(values), max_size=len(values)))
    )
    assert torch.equal(ranks(first), ranks(second))
    assert torch.equal(agreement(first, label.double()), agreement(second, label.double()))
    assert torch.equal(follows_tags(first, first[:, :1])[0], follows_tags(second, second[:, :1])[0])
    torch.testing.assert_close(agreement(-first, label.double()), -agreement(first, label.double()))


@given(NUMBERS, NUMBERS)
def test_places_rise_with_the_values(values: list[int], knots: list[int]) -> None:
    ordered = torch.tensor(sorted(knots), dtype=torch.float32)
    found = places(torch.tensor(sorted(values)) / 2, ordered)
    assert bool((found.diff() >= 0).all()) and float(found.min()) >= 0 and float(found.max()) <= len(knots) - 1
    assert torch.equal(ordered.unique()[places(ordered.unique(), ordered.unique()).long()], ordered.unique())


def test_equal_knots_are_one_place() -> None:
    knots = torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert places(torch.tensor([-1.0, 0.0, 0.5, 1.0]), knots).tolist() == [0.0, 1.0, 2.5, 3.0]


def test_padding_has_no_share() -> None:
    valid = torch.tensor([[True, False]])
    assert posterior(torch.zeros(1, 2, 3), valid, background=False)[0].tolist() == [[1.0] * 3, [0.0] * 3]
    assert posterior(torch.zeros(1, 2, 3), valid, background=True)[0].tolist() == [[0.5] * 3, [0.5] * 3, [0.0] * 3]


def test_features_of_all_sources_count_the_same() -> None:
    first, second = torch.randn(2, 3, 4, 4), 1000 * torch.randn(2, 5, 4, 4)
    both = join_features([first, second])
    assert both.shape == (2, 8, 4, 4)
    torch.testing.assert_close(both[:, :3].norm(dim=1), both[:, 3:].norm(dim=1))
    assert torch.equal(join_features([first]), first)


def test_peaks_that_are_unknown_are_no_evidence() -> None:
    tagged = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    others = torch.tensor([[torch.nan, torch.nan], [1.0, torch.nan]])
    value, errors = follows_tags(tagged, others)
    assert value.tolist() == [0.0, 1.0] and bool(errors[0].isnan()) and 0 < float(errors[1]) < ENOUGH
    assert follows_tags(torch.zeros(1, 0), others[:1])[0].tolist() == [0.0]


def test_agreement_is_the_area_under_the_curve() -> None:
    random = torch.Generator().manual_seed(0)
    values, label = torch.randn(1, 50, generator=random), (torch.rand(50, generator=random) > 0.6).float()
    inside, outside = values[0][label > 0], values[0][label == 0]
    expected = (inside[:, None] > outside).float().mean() * 2 - 1
    torch.testing.assert_close(agreement(values, label), expected[None])
    assert ranks(torch.zeros(3)).tolist() == [0.5] * 3
    assert mean_agreement(torch.zeros(0, 2))[1].tolist() == [0.0, 0.0]
