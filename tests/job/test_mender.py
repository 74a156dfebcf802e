"""Masks of a finished run, made again one by one: the same without strokes, and around what a person has drawn."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhr.api.opened_run import opened_run
from dhr.cli import main
from dhr.data import read_mask
from dhr.errors import DhrError, ItemError
from dhr.job.mender import FREE, Mender
from dhr.method.swaps import Swap
from dhr.progress import silent

from .test_once import STUDENT

KINDS = ("classifier", "sources", "student")


def opened(out: Path) -> Mender:
    return Mender.open(opened_run(out, None, silent))


@pytest.fixture(scope="module")
def classifier(_finished: Any) -> Path:
    """The folder of a finished run."""
    out: Path = _finished.out
    return out


@pytest.fixture(scope="module")
def sources(_finished: Any, new_case: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of two map sources, one of them files."""
    root = tmp_path_factory.mktemp("sources")
    maps = {"files": {"maps": str(shutil.copytree(_finished.out / "cams", root / "maps")), "backbone": "none"}}
    several = ("--sources", "classifier", "files", "--source-settings", json.dumps(maps))
    assert main(new_case(_finished.data, root / "out").run(*several)) == 0
    return root / "out"


@pytest.fixture(scope="module")
def student(new_case: Any, scenes: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a student, with a background and a photograph without tags."""
    root = tmp_path_factory.mktemp("student")
    data = scenes(root / "data")
    table, tags = data / "classes.txt", data / "tags.csv"
    table.write_text("background\n" + table.read_text())
    rows = tags.read_text().splitlines()
    tags.write_text("\n".join([*rows[:-1], rows[-1].split(",")[0] + ","]) + "\n")
    assert main(new_case(data, root / "out").run(*STUDENT)) == 0
    return root / "out"


@pytest.fixture(scope="module")
def menders(request: pytest.FixtureRequest) -> Callable[[str], Mender]:
    """Opens each run once."""
    return cache(lambda kind: opened(request.getfixturevalue(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_without_strokes_the_mask_is_that_of_the_run(
    kind: str, request: pytest.FixtureRequest, menders: Callable[[str], Mender]
) -> None:
    mender, masks = menders(kind), request.getfixturevalue(kind) / "masks"
    for sample in mender.drafts.data.samples:
        prepared = mender.prepare(sample.name)
        expected = read_mask(masks / f"{sample.name}.png")
        assert np.array_equal(mender.refine(prepared, sample.tags), expected), sample.name
    free = np.full(expected.shape, FREE, np.uint8)
    assert np.array_equal(mender.refine(prepared, sample.tags, free), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_pixels_stay_and_their_class_becomes_a_tag(kind: str, menders: Callable[[str], Mender]) -> None:
    """Also of a photograph without tags, where there is a background."""
    mender = menders(kind)
    for sample in (mender.drafts.data.samples[0], mender.drafts.data.samples[-1]):
        prepared = mender.prepare(sample.name)
        before = mender.refine(prepared, sample.tags)
        added = next(tag for tag in mender.classes.foreground if tag not in sample.tags)
        held = np.full(before.shape, FREE, np.uint8)
        held[4:20, 4:20], held[30:34] = added, 255
        mask = mender.refine(prepared, sample.tags, held)
        assert np.array_equal(mask[held != FREE], held[held != FREE])
        assert not (mask[held == FREE] == 255).any()
        assert set(np.unique(mask)) <= {*sample.tags, added, 255, *range(mender.classes.foreground.start)}
        void = np.where(held == 255, held, FREE).astype(np.uint8)
        assert np.array_equal(mender.refine(prepared, sample.tags, void), np.where(void == 255, 255, before))


@pytest.mark.parametrize(("kind", "seen"), [("classifier", 1), ("sources", 2)])
def test_a_removed_tag_is_gone_and_maps_are_made_once(kind: str, seen: int, menders: Callable[[str], Mender]) -> None:
    """Of all classes together where they do not depend on each other."""
    mender = menders(kind)
    sample = next(one for one in mender.drafts.data.samples if len(one.tags) > 1)
    prepared = mender.prepare(sample.name)
    assert set(np.unique(mender.refine(prepared, sample.tags[1:]))) <= {*sample.tags[1:]}
    mender.refine(prepared, sample.tags)
    assert len(prepared.seen) == seen
    for tag in sample.tags if seen > 1 else ():
        mender.refine(prepared, [tag])
    assert len(prepared.seen) <= 4 and (seen == 1 or sample.tags in prepared.seen)
    cams = mender.cams(prepared)
    assert {*cams} >= {*sample.tags} and all(int(one.max()) == 255 for one in cams.values())
    assert {one.shape for one in cams.values()} == {(6, 8)}


def test_what_cannot_be_is_refused(menders: Callable[[str], Mender]) -> None:
    mender = menders("classifier")
    sample = mender.drafts.data.samples[0]
    prepared = mender.prepare(sample.name)
    free = np.full((48, 64), FREE, np.uint8)
    for arguments, words in (
        ((sample.tags, free.T.copy()), "expected drawn labels of 64x48 pixels, got 48x64"),
        (((*sample.tags, 200),), "expected ids of classes, 0 to"),
        ((sample.tags, np.where(free == 0, free, 99).astype(np.uint8)), "expected ids of classes"),
        (((),), "no background"),
    ):
        with pytest.raises(ItemError, match=words):
            mender.refine(prepared, *arguments)
    with pytest.raises(ItemError, match="nowhere: expected a photograph of the data set"):
        mender.prepare("nowhere")


@pytest.mark.parametrize(
    ("kind", "file", "words"),
    [
        ("classifier", "classifier.safetensors", "is missing, so the masks of this run cannot be made again"),
        ("classifier", "survey.safetensors", "is missing"),
        ("sources", "calibration.safetensors", "is missing"),
        ("student", "student.safetensors", "is missing"),
    ],
)
def test_a_run_without_its_files_says_so_in_one_line(
    kind: str, file: str, words: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    out = shutil.copytree(request.getfixturevalue(kind), tmp_path / "out")
    (out / file).unlink()
    with pytest.raises(DhrError, match=words) as caught:
        opened(out)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["survey.safetensors", "calibration.safetensors"])
def test_a_damaged_file_is_named(file: str, sources: Path, tmp_path: Path) -> None:
    out = shutil.copytree(sources, tmp_path / "out")
    (out / file).write_bytes(b"damaged")
    with pytest.raises(DhrError, match=rf"{file} is damaged \(.*\); run it again"):
        opened(out)


def test_other_maps_or_none_at_all_are_refused(sources: Path) -> None:
    run = opened_run(sources, None, silent)
    changed = replace(run.config, seed=1)
    with pytest.raises(DhrError, match="cannot be used again: seed was 0, now 1"):
        Mender.open(replace(run, config=changed))
    maps = Path(run.config.source_settings["files"]["maps"])
    moved = maps.rename(maps.with_name("moved"))
    try:
        with pytest.raises(DhrError, match="needs a folder of maps"):
            Mender.open(run)
    finally:
        moved.rename(maps)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_a_student_are_never_exchanged(kind: str, request: pytest.FixtureRequest) -> None:
    maker = opened(request.getfixturevalue(kind)).maker
    assert maker.survey is not None
    swap = Swap(0, 1, evidence=-0.3, consistency=0.4, joint=9, deciding=3)
    changed = replace(maker, survey=replace(maker.survey, swaps=(swap,)))
    assert bool(changed.swaps) == (kind != "student")
