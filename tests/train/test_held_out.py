"""The stop rule: which photographs are held out, when a training ends, which weights it has."""

from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn

from dhr.data import SceneDataSet
from dhr.data.samples import Sample
from dhr.train.config import StudentTrainingConfig
from dhr.train.crops import TrainingSet
from dhr.train.held_out import LOOKS, PATIENCE, StopRule, held_out
from dhr.train.objectives import Losses
from dhr.train.student_crops import CropBatch, CropDataset

SCENES = SceneDataSet(3, 0, size=(48, 64))


def samples(count: int, prefix: str = "p") -> list[Sample]:
    return [Sample(f"{prefix}{number}", "", (1,), False) for number in range(count)]


@given(count=st.integers(1, 400), share=st.floats(0, 0.5))
@settings(max_examples=40)
def test_photographs_are_split_by_name(count: int, share: float) -> None:
    photographs = samples(count)
    taught, held = held_out(photographs, share)
    assert sorted([*taught, *held], key=photographs.index) == photographs
    assert len(held) == (min(100, round(share * count)) if count >= 40 else 0)
    backwards = held_out(photographs[::-1], share)[1]
    assert {one.name for one in backwards} == {one.name for one in held}
    if count >= 40:  # a further photograph moves at most one
        more = {one.name for one in held_out([*photographs, *samples(1, "q")], share)[1]}
        assert len({one.name for one in held} - more) <= 1


@given(classes=st.integers(1, 60), count=st.integers(40, 120))
@settings(max_examples=20)
def test_every_class_is_trained_on(classes: int, count: int) -> None:
    photographs = [
        Sample(f"p{number}", "", tuple({number % classes, number * 7 % classes}), False) for number in range(count)
    ]
    taught, held = held_out(photographs, 0.5)
    known = ({tag for one in some for tag in one.tags} for some in (taught, photographs))
    assert len({*map(frozenset, known)}) == 1 and len(taught) + len(held) == count


class Steered:
    """An objective whose loss on held-out photographs is given for each look."""

    names, settings, first = ("L",), {}, 0

    def __init__(self, losses: list[float], first: int = 0) -> None:
        self.losses, self.first = losses, first

    def __call__(self, network: Any, teacher: Any, crops: CropBatch, step: int) -> Losses:
        assert not network.training and teacher is None
        return Losses((torch.tensor(self.losses[step]),), torch.zeros(()))

    def targets(self, student: Any, crops: CropBatch) -> Any:
        raise NotImplementedError


class Ended(NamedTuple):
    rule: StopRule
    step: int


def rule_of(losses: list[float], first: int = 0) -> StopRule:
    config = StudentTrainingConfig(steps=len(losses), batch=2, crop=32)
    crops = CropDataset(TrainingSet(SCENES, SCENES.samples, 64, 0), config, SCENES.read_ground_truth, None, 4)
    return StopRule(crops, Steered(losses, first), Fabric(accelerator="cpu", devices=1))


def network(value: float) -> nn.Module:
    made = nn.Linear(1, 1)
    nn.init.constant_(made.weight, value)
    return made


def trained(losses: list[float], first: int = 0, kill_at: int | None = None) -> Ended:
    """Train a network whose weight is the number of the step, with a look after each step."""
    rule = rule_of(losses, first)
    for done in range(1, len(losses) + 1):
        if done == kill_at:
            state = rule.state()
            rule = rule_of(losses, first)
            rule.restore(state, network(0.0))
        if rule.due(done):
            rule.look(done, network(float(done)))
        if rule.stopped:
            return Ended(rule, done)
    return Ended(rule, len(losses))


def test_a_loss_that_falls_is_never_stopped() -> None:
    rule, step = trained([1 / (1 + number) for number in range(LOOKS)])
    assert (step, rule.step, rule.stopped) == (LOOKS, LOOKS, False)
    assert "all steps were taken" in rule.note


def test_a_loss_that_no_longer_falls_ends_the_training() -> None:
    rule, step = trained([1.0, 0.5, 0.4, *[0.4] * (LOOKS - 3)])
    assert (step, rule.step, rule.stopped) == (3 + PATIENCE, 3, True)
    assert rule.weights["weight"].item() == 3 and rule.lowest == pytest.approx(0.4)
    assert "step 3" in rule.note and "3 held-out photographs" in rule.note


@given(st.lists(st.floats(0, 1, width=16), min_size=LOOKS, max_size=LOOKS), st.integers(1, LOOKS), st.integers(0, 8))
@settings(max_examples=25, deadline=None)
def test_a_killed_training_stops_at_the_same_step(losses: list[float], kill_at: int, first: int) -> None:
    whole, part = trained(losses, first), trained(losses, first, kill_at)
    assert part.step == whole.step and part.rule.step == whole.rule.step > first
    assert part.rule.weights["weight"].item() == whole.rule.step
    assert whole.rule.lowest == min(losses[first : whole.step])


def test_the_loss_before_recursion_does_not_count() -> None:
    rule, _ = trained([0.0, 0.0, 0.0, *[0.5] * (LOOKS - 3)], first=3)
    assert rule.step == 4


@pytest.mark.parametrize(
    "state",
    [
        [],
        {"loss": 0.1, "step": 1, "since": 0},
        {"loss": float("nan"), "step": 1, "since": 0, "weights": network(1.0).state_dict()},
        {"loss": 0.1, "step": LOOKS + 1, "since": 0, "weights": network(1.0).state_dict()},
        {"loss": 0.1, "step": 1, "since": PATIENCE + 1, "weights": network(1.0).state_dict()},
        {"loss": 0.1, "step": 1, "since": 0, "weights": {}},
        {"loss": 0.1, "step": 1, "since": 0, "weights": nn.Linear(2, 1).state_dict()},
        {"loss": 0.1, "step": 1, "since": 0, "weights": network(float("inf")).state_dict()},
        {"loss": 0.1, "step": 1, "since": 0, "weights": {"weight": 3, "bias": 4}},
    ],
)
def test_a_damaged_state_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|another|NaN|state"):
        rule_of([1.0] * LOOKS).restore(state, network(0.0))


def test_looks_are_few_and_the_last_step_has_one() -> None:
    rule = rule_of([1.0] * 405)
    due = [done for done in range(1, 406) if rule.due(done)]
    assert due[-1] == 405 and LOOKS <= len(due) <= LOOKS + 2


def test_the_loss_is_the_mean_over_all_photographs_held_out() -> None:
    class Sizes(Steered):
        def __call__(self, network: Any, teacher: Any, crops: CropBatch, step: int) -> Losses:
            value: Tensor = crops.images.mean(dim=(1, 2, 3)).mean()
            return Losses((value, value), torch.zeros(()))

    rule = rule_of([1.0] * LOOKS)
    rule.objective = Sizes([])
    rule.look(1, network(0.0))
    means = [float(rule.crops.middle(one).pixels.float().mean()) / 255 for one in SCENES.samples]
    assert rule.lowest == pytest.approx(2 * sum(means) / 3, abs=1e-4)
