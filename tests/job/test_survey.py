"""The first pass of a run: killed, damaged, and left out."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import interpolate

from dhr.data.samples import ClassTable, Sample
from dhr.features.pack import pack
from dhr.job import drafts
from dhr.job import survey as module
from dhr.job.drafts import Drafts, drafted, surveyed
from dhr.job.kept import Kept
from dhr.job.maps import Maps
from dhr.job.masks import MaskMaker
from dhr.job.settings import RunConfig
from dhr.method.config import PRESETS
from dhr.method.order import take_classes
from dhr.method.survey import Survey, agreed
from dhr.method.swaps import Swap
from dhr.ops.discriminant import Discriminant
from dhr.types import Rebalanced


def masks_and_networks(made: dict[str, Any]) -> dict[str, Any]:
    """All but the records, which hold the paths of the photographs."""
    return {name: content for name, content in made.items() if not name.startswith("items/")}


def test_a_pass_that_was_interrupted_ends_with_the_same_bytes(
    finished: Any, dhr: Any, made: Any, new_case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, alone = new_case(finished.data, tmp_path / "second"), ("--batch", "1")
    compute, calls = drafts.drafted, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(arguments[1][0].name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return compute(*arguments)

    monkeypatch.setattr(drafts, "drafted", interrupted)
    assert dhr(case.run(*alone)).code == 130
    kept = sorted((case.out / "work" / "survey").rglob("*.safetensors"))
    assert len(kept) == 3 and not (case.out / "survey.safetensors").exists()
    kept[0].write_bytes(kept[0].read_bytes()[:-1])  # damaged: computed again
    assert dhr(case.run(*alone)).code == 0
    assert len(calls) == 4 + 3
    assert masks_and_networks(made(case.out)) == masks_and_networks(made(finished.out))
    assert len([*(case.out / "work" / "survey").rglob("*.safetensors")]) == 5, "drafts stay for an update"


def test_a_damaged_survey_is_named_and_a_mask_made_again_is_the_same(finished: Any, dhr: Any, made: Any) -> None:
    before = masks_and_networks(made(finished.out))
    next((finished.out / "masks").glob("*.png")).unlink()
    assert dhr(finished.run()).code == 0
    assert masks_and_networks(made(finished.out)) == before
    next((finished.out / "masks").glob("*.png")).unlink()
    (finished.out / "survey.safetensors").write_bytes(b"nothing")
    ended = dhr(finished.run())
    assert ended.code == 2 and "survey.safetensors" in ended.err and ended.err.count("\n") == 1
    (finished.out / "survey.safetensors").unlink()
    assert dhr(finished.run()).code == 0
    assert masks_and_networks(made(finished.out)) == before


def test_the_record_and_the_report_tell_what_the_data_decided(finished: Any, dhr: Any) -> None:
    record = finished.record()
    found, told = load_file(finished.out / "survey.safetensors"), record["survey"]
    assert told["trust"] == round(float(found["trust"]), 3) and (told["weight"] > 0) == (told["trust"] > 0)
    assert [*told["agreement"]] == record["classes"]
    assert [*told["agreement"].values()] == pytest.approx(found["agreement"].tolist(), abs=6e-4)
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    assert f"weight {told['weight']:.2f}, trust {told['trust']:.2f}" in page
    next((finished.out / "masks").glob("*.png")).unlink()
    assert dhr(finished.run()).code == 0
    assert finished.record()["survey"] == told
    lines = (finished.data / "tags.csv").read_text().splitlines()
    (finished.data / "tags.csv").write_text("\n".join(lines[:-1]) + "\n")
    gone = lines[-1].partition(",")[0]
    (finished.data / "images" / gone).unlink()
    (finished.data / "truth" / gone).unlink()
    assert dhr(finished.run("--keep-classifier")).code == 0
    assert finished.record()["survey"] is not None


def test_without_weight_there_is_no_survey(finished: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    case = new_case(finished.data, tmp_path / "second")
    assert dhr(case.run("--method.survey", "0")).code == 0
    assert not (case.out / "survey.safetensors").exists()


def test_enough_photographs_of_each_class_are_looked_at() -> None:
    samples = [Sample(f"{index:03}", "", (0, 1 + index % 3) if index else (0, 4), False) for index in range(300)]
    found = module.chosen(samples, per_class=10)
    counts = Counter(tag for sample in found for tag in sample.tags)
    assert counts[4] == 1 and all(counts[tag] >= 10 for tag in range(4))
    assert len(found) <= 31 and len(set(found)) == len(found)
    assert module.chosen(samples[::-1], per_class=10) == found
    assert set(module.chosen(samples)) == set(samples)


@pytest.mark.parametrize("background", [False, True])
def test_a_student_has_a_say_beside_the_survey(background: bool) -> None:
    random = torch.Generator().manual_seed(0)
    uss = torch.rand(1, 4, 8, 8, generator=random)
    classes, sample = ClassTable(("a", "b", "c", "d"), background), Sample("one", "", (3, 1), False)
    known = Discriminant(torch.randn(4, 4, generator=random), torch.zeros(4), torch.ones(4))
    survey = Survey(known, trust=1.0, agreement=torch.ones(4).double())
    views = torch.rand(1, 2 + background, 16, 16, generator=random)  # on a finer grid
    image = torch.rand(1, 3, 32, 32, generator=random)
    alone = surveyed(survey, uss, None, classes, [sample], image)
    both = surveyed(survey, uss, views, classes, [sample], image)
    fine = interpolate(views, (8, 8), mode="bilinear", align_corners=False)
    expected = agreed(alone.flatten(2), fine.flatten(2)).view_as(alone)
    assert both.shape == (1, 2 + background, 8, 8) and not torch.equal(both, alone)
    torch.testing.assert_close(both, expected)


def test_of_many_photographs_each_gives_some_cells() -> None:
    random = torch.Generator().manual_seed(0)
    maps = Maps(
        torch.rand(1, 3, 64, 64, generator=random), torch.rand(1, 2, 16, 16, generator=random),
        torch.randn(1, 8, 16, 16, generator=random), torch.randn(1, 6, 16, 16, generator=random), None,
    )  # fmt: skip
    classes = ClassTable(("a", "b", "c"), False)
    sample, config = Sample("one", "", (0, 2), False), RunConfig()
    made = Kept((sample,), drafted(maps, [sample], classes, config), (pack(maps.uss),))
    whole = module.draw_cells(made, classes, 256)
    assert whole.features.shape == (8, 256) and whole.ids.tolist() == [0, 2]
    part = module.draw_cells(made, classes, 100)
    assert part.features.shape == (8, 100) and part.scores.shape == (2, 100)
    columns = {tuple(column) for column in whole.features.T.tolist()}
    assert all(tuple(column) in columns for column in part.features.T.tolist())


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 3000), st.integers(1, 100), st.integers(1, 5), st.sampled_from([3, 384, 3072, 20_000]),
    st.booleans(), st.sampled_from([1 << 16, 1 << 22, 1 << 30]),
)  # fmt: skip
def test_what_is_kept_fits_into_the_memory_at_any_size(
    count: int, classes: int, tags: int, dim: int, background: bool, memory: int
) -> None:
    samples = [
        Sample(f"{index}", "", tuple(sorted({(index + 7 * tag) % classes for tag in range(tags)})), False)
        for index in range(count)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MEMORY", memory)
        looked_at, cells = module.plan(samples, dim, background)
    kept = sum(2 * cells * (dim + len(sample.tags) + background) for sample in looked_at)
    assert kept <= memory
    assert bool(looked_at) == (cells > 0)
    seen = {tag for sample in looked_at for tag in sample.tags}
    assert not looked_at or seen == {tag for sample in samples for tag in sample.tags}, "every class is looked at"
    everything = module.chosen(samples)
    if 2 * 16 * (dim + tags + 1) * len(everything) <= memory:
        assert looked_at == everything and cells >= 16
    if looked_at:  # no room is wasted: another cell of each would not fit
        assert kept + sum(2 * (dim + len(sample.tags) + background) for sample in looked_at) > memory


def test_fifty_thousand_photographs_fit_and_a_few_hundred_give_all_their_cells() -> None:
    many = [Sample(f"{index:05}", "", (index // 200, (index // 200 + 1) % 255), False) for index in range(51_000)]
    for dim in (384, 1024, 2816):
        looked_at, cells = module.plan(many, dim, True)
        assert cells >= 16 and 2 * cells * (dim + 3) * len(looked_at) <= 1 << 30
        assert len(looked_at) * cells > 100_000
    few, cells = module.plan(many[:: 51_000 // 331][:331], 384, True)
    assert len(few) == 331 and cells > 64 * 64  # cells of a grid


SWAP = Swap(1, 3, evidence=-0.3, consistency=0.4, joint=9, deciding=3)


class Alone:
    """A maker of masks without networks: of drafts that are there."""

    def __init__(self, background: bool, given: bool = False, second: bool = False) -> None:
        self.classes = ClassTable(("a", "b", "c", "d"), background)
        prior = {"b": 0.3} if given else {}
        self.config = RunConfig(
            method=replace(PRESETS["default"], prior=prior, marginal="prior" if given else "estimated")
        )
        data, models = SimpleNamespace(classes=self.classes), SimpleNamespace(sam=None)
        made = object.__new__(Drafts)  # its fields are checked, and these have no networks
        for name, value in {"models": models, "data": data, "config": self.config, "second": second}.items():
            object.__setattr__(made, name, value)
        random = torch.Generator().manual_seed(1)
        known = Discriminant(torch.randn(4, 4, generator=random), torch.zeros(4), torch.ones(4))
        self.maker = MaskMaker(made, Survey(known, 1.0, torch.ones_like(known.known).double(), (SWAP,)))

    def made(self, cams: torch.Tensor, samples: list[Sample], held: torch.Tensor | None = None) -> Kept:
        random = torch.Generator().manual_seed(2)
        count = len(samples)
        images = torch.rand(count, 3, 32, 32, generator=random)
        uss = torch.rand(count, 4, 8, 8, generator=random)
        maps = Maps(images, cams, uss, torch.rand(count, 5, 8, 8, generator=random))
        draft = drafted(maps, samples, self.classes, self.config, held)
        self.images = images
        return Kept(tuple(samples), draft, tuple(pack(one[None]) for one in uss))

    def result(self, made: Kept) -> Rebalanced:
        return self.maker.finish(made, self.images)


@pytest.mark.parametrize("background", [False, True])
def test_masks_of_exchanged_classes_are_those_of_exchanged_maps(background: bool) -> None:
    samples = [Sample("both", "", (1, 2, 3), False), Sample("one", "", (1, 2), False)]
    random = torch.Generator().manual_seed(0)
    cams = torch.rand(2, 3, 8, 8, generator=random) * torch.tensor([[1, 1, 1], [1, 1, 0]])[:, :, None, None]
    right = cams.clone()
    right[0] = cams[0, [2, 1, 0]]
    maker = Alone(background)
    found = maker.result(maker.made(cams, samples))
    plain = replace(maker.maker, survey=replace(maker.maker.survey, swaps=()))
    expected = plain.finish(maker.made(right, samples), maker.images)
    for name in ("mask", "scores", "joined", "intra", "base", "quality", "groups", "activation"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert not torch.equal(found.mask, plain.finish(maker.made(cams, samples), maker.images).mask)

    held = torch.zeros(1, 3 + background, 32, 32)
    held[0, int(background), :9, :9] = 1  # drawn as class 1
    places = maker.maker.exchange(samples[:1], cams.device)
    drawn = maker.result(maker.made(cams[:1], samples[:1], take_classes(held, places)))
    expected = plain.finish(maker.made(right[:1], samples[:1], held), maker.images)
    assert torch.equal(drawn.mask, expected.mask) and torch.equal(drawn.scores, expected.scores)
    assert (drawn.mask[0, :9, :9] == int(background)).all()


@pytest.mark.parametrize("options", [{"given": True}, {"second": True}])
def test_maps_of_a_student_and_with_given_shares_are_not_exchanged(options: dict[str, bool]) -> None:
    maker = Alone(background=False, **options)
    assert maker.maker.swaps == () and Alone(background=False).maker.swaps == (SWAP,)
