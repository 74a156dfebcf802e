"""The plan of a run: the fingerprint of the data, the work that is left, and a cost that was measured."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dhr.data import FolderDataSet
from dhr.data.samples import ClassTable, Sample
from dhr.errors import DataError, OutputError
from dhr.job import estimate as module
from dhr.job.advice import LONG, advice
from dhr.job.announce import is_short
from dhr.job.estimate import Estimate, Limits, StageEstimate, drawn, estimate, shrunk
from dhr.job.fingerprint import fingerprint, some_sizes
from dhr.job.left import Work, all_stages, work_of
from dhr.job.multiplied import Scaled
from dhr.job.plan import plan
from dhr.job.rehearsal import Clock, Rehearsal, rehearse, shortened
from dhr.job.run import run
from dhr.job.settings import RunConfig
from dhr.method.config import MethodConfig
from dhr.models.config import StudentConfig, UssConfig, WssConfig
from dhr.progress import Step
from dhr.records.run import StageRecord
from dhr.train.config import ClassifierConfig, StudentTrainingConfig

CONFIG = RunConfig(
    wss=WssConfig(backbone="test_resnet", weights="none", scales=(1.0,)),
    classifier=ClassifierConfig(epochs=2, batch=3, crop=32),
    uss=UssConfig(kind="colour", weights="none", scales=(1.0,)),
)


class Tags:
    """A data set that is only listed."""

    def __init__(self, names: tuple[str, ...], background: bool, tags: list[tuple[int, ...]]) -> None:
        self.classes, self.problems, self.notes = ClassTable(names, background), (), ()
        self.samples = [Sample(f"{number:03}", f"{number:03}.png", one, False) for number, one in enumerate(tags)]

    def digest(self, sample: Sample) -> str:
        raise AssertionError("it was read")

    read_image = read_ground_truth = digest


def test_a_fingerprint_counts() -> None:
    data: Any = Tags(("background", "cat", "dog", "owl"), True, [(1,)] * 12 + [(1, 2)] * 3 + [()])
    sizes = {"000": (100, 200), "001": (300, 100), "002": (50, 60)}
    found = fingerprint(data, sizes)
    assert (found.photographs, found.classes, found.background, found.untagged) == (16, 3, True, 1)
    assert found.tags == 18 / 16 and found.most_tags == 2
    assert found.per_class == (3, 9, 15) and found.few == {"dog": 3} and found.absent == ("owl",)
    assert (found.smallest, found.median, found.largest, found.sizes_of) == ((50, 60), (100, 200), (300, 100), 3)


def test_photographs_with_tags_are_read_first(monkeypatch: pytest.MonkeyPatch) -> None:
    data: Any = Tags(("background", "cat"), True, [()] * 150 + [(1,)])
    monkeypatch.setattr(data, "read_image", lambda sample: np.zeros((3, 4, 3), np.uint8), raising=False)
    sizes = some_sizes(data)
    assert "150" in sizes
    with pytest.raises(DataError, match="with tags"):
        estimate(data, {"000": (3, 4)}, CONFIG, [WORK], Limits(2, 1.0))


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500)), min_size=1, max_size=30), st.integers(1, 6))
def test_photographs_are_drawn_from_all_sizes(sizes: list[tuple[int, int]], most: int) -> None:
    samples = [Sample(str(number), str(number), (1,), False) for number in range(len(sizes))]
    by_name = {sample.name: size for sample, size in zip(samples, sizes, strict=True)}
    found = drawn(samples, by_name, most)
    assert len({one.name for one in found}) == len(found) == min(most, len(sizes))
    areas = sorted(height * width for height, width in sizes)
    mine = sorted(by_name[one.name][0] * by_name[one.name][1] for one in found)
    part = len(areas) / len(mine)
    assert all(areas[int(number * part)] <= area for number, area in enumerate(mine))
    assert found == drawn(samples[::-1], by_name, most)  # in any order


def test_the_work_of_a_run() -> None:
    data: Any = Tags(("a", "b"), False, [(0,), (1,), (0, 1)])
    student = StudentTrainingConfig(steps=10, batch=4)
    config = replace(CONFIG, recursion=True, student_training=student)
    works = {one.name: (one.amount, one.unit) for one in work_of(config, all_stages(config, data), data)}
    assert works == {
        "classifier": (6, "crops"), "survey": (3, "photographs"), "masks": (3, "photographs"),
        "student": (40, "crops"), "second masks": (3, "photographs"),
    }  # fmt: skip
    given_one = replace(CONFIG, classifier=replace(CONFIG.classifier, file=Path("c.safetensors")))
    first, *others = work_of(replace(given_one, method=MethodConfig(survey=0.0)), all_stages(given_one, data), data)
    assert (first.name, first.amount) == ("classifier", 0) and [one.name for one in others] == ["masks"]


def test_a_rehearsal_measures_all_stages_and_leaves_nothing(
    fresh: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    data = FolderDataSet(fresh.data)
    config = replace(
        CONFIG, recursion=True, student=StudentConfig(width=8, low_level=4), features=tmp_path / "store",
        student_training=StudentTrainingConfig(steps=900, batch=4, crop=32),
    )  # fmt: skip
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    found = rehearse(data, data.samples[:2], config)
    assert torch.equal(torch.rand(1), expected)
    for name in ("classifier", "survey", "masks", "student", "second masks"):
        assert found.stages[name].seconds and found.stages[name].peak_memory_mb
        assert found.clock.rates(name) and all(rate > 0 for rate in found.clock.rates(name)), name
    assert found.item_bytes > 0 and {"classifier", "survey", "student"} == {*found.trained_bytes}
    assert not list(place.iterdir()) and not (tmp_path / "store").exists()


def test_a_rehearsal_keeps_what_costs_and_shortens_the_rest() -> None:
    config = shortened(CONFIG, 4)
    assert (config.classifier.epochs, config.classifier.batch) == (2, 2)  # four steps
    assert config.classifier.crop == CONFIG.classifier.crop
    assert replace(
        config, classifier=CONFIG.classifier, affinity=CONFIG.affinity, student_training=CONFIG.student_training
    ) == CONFIG  # fmt: skip


def clock(stage: str, *steps: tuple[float, int]) -> Clock:
    return Clock({stage: list(steps)})


def test_a_clock_takes_the_time_of_things() -> None:
    taken = clock("masks", (10.0, 0), (12.0, 1), (13.0, 1), (21.0, 3))
    assert taken.rates("masks") == [2.0, 4.0] and taken.spent("masks") == 11.0
    assert taken.rates("survey") == [] and taken.spent("survey") == 0.0
    taken(Step("survey", 0, 1))
    taken(Step("survey", 1, 1))
    assert len(taken.rates("survey")) == 1


def rehearsal(seconds: float, photographs: int = 1, name: str = "masks") -> Rehearsal:
    """One of a stage whose photographs take equally long; 2 seconds come on top."""
    steps = [(number * seconds, number) for number in range(photographs + 1)]
    row = StageRecord(name, seconds=photographs * seconds + 2, peak_memory_mb=900.0)
    stages = {"models": StageRecord("models", seconds=0.0, peak_memory_mb=500.0), name: row}
    return Rehearsal(photographs, clock(name, *steps), stages, 1000 * photographs, {"survey": 50}, 0, 1.0)


def estimated(monkeypatch: pytest.MonkeyPatch, cost: Any, limits: Limits, work: Work, side: int = 640) -> Estimate:
    """Estimate a stage whose rehearsals cost ``cost(long_side, photographs)``."""
    data: Any = Tags(("a",), False, [(0,)] * 10)
    monkeypatch.setattr(
        module, "rehearse", lambda data, samples, config: cost(config.image.long_side, len(samples))
    )  # fmt: skip
    return estimate(data, {one.name: (480, side) for one in data.samples}, CONFIG, [work], limits)


WORK = Work("masks", 100, "photographs", 100)


def test_a_cheap_run_is_measured_at_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    found = estimated(monkeypatch, lambda side, many: rehearsal(0.01, many), Limits(4, 20.0), WORK)
    (stage,) = found.stages
    assert (found.photographs, found.side) == (4, 0)
    assert stage.seconds == pytest.approx(100 * 0.01 + 2) and stage.least < stage.seconds < stage.most
    assert stage.memory_mb == 900 and found.disk_mb == pytest.approx((100 * 1000 + 50) / 1e6, abs=0.06)


def test_a_dear_run_is_measured_on_small_copies_and_extrapolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is 1 second and 10 more for the pixels of the whole size; 4 seconds must do."""
    seen: list[int] = []

    def cost(side: int, many: int) -> Rehearsal:
        seen.append(side)
        return rehearsal(1 + 10 * (min(side, 640) / 640) ** 2, many)

    found = estimated(monkeypatch, cost, Limits(4, 12.0), WORK)
    assert seen == [128, 128, 256] and found.side == 256 and found.photographs == 1
    (stage,) = found.stages
    assert stage.least < 100 * 11 + 2 < stage.most
    assert stage.memory_mb == 900 + (6.25 - 1) * 400


def test_the_smallest_copy_is_measured_whatever_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = estimated(monkeypatch, lambda side, many: rehearsal(1000.0, many), Limits(4, 1.0), WORK)
    assert found.side == 128 and found.seconds[0] > 0


@pytest.mark.parametrize(("fresh", "space", "expected"), [(0, "8GB", 0), (30, "8GB", 30), (0, "4KB", 60)])
def test_masks_without_a_draft_cost_as_the_survey_too(fresh: int, space: str, expected: int) -> None:
    """The survey takes 3 seconds per photograph, the masks 1; a draft has 100 bytes."""
    survey, masks = rehearsal(3.0, 2, "survey"), rehearsal(1.0, 2)
    cost = replace(
        survey, clock=Clock({**survey.clock.steps, **masks.clock.steps}), stages={**survey.stages, **masks.stages},
        draft_bytes=200,
    )  # fmt: skip
    config = replace(CONFIG, work_space=space)
    works = [Work("survey", 100, "photographs", 100), replace(WORK, fresh=fresh)]
    runs = [Scaled(config, config, 640, 640, cost)]
    _, made = module._costs(works, runs, config)
    once = 2.0 * (1 + (expected > 0))
    assert made.seconds == pytest.approx(100 * 1 + expected * 3 + once)


def test_finished_work_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    done = replace(WORK, amount=0)
    found = estimated(monkeypatch, lambda side, many: rehearsal(1.0, many), Limits(1, 20.0), done)
    assert found.stages == (StageEstimate("masks", 0, "photographs"),) and found.seconds == (0, 0)


def test_crops_shrink_with_the_photographs() -> None:
    config = shrunk(RunConfig(student_training=StudentTrainingConfig(crop=512)), 160, 640)
    assert (config.image.long_side, config.classifier.crop, config.student_training.crop) == (160, 72, 128)
    assert shrunk(RunConfig(), 640, 640) == RunConfig()
    tiny = shrunk(RunConfig(), 32, 640)  # RunConfig refuses crops that are too small
    assert tiny.classifier.crop == 2 * tiny.wss.output_stride


def test_a_plan_is_of_the_rest_of_a_run_and_writes_nothing(fresh: Any, contents: Any) -> None:
    data = FolderDataSet(fresh.data)
    whole = plan(data, fresh.out, CONFIG)
    assert not fresh.out.exists() and whole.estimate is not None
    assert [(one.name, one.amount > 0) for one in whole.work] == [
        ("classifier", True), ("survey", True), ("masks", True)
    ]  # fmt: skip
    run(data, fresh.out, CONFIG)
    first = data.samples[0].name
    (fresh.out / "masks" / f"{first}.png").unlink()
    before = contents(fresh.out)
    rest = plan(data, fresh.out, CONFIG)
    assert contents(fresh.out) == before and rest.estimate is not None
    amounts = {one.name: one.amount for one in rest.estimate.stages}
    assert amounts["masks"] == 1 and amounts["classifier"] == 0
    assert rest.estimate.seconds[1] < whole.estimate.seconds[1] or rest.estimate.stages[0].seconds == 0
    (fresh.out / "run.json").write_text("{}")
    with pytest.raises(OutputError):
        plan(data, fresh.out, CONFIG)


def test_a_long_run_on_a_cpu_is_told_of_a_smaller_recipe() -> None:
    long = Estimate((StageEstimate("masks", 1, "photographs", LONG + 1),), 1.0, 0.0, 1, 1.0, 0)
    (text,) = advice(RunConfig(), "cpu", long)
    assert "--recipe small" in text
    assert not list(advice(RunConfig(), "cuda", long)) and not list(advice(RunConfig(), "cpu", None))
    from dhr.api.settings import run_settings

    (text,) = advice(run_settings("small")[0], "cpu", long)
    assert "--recipe" not in text and "--image.long-side" in text
    (text,) = advice(RunConfig(), "cpu", None, missing=True)
    assert "--wss.weights FILE" in text and "--recipe small" in text and "mobilenetv2_100" in text


def test_short_work_is_not_measured() -> None:
    assert is_short([Work("masks", 199, "photographs", 199), Work("classifier", 240, "crops", 30)])
    assert not is_short([Work("masks", 200, "photographs", 200, fresh=200)])
    assert is_short([Work("masks", 200, "photographs", 200)]), "from drafts"
    assert not is_short([Work("masks", 2000, "photographs", 2000)])
    assert not is_short([Work("masks", 30, "photographs", 30), Work("student", 9000, "crops", 30)])
