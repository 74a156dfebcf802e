"""Runs whose photographs, tags, classes, settings or masks changed: what is made again, and what stays."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.corrections import Correction, Corrections
from dhr.data import FolderDataSet
from dhr.data.images import read_mask, write_mask
from dhr.data.palette import palette
from dhr.job.changes import ORDER, PhotographChanges
from dhr.job.dry_run import dry_run
from dhr.job.settings import RunConfig
from dhr.models.config import UssConfig, WssConfig
from dhr.train.config import ClassifierConfig

KEEP = "--keep-classifier"
CONFIG = RunConfig(
    wss=WssConfig(backbone="test_resnet", weights="none", scales=(1.0,)),
    classifier=ClassifierConfig(epochs=2, batch=3, crop=32),
    uss=UssConfig(kind="colour", weights="none", scales=(1.0,)),
)


def names(case: Any) -> list[str]:
    """Names of the photographs, in order."""
    return [sample.name for sample in FolderDataSet(case.data).samples]


def retag(case: Any, name: str) -> None:
    """Take a photograph's last tag away, or give it one more."""
    lines = (case.data / "tags.csv").read_text().splitlines()
    known = (case.data / "classes.txt").read_text().split()
    for number, line in enumerate(lines):
        if line.startswith(f"{name}.png,"):
            tags = line.split(",")[1].split(";")
            other = tags[:-1] or [*tags, next(one for one in known[1:] if one not in tags)]
            lines[number] = f"{name}.png,{';'.join(other)}"
    (case.data / "tags.csv").write_text("\n".join(lines) + "\n")


def remove(case: Any, name: str) -> None:
    """Take a photograph away, with its line of tags."""
    (case.data / "images" / f"{name}.png").unlink()
    lines = [line for line in (case.data / "tags.csv").read_text().splitlines() if not line.startswith(f"{name}.png,")]
    (case.data / "tags.csv").write_text("\n".join(lines) + "\n")


def add(case: Any, name: str) -> None:
    """Add a photograph: an old one, mirrored, with its tags."""
    from PIL import Image, ImageOps

    old = names(case)[0]
    with Image.open(case.data / "images" / f"{old}.png") as image:
        ImageOps.mirror(image).save(case.data / "images" / f"{name}.png")
    table = (case.data / "tags.csv").read_text()
    line = next(line for line in table.splitlines() if line.startswith(f"{old}.png,"))
    (case.data / "tags.csv").write_text(f"{table}{line.replace(old, name, 1)}\n")


def correct(case: Any, name: str) -> np.ndarray:
    """Change a mask as a person would with another program; its new labels."""
    path = case.out / "masks" / f"{name}.png"
    labels = read_mask(path).copy()
    labels[:4, :4] = labels.max()
    labels[4:8, :4] = labels.min()
    write_mask(path, np.flipud(labels))
    return np.flipud(labels)


def reject(case: Any, name: str) -> None:
    """Reject a photograph in review."""
    data = FolderDataSet(case.data)
    sample = next(one for one in data.samples if one.name == name)
    given = tuple(data.classes.names[tag] for tag in sample.tags)
    labels = {tag: data.classes.names.index(tag) for tag in given}
    made = Correction("rejected", data.digest(sample), given, given, labels)
    Corrections.of(case.out).save(name, made, None, palette(), expected=0)


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Identity and time of each mask's file."""
    found = {path.relative_to(folder).as_posix(): path.stat() for path in (folder / "masks").rglob("*.png")}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


def remade(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Names of masks that were written anew."""
    return {
        Path(name).relative_to("masks").with_suffix("").as_posix() for name in after if after[name] != before.get(name)
    }


def test_the_words_of_changes_count() -> None:
    found = PhotographChanges(new=("a", "b"), gone=("c",), retagged=("d", "e", "f"))
    assert str(found) == "3 photographs have other tags, 2 are new, 1 is gone"
    assert str(PhotographChanges(replaced=("a",))) == "1 photograph has other content"


def test_a_changed_tag_trains_again_and_ends_as_a_new_run(
    finished: Any, dhr: Any, new_case: Any, made: Any, tmp_path: Path
) -> None:
    retag(finished, names(finished)[0])
    ended = dhr(finished.run())
    assert ended.code == 0, ended.err
    assert "1 photograph has other tags; made again: classifier, survey, masks." in " ".join(ended.out.split())
    assert "delete" not in ended.out
    assert dhr(new_case(finished.data, tmp_path / "new").run()).code == 0
    here, there = made(finished.out), made(tmp_path / "new")
    assert all(here[name] == there[name] for name in there if not name.startswith("items/"))
    before = written(finished.out)
    again = dhr(finished.run())
    assert again.code == 0 and written(finished.out) == before  # without changes nothing is done


def test_a_kept_classifier_makes_only_the_masks_that_changed(finished: Any, dhr: Any) -> None:
    first, second, gone, *_ = names(finished)
    kept = {name: (finished.out / name).read_bytes() for name in ("classifier.safetensors", "survey.safetensors")}
    before = written(finished.out)
    retag(finished, first)
    add(finished, "more")
    remove(finished, gone)
    planned = dhr(finished.run("--dry-run"))
    assert planned.code == 0 and planned.out.count("made again") == 1  # the table does not repeat the list
    ended = dhr(finished.run(KEEP))
    assert ended.code == 0, ended.err
    text = " ".join(ended.out.split())
    assert "Note: 1 photograph has other tags, 1 is new, 1 is gone" in text and "kept: classifier, survey." in text
    assert {name: (finished.out / name).read_bytes() for name in kept} == kept
    assert remade(before, written(finished.out)) == {first, "more"}
    assert not (finished.out / "masks" / f"{gone}.png").exists()
    for kind in ("masks", "stages/seed"):
        assert (finished.out / "gone" / kind / f"{gone}.png").is_file()
    assert (finished.out / "gone" / "items" / f"{gone}.json").is_file() and gone in text
    settled = written(finished.out)
    assert dhr(finished.run()).code == 0 and written(finished.out) == settled  # nor is anything trained now
    assert second in names(finished)


def test_a_changed_photograph_is_made_again(finished: Any, dhr: Any) -> None:
    name = names(finished)[0]
    path = finished.data / "images" / f"{name}.png"
    path.write_bytes((finished.data / "images" / f"{names(finished)[1]}.png").read_bytes())
    before = written(finished.out)
    ended = dhr(finished.run(KEEP))
    assert ended.code == 0, ended.err
    assert "1 photograph has other content" in " ".join(ended.out.split())
    assert remade(before, written(finished.out)) == {name}


def test_a_classifier_by_file_is_not_trained(finished: Any, dhr: Any, new_case: Any, tmp_path: Path) -> None:
    shutil.copy(finished.out / "classifier.safetensors", tmp_path / "given.safetensors")
    case = new_case(finished.data, tmp_path / "other")
    call = case.run("--classifier.file", str(tmp_path / "given.safetensors"))
    assert dhr(call).code == 0
    retag(case, names(case)[0])
    ended = dhr(call)
    assert ended.code == 0 and "made again: survey, masks." in " ".join(ended.out.split())
    assert not (case.out / "classifier.safetensors").exists()


def test_a_changed_class_table_makes_everything_again(finished: Any, dhr: Any) -> None:
    table = finished.data / "classes.txt"
    table.write_text(table.read_text() + "unicorn\n")
    refused = dhr(finished.run(KEEP))
    assert refused.code == 2 and "one output per class" in refused.err and refused.err.count("\n") == 1
    before = written(finished.out)
    ended = dhr(finished.run())
    assert ended.code == 0, ended.err
    assert "the class table changed" in ended.out.lower().replace("\n", " ")
    assert len(remade(before, written(finished.out))) == 5
    assert finished.record()["classes"][-1] == "unicorn"


def test_other_photographs_are_refused(finished: Any, dhr: Any) -> None:
    before = written(finished.out)
    for number, name in enumerate(names(finished)):
        (finished.data / "images" / f"{name}.png").rename(finished.data / "images" / f"other{number}.png")
    lines = (finished.data / "tags.csv").read_text().splitlines()
    lines = [lines[0], *(f"other{number}.png,{line.split(',')[1]}" for number, line in enumerate(lines[1:]))]
    (finished.data / "tags.csv").write_text("\n".join(lines))
    ended = dhr(finished.run())
    assert ended.code == 2 and "holds another run" in ended.err and "--out" in ended.err
    assert written(finished.out) == before


# Settings


def test_changed_settings_name_the_stage_to_redo(finished: Any, dhr: Any) -> None:
    for setting, value, stage in (
        ("--classifier.epochs", "3", "classifier"),
        ("--method.tau", "0.5", "survey"),
        ("--boundary.kind", "none", "masks"),
        ("--wss.output-stride", "8", "classifier"),
        ("--seed", "1", "classifier"),
    ):
        ended = dhr(finished.run(f"{setting}={value}"))
        assert ended.code == 2 and ended.err.count("\n") == 1
        assert f"--redo {stage}" in ended.err and "--out" in ended.err and "delete" not in ended.err, ended.err
    ended = dhr(finished.run("--method.tau", "0.5", "--redo", "masks"))
    assert ended.code == 2 and "this concerns the stage survey: give --redo survey" in ended.err


def test_redo_makes_a_stage_and_all_after_it_again(
    finished: Any, dhr: Any, new_case: Any, made: Any, tmp_path: Path
) -> None:
    kept = (finished.out / "classifier.safetensors").read_bytes()
    assert dhr(finished.run("--method.tau", "0.5", "--redo", "survey")).code == 0
    assert (finished.out / "classifier.safetensors").read_bytes() == kept
    assert (finished.out / "gone" / "survey.safetensors").is_file()
    assert finished.record()["identity"]["settings"]["method"]["tau"] == 0.5
    assert dhr(new_case(finished.data, tmp_path / "new").run("--method.tau", "0.5")).code == 0
    here, there = made(finished.out), made(tmp_path / "new")
    assert all(here[name] == there[name] for name in there if not name.startswith("items/"))
    before = written(finished.out)
    assert dhr(finished.run("--method.tau", "0.5")).code == 0 and written(finished.out) == before
    assert dhr(finished.run("--method.tau", "0.5", "--redo", "masks")).code == 0
    assert len(remade(before, written(finished.out))) == 5


def test_another_version_can_be_gone_on_with_by_redo(finished: Any, dhr: Any) -> None:
    path = finished.out / "run.json"
    record = json.loads(path.read_text())
    record["identity"]["libraries"]["torch"] = "0.1"
    path.write_text(json.dumps(record))
    ended = dhr(finished.run())
    assert ended.code == 2 and "libraries.torch was 0.1" in ended.err and "--redo masks" in ended.err
    assert dhr(finished.run("--redo", "masks")).code == 0


def test_redo_of_no_stage_is_refused(finished: Any, dhr: Any) -> None:
    ended = dhr(finished.run("--redo", "everything"))
    assert ended.code == 2 and all(stage in ended.err for stage in ORDER)
    ended = dhr(finished.run("--redo", "classifier", KEEP))
    assert ended.code == 2 and "give one of them" in ended.err


# Masks that a person touched


def test_touched_masks_stay(finished: Any, dhr: Any) -> None:
    first, second, *_ = names(finished)
    content = correct(finished, first)
    ended = dhr(finished.run())
    assert ended.code == 0 and "1 mask was changed by another program, and became a corr" in " ".join(ended.out.split())
    store, mask = Corrections.of(finished.out), finished.out / "masks" / f"{first}.png"
    saved = store.read(first)
    assert saved is not None and (saved.state, saved.source, saved.revision) == ("mended", "edited", 1)
    assert np.array_equal(store.mask(first), content) and np.array_equal(read_mask(mask), content)
    again = dhr(finished.run())
    assert again.code == 0 and "1 mask of a person stays as it is (1 mended)" in " ".join(again.out.split())
    retag(finished, second)
    assert dhr(finished.run()).code == 0
    assert dhr(finished.run("--redo", "classifier")).code == 0
    assert np.array_equal(read_mask(mask), content) and store.read(first) == saved
    later = correct(finished, first)
    assert dhr(finished.run()).code == 0
    assert np.array_equal(store.mask(first), later) and np.array_equal(read_mask(mask), later)


def test_a_correction_of_a_changed_photograph_is_kept_apart(finished: Any, dhr: Any) -> None:
    first = names(finished)[0]
    content = correct(finished, first)
    retag(finished, first)
    ended = dhr(finished.run(KEEP))
    told = " ".join(ended.out.split())
    assert ended.code == 0 and "1 correction is outdated and not used" in told
    assert f"{first} (the tags in the data set changed)" in told
    assert np.array_equal(Corrections.of(finished.out).mask(first), content)
    assert not np.array_equal(read_mask(finished.out / "masks" / f"{first}.png"), content)
    settled = written(finished.out)
    assert dhr(finished.run()).code == 0 and written(finished.out) == settled


def test_a_correction_outlives_one_more_class(finished: Any, dhr: Any) -> None:
    first = names(finished)[0]
    content = correct(finished, first)
    table = finished.data / "classes.txt"
    table.write_text(table.read_text() + "unicorn\n")
    assert dhr(finished.run()).code == 0
    assert np.array_equal(read_mask(finished.out / "masks" / f"{first}.png"), content)
    lines = table.read_text().split()
    now = [*lines[::-1]]
    table.write_text("\n".join(now) + "\n")  # ids mean other classes now
    assert dhr(finished.run()).code == 0
    shown = read_mask(finished.out / "masks" / f"{first}.png")
    assert np.array_equal(np.array(now)[shown], np.array(lines)[content])
    assert np.array_equal(Corrections.of(finished.out).mask(first), shown)
    assert (finished.out / "corrections" / "classes.txt").read_text().split() == now


# Dry runs


def test_a_dry_run_writes_nothing_and_names_the_work(fresh: Any) -> None:
    found = dry_run(FolderDataSet(fresh.data), fresh.out, CONFIG)
    assert [(one.name, one.photographs) for one in found.stages] == [("classifier", 5), ("survey", 5), ("masks", 5)]
    assert not fresh.out.exists()


def test_a_dry_run_of_a_changed_run(fresh: Any, contents: Any) -> None:
    from dhr.job.run import run

    run(FolderDataSet(fresh.data), fresh.out, CONFIG)
    before = contents(fresh.out)
    assert dry_run(FolderDataSet(fresh.data), fresh.out, CONFIG).stages == ()
    retag(fresh, names(fresh)[0])
    found = dry_run(FolderDataSet(fresh.data), fresh.out, CONFIG)
    assert [one.name for one in found.stages] == ["classifier", "survey", "masks"]
    assert found.changes is not None and found.changes.startswith("1 photograph has other tags")
    kept = dry_run(FolderDataSet(fresh.data), fresh.out, CONFIG, keep_classifier=True)
    assert [(one.name, one.photographs) for one in kept.stages] == [("masks", 1)]
    assert contents(fresh.out) == before


# Killed in the midst of it

CHANGES: dict[str, tuple[Callable[[Any], object], tuple[str, ...]]] = {
    "tags": (lambda case: retag(case, names(case)[0]), ()),
    "kept": (lambda case: (add(case, "more"), remove(case, names(case)[-2])), (KEEP,)),
    "redo": (lambda case: (correct(case, names(case)[1]), reject(case, names(case)[0])), ("--redo", "survey")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_killed_while_it_goes_on_it_ends_the_same(
    change: str, finished: Any, forks: Any, made: Any, new_case: Any, tmp_path: Path
) -> None:
    alter, options = CHANGES[change]
    alter(finished)
    begun = tmp_path / "begun"
    shutil.copytree(finished.out, begun)
    whole = forks(finished.run(*options), watch="moments")
    assert whole.code == 0, whole.err
    expected, moments = everything(finished.out, made), len(whole.trace)
    assert moments > 20
    for index in range(7):
        case = new_case(finished.data, tmp_path / f"case{index}")
        shutil.copytree(begun, case.out)
        number = 1 + index * (moments - 1) // 7
        killed = forks(case.run(*options), watch="moments", kill_at=number)
        assert killed.code == -signal.SIGKILL, killed.err
        resumed = forks(case.run(*options))
        assert resumed.code == 0, f"killed {killed.trace[-1]}: {resumed.err}"
        assert everything(case.out, made) == expected, f"killed {killed.trace[-1]}"
        assert case.record()["status"] == "finished"


def everything(out: Path, made: Any) -> dict[str, Any]:
    """What a run made, and what it kept apart."""
    apart = {
        path.relative_to(out).as_posix() for part in ("gone", "corrections") for path in (out / part).rglob("*.png")
    }
    return {**made(out), "apart": apart, **{name: (out / name).read_bytes() for name in apart}}
