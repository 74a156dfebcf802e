"""Settings that are chosen from the photographs and the device."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.train.config import ClassifierConfig, StudentTrainingConfig
from dhr.train.fitted import fitted_classifier, fitted_student

SIZES = st.lists(st.tuples(st.integers(20, 700), st.integers(20, 700)), min_size=1, max_size=60)
DEVICES = st.sampled_from(("cpu", "cuda", "mps"))


@given(photographs=st.integers(1, 10**6), batch=st.integers(1, 64))
def test_the_classifier_takes_enough_steps_and_no_more(photographs: int, batch: int) -> None:
    config = ClassifierConfig(batch=batch)
    epochs = fitted_classifier(config, photographs).epochs
    a_pass = math.ceil(photographs / batch)
    assert epochs >= 1
    assert epochs * a_pass >= 150
    assert epochs <= 8 or (epochs - 1) * a_pass < 150  # no pass more than the fewest steps need
    assert (epochs - 1) * a_pass < 10_000


@given(more=st.integers(1, 1000), photographs=st.integers(1, 10**5))
def test_more_photographs_never_take_more_passes(photographs: int, more: int) -> None:
    config = ClassifierConfig()
    assert fitted_classifier(config, photographs + more).epochs <= fitted_classifier(config, photographs).epochs


@given(
    count=st.integers(1, 10**6), sizes=SIZES, device=DEVICES, accumulate=st.integers(1, 4), processes=st.integers(1, 4)
)
def test_a_students_settings_can_be_used(
    count: int, sizes: list[tuple[int, int]], device: str, accumulate: int, processes: int
) -> None:
    fitted = fitted_student(StudentTrainingConfig(accumulate=accumulate), count, sizes, device, processes)
    fitted.check_batch(processes)
    assert 400 <= fitted.steps <= 20_000
    assert 128 <= fitted.crop <= (256 if device == "cpu" else 512) and fitted.crop % 32 == 0
    assert fitted_student(fitted, 1, sizes[:1], "cpu" if device == "cuda" else "cuda") == fitted  # nothing is left open
    again = fitted_student(StudentTrainingConfig(accumulate=accumulate), count, sizes[::-1], device, processes)
    assert again == fitted


@given(count=st.integers(1, 10**5), device=DEVICES)
def test_a_student_sees_each_photograph_forty_times(count: int, device: str) -> None:
    fitted = fitted_student(StudentTrainingConfig(), count, [(100, 150)], device)
    if 400 < fitted.steps < 20_000:
        assert 40 <= fitted.steps * fitted.batch / count < 40 + fitted.batch / count


@pytest.mark.parametrize("given_values", [{"steps": 7}, {"batch": 6}, {"crop": 333}, {"steps": 3, "batch": 2}])
def test_given_values_stay(given_values: dict[str, Any]) -> None:
    fitted = fitted_student(StudentTrainingConfig(**given_values), 50, [(213, 320)], "cpu")
    assert {name: getattr(fitted, name) for name in given_values} == given_values
    assert min(fitted.steps, fitted.batch, fitted.crop) > 0
    assert fitted_classifier(ClassifierConfig(epochs=3), 10).epochs == 3
