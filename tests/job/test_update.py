"""Corrections go back into a run: it learns from them, and makes the other masks again."""

import shutil
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhr as library
from dhr.corrections import Correction, Corrections
from dhr.data import FolderDataSet
from dhr.data.images import read_mask
from dhr.data.palette import class_palette
from dhr.job import mask_files as mask_module
from dhr.job.drafts import Drafts
from dhr.job.folder import OutputFolder
from dhr.job.kept import Space
from dhr.job.survey import plan
from dhr.records.item import read_item
from dhr.records.run import read_run


class Killed(BaseException):
    """Ends a run as a kill would, without a chance to clean up."""


def mend(case: Any, names: Sequence[str], tags: Sequence[str] | None = None) -> None:
    """Save the ground truth of photographs as corrections."""
    data, store = FolderDataSet(case.data), Corrections.of(case.out)
    labels = {name: number for number, name in enumerate(data.classes.names)}
    for sample in data.samples:
        if sample.name in names:
            given = tuple(data.classes.names[tag] for tag in sample.tags)
            made = Correction("mended", data.digest(sample), given, given if tags is None else tuple(tags), labels)
            store.save(sample.name, made, data.read_ground_truth(sample), class_palette(data.classes), expected=0)


def names_of(case: Any) -> list[str]:
    return sorted(sample.name for sample in FolderDataSet(case.data).samples)


def update(case: Any, *more: str) -> list[str]:
    return ["update", "--run", str(case.out), *more]


def masks(made: Any, out: Path) -> dict[str, Any]:
    return {name: content for name, content in made(out).items() if name.startswith("masks/")}


def test_a_correction_changes_the_survey_and_stays_as_it_is(
    finished: Any, dhr: Any, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dhr.method.survey_fit.contrast", lambda *_: 0.5)  # that of so few photographs is 0
    before, first, *_ = made(finished.out), *names_of(finished)
    mend(finished, [first])
    ended = dhr(update(finished, "--dry-run"))
    assert ended.code == 0 and "survey" in ended.out and "classifier" not in ended.out.partition("stage")[2]
    assert dhr(update(finished)).code == 0
    after, data = made(finished.out), FolderDataSet(finished.data)
    assert after["survey.safetensors"] != before["survey.safetensors"]
    assert after["classifier.safetensors"] == before["classifier.safetensors"]
    sample = next(one for one in data.samples if one.name == first)
    assert np.array_equal(read_mask(finished.out / "masks" / f"{first}.png"), data.read_ground_truth(sample))
    changed = {}
    for name in names_of(finished)[1:]:
        old, new = before[f"masks/{name}.png"], after[f"masks/{name}.png"]
        item = read_item(finished.out / "items" / f"{name}.json")
        assert item is not None and item.changed is not None
        assert (item.changed > 0) == (old != new)
        changed[name] = item.changed
    taught = read_run(finished.out / "run.json").taught
    assert taught is not None and taught.masks == 1
    assert taught.pixels == sum(changed.values()) and taught.changed == sum(map(bool, changed.values()))
    many, pixels = sum(map(bool, changed.values())), sum(changed.values())
    assert many > 0
    share = 100 * pixels / sum(read_mask(finished.out / "masks" / f"{name}.png").size for name in changed)
    told = f"{many} of 4 other masks changed, in {share:.1f} % of their pixels ({pixels:,})."
    assert f"The survey has learned from 1 corrected mask. {told}" in finished.record()["notes"]
    assert not (finished.out / "work" / "before").exists()


@pytest.mark.parametrize("trust", [0.0, 0.5])
def test_a_survey_without_weight_is_reported(
    trust: float, finished: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend(finished, names_of(finished)[:1])
    monkeypatch.setattr("dhr.method.survey_fit.contrast", lambda *_: trust)
    assert dhr(update(finished)).code == 0
    notes = finished.record()["notes"]
    assert any("change no other mask, because the survey has no weight" in note for note in notes) == (trust == 0)
    told = next(note for note in notes if "learned from 1 corrected mask" in note)
    assert ("0 of 4 other masks changed." in told) == (trust == 0)


def test_a_second_update_makes_nothing(finished: Any, dhr: Any) -> None:
    mend(finished, names_of(finished)[:1])
    assert dhr(update(finished)).code == 0
    times = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*") if path.is_file()}
    assert "nothing would be done" in dhr(update(finished, "--dry-run")).out
    result = library.update(finished.out)
    assert (result.new, result.made) == (0, 5)
    assert "nothing new was learned" in " ".join(result.notes)
    assert dhr(finished.run()).code == 0
    same = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*") if path.is_file()}
    assert {path.name for path in same if same[path] != times.get(path)} <= {"lock", "run.lock"}


def test_an_update_runs_no_network_and_a_continued_run_ends_with_the_same_masks(
    finished: Any, dhr: Any, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend(finished, names_of(finished)[:2])
    shutil.copytree(finished.out, tmp_path / "continued")
    shutil.copytree(finished.out, tmp_path / "bare")
    with monkeypatch.context() as patch:
        patch.setattr("dhr.job.drafts.Drafts.__call__", lambda *_: pytest.fail("a network ran"))
        assert dhr(update(finished)).code == 0
    continued = type(finished)(finished.data, tmp_path / "continued")
    assert dhr(continued.run()).code == 0
    expected = masks(made, finished.out)
    assert masks(made, continued.out) == expected
    shutil.rmtree(tmp_path / "bare" / "work" / "survey")
    assert dhr(["update", "--run", str(tmp_path / "bare")]).code == 0
    assert masks(made, tmp_path / "bare") == expected


def test_an_update_that_was_killed_ends_with_the_same_bytes(
    finished: Any, dhr: Any, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mend(finished, names_of(finished)[:1])
    shutil.copytree(finished.out, tmp_path / "whole")
    assert dhr(["update", "--run", str(tmp_path / "whole")]).code == 0
    write, calls = mask_module.write_json, []

    def killed(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        write(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(mask_module, "write_json", killed)
        dhr(update(finished))
    assert finished.record()["status"] == "running"
    assert dhr(update(finished)).code == 0
    assert made(finished.out) == made(tmp_path / "whole")
    assert read_run(finished.out / "run.json").taught == read_run(tmp_path / "whole" / "run.json").taught


def test_withdrawn_corrections_are_forgotten(finished: Any, dhr: Any, made: Any) -> None:
    before, first, *_ = masks(made, finished.out), *names_of(finished)
    mend(finished, [first])
    assert dhr(update(finished)).code == 0
    assert masks(made, finished.out) != before
    Corrections.of(finished.out).withdraw(first, expected=1)
    ended = dhr(update(finished))
    assert ended.code == 0 and "has no accepted or mended masks" in ended.out
    assert masks(made, finished.out) == before
    assert read_run(finished.out / "run.json").taught is None


def test_corrected_tags_train_no_network_in_an_update(finished: Any, dhr: Any, made: Any) -> None:
    data, before = FolderDataSet(finished.data), made(finished.out)
    sample = max(data.samples, key=lambda one: len(one.tags))
    truth = data.read_ground_truth(sample)
    shown = [data.classes.names[number] for number in np.unique(truth).tolist() if number != 255]
    unused = next(name for name in data.classes.names if name not in shown)
    mend(finished, [sample.name], [*shown, unused])
    assert dhr(update(finished)).code == 0
    after = made(finished.out)
    assert after["classifier.safetensors"] == before["classifier.safetensors"]
    assert after["survey.safetensors"] != before["survey.safetensors"]
    assert after[f"items/{sample.name}.json"]["tags"] == [
        name for name in data.classes.names if name in {*shown, unused}
    ]


def test_a_mask_that_another_program_changed_teaches_as_well(finished: Any, dhr: Any, made: Any) -> None:
    before, first, *_ = made(finished.out), *names_of(finished)
    shutil.copyfile(finished.data / "truth" / f"{first}.png", finished.out / "masks" / f"{first}.png")
    assert dhr(update(finished)).code == 0
    assert made(finished.out)["survey.safetensors"] != before["survey.safetensors"]
    assert read_run(finished.out / "run.json").taught is not None
    times = (finished.out / "survey.safetensors").stat().st_mtime_ns
    assert dhr(update(finished)).code == 0
    assert (finished.out / "survey.safetensors").stat().st_mtime_ns == times


def test_without_a_survey_it_says_that_nothing_is_learnt(finished: Any, dhr: Any, made: Any) -> None:
    assert dhr(finished.run("--method.survey", "0", "--redo", "masks")).code == 0
    before = masks(made, finished.out)
    first, *others = names_of(finished)
    mend(finished, [first])
    assert "method.survey is 0" in dhr(update(finished)).out
    assert all(masks(made, finished.out)[f"masks/{name}.png"] == before[f"masks/{name}.png"] for name in others)


def test_a_folder_of_another_version_is_refused(finished: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mend(finished, names_of(finished)[:1])
    monkeypatch.setattr(library, "__version__", "99.0")
    ended = dhr(update(finished))
    assert ended.code == 2 and "dhr was" in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize("space", ["8GB", "one"])
def test_an_update_runs_no_network_for_photographs_beyond_the_survey(
    space: str, fresh: Any, dhr: Any, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage of the masks keeps the drafts of photographs that the survey did not look at, while there is space."""
    few = partial(plan, per_class=1)
    monkeypatch.setattr("dhr.job.survey.plan", few)
    monkeypatch.setattr("dhr.job.stages.plan", few)
    samples = FolderDataSet(fresh.data).samples
    looked_at, _ = few(samples, 3, False)
    assert 0 < len(looked_at) < len(samples)
    others = {sample.name for sample in samples} - {sample.name for sample in looked_at}
    if space == "one":  # one more than the survey needs
        monkeypatch.setattr(Space, "take", lambda self, size: next(turns) <= len(looked_at))
    turns = count()
    assert dhr(fresh.run()).code == 0
    drafts = {path.stem for path in (fresh.out / "work" / "survey").rglob("*.safetensors")}
    assert len(drafts & others) == (len(others) if space == "8GB" else 1)
    assert not [*(fresh.out / "work").glob("before/*")]
    mend(fresh, [looked_at[0].name])
    shutil.copytree(fresh.out, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "work")
    computed, compute = [], Drafts.__call__

    def counted(self: Any, batch: Any) -> Any:
        computed.extend(one.sample.name for one in batch)
        return compute(self, batch)

    monkeypatch.setattr(Drafts, "__call__", counted)
    assert dhr(update(fresh)).code == 0
    assert not computed if space == "8GB" else {*computed} <= others
    assert dhr(["update", "--run", str(tmp_path / "bare")]).code == 0
    assert masks(made, tmp_path / "bare") == masks(made, fresh.out)


def test_drafts_on_disk_have_their_part_of_the_space(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    assert Space.of(folder, 0) == Space(0)
    folder.survey_cells("trip/a").parent.mkdir(parents=True)
    folder.survey_cells("trip/a").write_bytes(bytes(700))
    space = Space.of(folder, 1000)
    assert space.taken == 700 and not space.take(301) and space.full and space.take(300) and not space.full
