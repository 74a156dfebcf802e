"""Runs that go on after a person has decided on photographs: what is given back, left out, and made again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.corrections import Correction, Corrections
from dhr.data import FolderDataSet
from dhr.data.images import read_mask
from dhr.data.palette import class_palette
from dhr.job.dry_run import dry_run

KEEP = "--keep-classifier"


def names(case: Any) -> list[str]:
    return [sample.name for sample in FolderDataSet(case.data).samples]


def decide(
    case: Any, name: str, state: Any, mask: np.ndarray | None = None, tags: tuple[str, ...] | None = None
) -> Any:
    """Save a decision as the review page does."""
    data, store = FolderDataSet(case.data), Corrections.of(case.out)
    sample = next(one for one in data.samples if one.name == name)
    given = tuple(data.classes.names[tag] for tag in sample.tags)
    labels = {label: id for id, label in enumerate(data.classes.names)}
    made = Correction(state, data.digest(sample), given, given if tags is None else tags, labels)
    if state == "accepted":
        mask = read_mask(store.machine(name))
    known = store.read(name)
    return store.save(name, made, mask, class_palette(data.classes), expected=known.revision if known else 0)


def drawn(case: Any, name: str) -> np.ndarray:
    """Another mask of a photograph, with pixels of each of its classes, and void."""
    mask = np.flipud(read_mask(Corrections.of(case.out).machine(name))).copy()
    mask[:2, :2] = 255
    return mask


def shown(case: Any, name: str) -> np.ndarray:
    return read_mask(case.out / "masks" / f"{name}.png")


def item(case: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case.out / "items" / f"{name}.json").read_text())
    return found


def told(ended: Any) -> str:
    assert ended.code in (0, 1), ended.err
    return " ".join(ended.out.split())


def test_accepted_masks_change_only_records_without_a_survey(finished: Any, dhr: Any, contents: Any) -> None:
    bare = ("--method.survey", "0")
    assert dhr(finished.run(*bare, "--redo", "survey")).code == 0
    first, second, *_ = names(finished)
    before = contents(finished.out)
    decide(finished, first, "accepted")
    assert shown(finished, first).tobytes() and item(finished, first).get("person") is None
    dry = dhr(finished.run(*bare, "--dry-run"))
    assert "Everything is made" in told(dry) and "with the mask of a person" in told(dry)
    ended = dhr(finished.run(*bare))
    assert "1 mask of a person stays as it is (1 accepted)" in told(ended) and "made again" not in ended.out
    record = item(finished, first)
    assert record["person"] == "accepted" and "quality" not in record
    after = contents(finished.out)
    changed = {name for name in after if after[name] != before.get(name) and not name.startswith("corrections/")}
    assert changed <= {f"items/{first}.json", "run.json", "report.html"}
    again = dhr(finished.run(*bare))
    assert again.code == 0 and contents(finished.out)["run.json"] == after["run.json"]  # nothing is left to record
    assert item(finished, second).get("person") is None


def test_a_mended_mask_teaches_its_tags_and_a_withdrawal_ends_as_before(finished: Any, dhr: Any, made: Any) -> None:
    first = names(finished)[0]
    before, mask = made(finished.out), drawn(finished, first)
    tags = tuple(item(finished, first)["tags"])
    other = tags[:-1] or (*tags, "unicorn")
    decide(finished, first, "mended", mask, other)
    assert np.array_equal(shown(finished, first), mask)  # at once, before any run
    ended = dhr(finished.run())
    assert "1 photograph has other tags, the survey learns from 1 corrected mask" in told(ended)
    assert "made again: classifier, survey, masks." in told(ended)
    record = item(finished, first)
    assert np.array_equal(shown(finished, first), mask) and record["person"] == "mended"
    assert record["tags"] == [*other] and sum(record["ratios"].values()) == pytest.approx((mask < 255).mean(), abs=1e-4)
    machine = Corrections.of(finished.out).machine(first)
    assert machine.read_bytes() == before[f"masks/{first}.png"]
    Corrections.of(finished.out).withdraw(first, expected=1)
    assert "1 photograph has other tags" in told(dhr(finished.run()))
    after = made(finished.out)
    assert {name for name in before if after[name] != before[name] and not name.startswith("items/")} == set()
    assert "person" not in item(finished, first)


def test_a_rejected_photograph_is_left_out_and_keeps_its_mask(
    finished: Any, dhr: Any, new_case: Any, made: Any, tmp_path: Path
) -> None:
    first, *others = names(finished)
    before = shown(finished, first)
    decide(finished, first, "rejected")
    ended = dhr(finished.run())
    assert "1 photograph was rejected in review; made again: classifier, survey" in told(ended)
    note = f"1 photograph left out, because it was rejected in review: {first}."
    assert ended.code == 0 and note in told(ended)  # a person's decision is no fault
    record = finished.record()
    assert record["skipped"] == [] and note in record["notes"]
    assert (record["counts"]["photographs"], record["counts"]["masks"]) == (5, 4)
    for command in (finished.run(), finished.run("--dry-run"), ["update", "--run", str(finished.out)]):
        ended = dhr(command)
        assert ended.code == 0 and note in told(ended)
    assert np.array_equal(shown(finished, first), before)
    without = new_case(tmp_path / "less", tmp_path / "new")
    shutil.copytree(finished.data, without.data)
    (without.data / "images" / f"{first}.png").unlink()
    lines = (without.data / "tags.csv").read_text().splitlines()
    (without.data / "tags.csv").write_text("\n".join(one for one in lines if not one.startswith(first)) + "\n")
    assert dhr(without.run()).code == 0
    here, there = made(finished.out), made(without.out)
    assert all(here[f"masks/{name}.png"] == there[f"masks/{name}.png"] for name in others)
    assert here["classifier.safetensors"] == there["classifier.safetensors"]
    decide(finished, first, "skipped")
    assert "1 photograph is not rejected any more" in told(dhr(finished.run(KEEP)))
    assert "rejected in review" not in told(dhr(finished.run(KEEP)))


def test_outdated_and_damaged_corrections_are_named_and_not_used(finished: Any, dhr: Any) -> None:
    first, second, third, *_ = names(finished)
    before = shown(finished, first)
    for name in (first, second, third):
        decide(finished, name, "mended", drawn(finished, name))
    assert dhr(finished.run()).code == 0
    lines = (finished.data / "tags.csv").read_text().splitlines()
    known = (finished.data / "classes.txt").read_text().split()
    for number, line in enumerate(lines):
        if line.startswith(f"{first}.png,"):
            extra = next(one for one in known[1:] if one not in line)
            lines[number] = f"{line};{extra}"
    (finished.data / "tags.csv").write_text("\n".join(lines) + "\n")
    (finished.out / "corrections" / "items" / f"{second}.json").write_text("{}")
    mine = shown(finished, third)
    (finished.out / "corrections" / "masks" / f"{third}.png").write_bytes(b"damaged")
    work = dry_run(FolderDataSet(finished.data), finished.out, _config(finished), keep_classifier=True)
    assert {*work.outdated} == {first, second}
    ended = dhr(finished.run(KEEP))
    assert "2 corrections are outdated and not used" in told(ended) and "(the tags in the data set changed)" in told(
        ended
    )
    assert not np.array_equal(shown(finished, first), drawn(finished, first)) and "person" not in item(finished, first)
    assert "person" not in item(finished, second)
    assert np.array_equal(shown(finished, third), mine)  # the only good copy
    assert before.shape == shown(finished, first).shape


def _config(case: Any) -> Any:
    from dhr.api.opened_run import opened_run
    from dhr.progress import silent

    return opened_run(case.out, case.data, silent).config


def test_a_student_is_trained_on_the_mask_of_a_person(fresh: Any, dhr: Any) -> None:
    """With recursion and training masks the person's mask is in all places, and leaves all of them."""
    options = (
        *("--recursion", "--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]"),
        *("--student-training.steps", "1", "--student-training.batch", "2", "--student-training.crop", "32"),
        *("--student-training.boundary", "none", "--doubtful", "0.9"),
    )
    first, mask = names(fresh)[0], np.zeros((48, 64), np.uint8)
    assert dhr(fresh.run(*options)).code == 0
    machines = read_mask(fresh.out / "first" / "masks" / f"{first}.png")
    decide(fresh, first, "mended", mask)
    assert "1 mask of a person stays as it is (1 mended)" in told(dhr(fresh.run(*options, "--redo", "student")))
    for place in ("masks", "first/masks", "training_masks", "first/training_masks"):
        assert np.array_equal(read_mask(fresh.out / place / f"{first}.png"), mask), place
    Corrections.of(fresh.out).withdraw(first, expected=1)
    assert dhr(fresh.run(*options)).code == 0
    assert np.array_equal(read_mask(fresh.out / "first" / "masks" / f"{first}.png"), machines)
    for place in ("masks", "training_masks", "first/training_masks"):
        assert not np.array_equal(read_mask(fresh.out / place / f"{first}.png"), mask), place


def test_export_evaluate_report_and_train_take_decisions(finished: Any, dhr: Any, tmp_path: Path) -> None:
    first, second, third, *_ = names(finished)
    decide(finished, first, "mended", drawn(finished, first))
    decide(finished, second, "rejected")
    decide(finished, third, "skipped")
    masks = finished.out / "masks"
    data = ("--data", finished.data, "--masks", masks)
    ended = dhr(["export", *data, "--to", "png", "--out", tmp_path / "png"])
    assert ended.code == 0 and f"because it was rejected in review: {second}." in told(ended)
    assert (tmp_path / "png" / f"{first}.png").is_file() and not (tmp_path / "png" / f"{second}.png").exists()
    assert np.array_equal(read_mask(tmp_path / "png" / f"{first}.png"), shown(finished, first))
    ended = dhr(["evaluate", *data, "--json", tmp_path / "scores.json"])
    assert "1 of 5 is that of a person (1 mended); the score is not that of the machine alone" in told(ended)
    assert ended.code == 0
    checks = json.loads((tmp_path / "scores.json").read_text())["checks"]
    assert "people" in [check["kind"] for check in checks]
    page = (finished.out / "report.html").read_text(encoding="utf-8")
    for text in ("Machine&#x27;s mask", "mended in review", "rejected in review", "data-mended", "data-skipped"):
        assert text in page, text
    call = [
        *finished.run()[1:], "--student.width", "16", "--student.low-level", "8", "--student.rates", "[1,2]",
        "--student-training.steps", "1", "--student-training.batch", "2", "--student-training.crop", "32",
        "--student-training.boundary", "none", "--no-student-training.recursion", "--masks", str(masks),
        "--classifier.file", str(finished.out / "classifier.safetensors"),
    ]  # fmt: skip
    call[call.index("--out") + 1] = str(tmp_path / "student")
    dry = dhr(["train", *call, "--dry-run"])
    assert dry.code == 0 and "rejected in review" in told(dry) and "student │ 4 │" in told(dry)
    ended = dhr(["train", *call])
    assert ended.code == 0 and "rejected in review" in told(ended) and "Student of 4 photographs" in told(ended)


def test_a_folder_with_only_rejected_photographs_gives_the_reason(finished: Any, dhr: Any, tmp_path: Path) -> None:
    for name in names(finished):
        decide(finished, name, "rejected")
    export = ["export", "--data", finished.data, "--masks", finished.out / "masks"]
    export += ["--to", "png", "--out", tmp_path / "png"]
    for command in (finished.run(), export):
        ended = dhr(command)
        assert ended.code == 2 and "5 photographs left out, because they were rejected in review" in ended.err
