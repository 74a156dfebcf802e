"""Runs of so many photographs that their files lie in shards; here "many" is three."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dhr as api
from dhr import shards
from dhr.data import FolderDataSet
from dhr.data.images import read_mask, write_mask
from dhr.job.folder import OutputFolder
from dhr.job.taught_masks import Masks
from dhr.records.run import RunRecord
from dhr.shards import find, in_shard, out_of_shard, shard_of, too_many

MOST = 3


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "LIMIT", MOST)


def flat(content: dict[str, Any]) -> dict[str, Any]:
    """The files of a run, each without its shard."""
    return {
        "/".join(part for part in name.split("/") if not part.startswith("shard-")): content[name] for name in content
    }


def sharded(out: Path) -> set[str]:
    """The kinds of files that lie in shards."""
    return {path.parent.relative_to(out).as_posix() for path in out.rglob("shard-??")}


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@given(paths)
def test_a_name_comes_back_from_its_shard(name: str) -> None:
    assert out_of_shard(in_shard(name)) == name and in_shard(name) == f"{shard_of(name)}/{name}"
    assert 0 <= int(shard_of(name).removeprefix("shard-"), 16) < 256


def test_shards_are_even() -> None:
    counts = np.unique([shard_of(f"photograph-{number:06d}") for number in range(100_000)], return_counts=True)[1]
    assert len(counts) == 256 and counts.max() < 2 * counts.mean()


def test_only_a_folder_with_too_many_gets_shards(many: None) -> None:
    assert too_many("abcd") and not too_many("abc")
    assert not too_many([f"{folder}/{name}" for folder in "xyz" for name in "abc"])


def test_a_file_outside_shards_is_found_first(tmp_path: Path) -> None:
    assert find(tmp_path, "a", ".png") == tmp_path / "a.png"
    place = tmp_path / f"{in_shard('a')}.png"
    place.parent.mkdir()
    place.touch()
    assert find(tmp_path, "a", ".png") == place
    (tmp_path / "a.png").touch()
    assert find(tmp_path, "a", ".png") == tmp_path / "a.png"


def test_masks_in_shards_are_the_same(
    finished: Any, dhr: Any, new_case: Any, made: Any, tmp_path: Path, many: None
) -> None:
    case = new_case(finished.data, tmp_path / "many")
    assert dhr(case.run("--doubtful", "0.5")).code == 0
    plain = new_case(finished.data, tmp_path / "few")
    shards.LIMIT = 10
    assert dhr(plain.run("--doubtful", "0.5")).code == 0
    assert not plain.record()["shards"] and case.record()["shards"]
    here, there = flat(made(case.out)), made(plain.out)
    assert here == there and len(here) > 20
    steps = {f"stages/{step}" for step in ("cam", "base", "seed", "inter", "intra")}
    counts = {path: sum(one.is_file() for one in path.iterdir()) for path in case.out.rglob("*/") if path.is_dir()}
    assert max(counts.values()) <= MOST
    assert sharded(case.out) == {"masks", "items", "cams", "training_masks", "work/survey", *steps} and not sharded(
        plain.out
    )


def test_readers_find_masks_in_shards(finished: Any, dhr: Any, new_case: Any, tmp_path: Path, many: None) -> None:
    case = new_case(finished.data, tmp_path / "many")
    assert dhr(case.run()).code == 0
    data = FolderDataSet(case.data)
    known = [sample.name for sample in data.samples]
    plain, split = (api.evaluate(case.data, one.out / "masks") for one in (finished, case))
    assert plain.rows() == split.rows() and plain.stages and split.stages
    copy = shutil.copytree(case.out / "masks", tmp_path / "copy" / "masks")
    assert api.evaluate(case.data, copy).scores.miou == split.scores.miou
    page = (case.out / "report.html").read_text()
    assert all(f"masks/{in_shard(name)}.png" in page and f"items/{in_shard(name)}.json" in page for name in known)
    # Export, adjacency and training read them, too.
    api.export(case.data, case.out / "masks", tmp_path / "png", to="png")
    assert sorted(path.relative_to(tmp_path / "png").as_posix() for path in (tmp_path / "png").rglob("*.png")) == [
        f"{name}.png" for name in known
    ]
    plain, split = (api.adjacency(case.data, masks=one.out / "masks") for one in (finished, case))
    assert plain.rows() == split.rows() and not split.left_out
    masks = Masks(case.out / "masks", data.classes, data.samples)
    assert all(
        np.array_equal(masks(sample), read_mask(case.out / "masks" / f"{in_shard(sample.name)}.png"))
        for sample in data.samples
    )
    # As ground truth, with or without a data set.
    shutil.copytree(case.out / "masks", tmp_path / "data2" / "truth")
    for name in ("images", "tags.csv", "classes.txt"):
        (tmp_path / "data2" / name).symlink_to(case.data / name)
    assert all(sample.has_ground_truth for sample in FolderDataSet(tmp_path / "data2").samples)
    assert api.evaluate(None, case.out / "masks", ground_truth=case.out / "masks").scores.miou == 1


def test_results_give_the_places_of_masks(fresh: Any, dhr: Any, many: None) -> None:
    assert dhr(fresh.run()).code == 0
    from dhr.api.result import MaskFiles

    masks, known = MaskFiles(fresh.out / "masks"), [sample.name for sample in FolderDataSet(fresh.data).samples]
    assert list(masks) == known and len(masks) == len(known) > MOST
    for name in known:
        assert masks.path(name) == fresh.out / "masks" / f"{in_shard(name)}.png"
        assert masks[name].shape == (48, 64)


def test_folders_of_photographs_may_be_called_as_shards(fresh: Any, dhr: Any) -> None:
    old = next((fresh.data / "images").glob("*.png"))
    new = in_shard(old.stem)
    for kind in ("images", "truth"):
        (fresh.data / kind / f"{new}.png").parent.mkdir()
        (fresh.data / kind / old.name).rename(fresh.data / kind / f"{new}.png")
    table = fresh.data / "tags.csv"
    table.write_text(table.read_text().replace(f"\n{old.name}", f"\n{new}.png"))
    assert dhr(fresh.run()).code == 0
    ended = dhr(fresh.run())
    assert ended.code == 0 and "gone" not in ended.out
    assert (fresh.out / "items" / f"{new}.json").is_file() and not (fresh.out / "gone").exists()


def test_a_photograph_called_as_the_place_of_another_has_its_own_files(tmp_path: Path) -> None:
    folder, names = OutputFolder(tmp_path, shards=True), ("cat", in_shard("cat"), in_shard(in_shard("cat")))
    for name in names:
        folder.item(name).parent.mkdir(parents=True, exist_ok=True)
        folder.item(name).write_text(name)
    for name in names:
        assert folder.item(name).read_text() == find(tmp_path / "items", name, ".json").read_text() == name
    assert {*folder.recorded()} == {*names}


def test_a_run_that_grows_gets_shards_for_its_new_files(
    finished: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path for path in finished.out.rglob("*.*") if path.is_file()}
    known = [sample.name for sample in FolderDataSet(finished.data).samples]
    first = known[0]
    shutil.copy(finished.data / "images" / f"{first}.png", finished.data / "images" / "zz.png")
    table = (finished.data / "tags.csv").read_text()
    tags = next(line for line in table.splitlines() if line.startswith(f"{first}.png,")).partition(",")[2]
    (finished.data / "tags.csv").write_text(f"{table}zz.png,{tags}\n")
    monkeypatch.setattr(shards, "LIMIT", len(known) - 1)  # one lies in a sub-folder
    ended = dhr(finished.run("--keep-classifier"))
    assert ended.code == 0, ended.err
    assert before <= {path for path in finished.out.rglob("*.*") if path.is_file()}
    assert (finished.out / "masks" / f"{in_shard('zz')}.png").is_file() and finished.record()["shards"]
    # A mask that is made again moves into its shard; there are never two.
    monkeypatch.setattr(shards, "LIMIT", 10_000)
    assert dhr(finished.run("--redo", "masks")).code == 0
    assert finished.record()["shards"] and not list((finished.out / "masks").glob("*.png"))
    assert len(list((finished.out / "masks").rglob("*.png"))) == len(known) + 1


def test_a_corrected_mask_and_a_gone_photograph_in_shards(fresh: Any, dhr: Any, many: None) -> None:
    assert dhr(fresh.run()).code == 0
    first, gone, *_ = (sample.name for sample in FolderDataSet(fresh.data).samples)
    mask = find(fresh.out / "masks", first, ".png")
    write_mask(mask, np.flipud(read_mask(mask)))
    mine = read_mask(mask)
    (fresh.data / "images" / f"{gone}.png").unlink()
    lines = (fresh.data / "tags.csv").read_text().splitlines()
    (fresh.data / "tags.csv").write_text("\n".join(one for one in lines if not one.startswith(f"{gone}.png,")) + "\n")
    ended = dhr(fresh.run("--keep-classifier"))
    assert ended.code == 0, ended.err
    assert np.array_equal(read_mask(mask), mine)
    assert mask.read_bytes() == (fresh.out / "corrections" / "masks" / f"{in_shard(first)}.png").read_bytes()
    for kind in ("masks", "stages/seed", "items", "cams"):
        assert list((fresh.out / "gone" / kind / shard_of(gone)).glob(f"{gone}.*")), kind
        assert not list((fresh.out / kind).rglob(f"{gone}.*"))


def test_a_sharded_run_goes_on(fresh: Any, dhr: Any, made: Any, many: None) -> None:
    assert dhr(fresh.run()).code == 0
    whole = made(fresh.out)
    record = json.loads((fresh.out / "run.json").read_text())
    (fresh.out / "run.json").write_text(json.dumps(record | {"status": "running"}))
    first, second, *_ = (sample.name for sample in FolderDataSet(fresh.data).samples)
    find(fresh.out / "items", first, ".json").unlink()
    find(fresh.out / "masks", second, ".png").unlink()
    shards.LIMIT = 10_000  # decided before
    assert dhr(fresh.run()).code == 0
    assert made(fresh.out).keys() == whole.keys()
    assert {name for name, content in made(fresh.out).items() if content != whole[name]} <= {
        f"items/{in_shard(name)}.json" for name in (first, second)
    }


def test_predictions_of_several_folders_count_together(tmp_path: Path, many: None) -> None:
    folder = OutputFolder(tmp_path)
    assert not folder.with_shards(None, "abc").shards
    for name in "abc":
        folder.item(name).parent.mkdir(exist_ok=True)
        folder.item(name).write_text("{}")
    assert not folder.with_shards(None, "cba").shards and folder.with_shards(None, "d").shards
    assert folder.with_shards(RunRecord(shards=True), "").shards
    split = folder.with_shards(None, "d")
    assert split.item("a") == folder.item("a") and split.item("d").parent.name == shard_of("d")
    split.item("d").parent.mkdir()
    split.item("d").write_text("{}")
    assert sorted(split.recorded()) == ["a", "b", "c", "d"]


def test_a_link_in_the_place_of_a_shard_is_refused(fresh: Any, dhr: Any, tmp_path: Path, many: None) -> None:
    name, elsewhere = FolderDataSet(fresh.data).samples[0].name, tmp_path / "elsewhere"
    elsewhere.mkdir()
    (fresh.out / "masks").mkdir(parents=True)
    (fresh.out / "masks" / shard_of(name)).symlink_to(elsewhere)
    (fresh.out / "run.json").write_text(json.dumps({"version": 1, "identity": {}}))
    ended = dhr(fresh.run())
    assert ended.code == 1 and fresh.record()["counts"]["masks"] == 4, ended
    assert all("is a link, which is not followed" in one["reason"] for one in fresh.record()["skipped"])
    assert not list(elsewhere.iterdir())
