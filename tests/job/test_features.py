"""``dhr features``, and runs that read what it fills: killed, on a full disk, in several processes."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dhr.data.images import read_rgb

NETWORK = ("--uss.kind", "timm", "--uss.model", "test_vit", "--uss.weights", "none", "--uss.scales", "[1.0]")


def call(data: Path, store: Path, *more: str) -> list[str]:
    return ["features", "--data", str(data), "--features", str(store), *NETWORK, *more]


def kept(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.glob("*/*/*.safetensors")}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, forks: Any, scenes: Any) -> tuple[Path, Path]:
    """Five photographs, and a store of their features."""
    root = tmp_path_factory.mktemp("filled")
    data = scenes(root / "data")
    ended = forks(call(data, root / "store"))
    assert ended.code == 0, ended.err
    assert "Features of 5 photographs in " in ended.out and "5 computed, 0 were there" in ended.out
    return data, root / "store"


def test_what_is_there_is_not_computed_again(filled: Any, dhr: Any) -> None:
    data, store = filled
    before = kept(store)
    ended = dhr(call(data, store))
    assert (ended.code, kept(store)) == (0, before)
    assert "0 computed, 5 were there" in ended.out


def test_a_run_reads_the_store_and_makes_the_same_masks(fresh: Any, dhr: Any, made: Any, tmp_path: Path) -> None:
    assert dhr(fresh.run(*NETWORK)).code == 0
    without = made(fresh.out)
    store = ("--features", str(tmp_path / "store"))
    for read, computed in ((0, 5), (5, 0)):  # the masks take what the survey has kept
        shutil.rmtree(fresh.out)
        ended = dhr(fresh.run(*NETWORK, *store))
        assert ended.code == 0, ended.err
        assert made(fresh.out) == without
        assert fresh.record()["features"] == {"read": read, "computed": computed, "not kept": 0, "damaged": []}
    (first, *_) = (tmp_path / "store").glob("*/*/*.safetensors")
    first.write_bytes(first.read_bytes()[:-1])
    shutil.rmtree(fresh.out)
    assert dhr(fresh.run(*NETWORK, *store)).code == 0
    assert made(fresh.out) == without
    assert str(first) in fresh.record()["features"]["damaged"][0]


def test_a_store_that_changes_features_is_another_setting(finished: Any, dhr: Any, tmp_path: Path) -> None:
    mask = next((finished.out / "masks").glob("*.png"))
    before = mask.read_bytes()
    mask.unlink()
    ended = dhr(finished.run("--features", str(tmp_path / "whole")))
    assert ended.code == 0, ended.err
    assert mask.read_bytes() == before
    settings = finished.run()[5:]
    assert (
        dhr(["features", "--data", finished.data, "--features", tmp_path / "small", "--bits", "8", *settings]).code == 0
    )
    mask.unlink()
    ended = dhr(finished.run("--features", str(tmp_path / "small")))
    assert ended.code == 2
    assert "features" in ended.err


def test_reduced_features_make_masks(filled: Any, fresh: Any, dhr: Any, tmp_path: Path) -> None:
    _, store = filled
    small = tmp_path / "small"
    ended = dhr(call(fresh.data, small, "--pca", "8", "--bits", "8"))
    assert ended.code == 0, ended.err
    sizes = [sum(map(len, kept(one).values())) for one in (store, small)]
    assert sizes[1] < sizes[0] / 4
    ended = dhr(fresh.run(*NETWORK, "--features", str(small)))
    assert ended.code == 0, ended.err
    assert fresh.record()["features"]["computed"] == 0


def test_axes_of_another_model_are_refused(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    assert dhr(call(fresh.data, tmp_path / "small", "--pca", "8")).code == 0
    ended = dhr(fresh.run(*NETWORK, "--features", str(tmp_path / "small"), "--seed", "5"))  # random weights: others
    assert ended.code == 2
    assert "axes of another model" in ended.err


def test_photographs_that_cannot_be_read_are_named(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    broken = next((fresh.data / "images").glob("*.png"))
    broken.write_bytes(b"no image")
    ended = dhr(call(fresh.data, tmp_path / "store"))
    assert ended.code == 1
    assert "Left out: 1" in ended.out and broken.name in ended.out
    assert "4 computed" in ended.out
    assert len(kept(tmp_path / "store")) == 4


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "name the store with --features DIR"),
        (("--features", "{data}/images/store"), "lies among the photographs"),
        (("--features", "{data}/truth"), "belong to a feature store"),
        (("--features", "{out}", "--pca", "100000"), "below the"),
        (("--features", "{out}", "--pca", "-1"), "--pca must be a number of channels"),
        (("--features", "{out}", "--limit", "many"), "--limit must be a size"),
        (("--features", "{out}", "--uss.weights", "gone.safetensors"), "gone.safetensors"),
    ],
)
def test_bad_settings_get_one_line(more: tuple[str, ...], said: str, fresh: Any, dhr: Any, tmp_path: Path) -> None:
    filled_in = [one.format(data=fresh.data, out=tmp_path / "store") for one in more]
    ended = dhr(["features", "--data", str(fresh.data), *NETWORK, *filled_in])
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err and len(ended.err.strip().splitlines()) == 1


def test_a_limit_keeps_what_was_used_last(filled: Any, dhr: Any, tmp_path: Path) -> None:
    data, store = filled
    size = max(map(len, kept(store).values()))
    ended = dhr(call(data, tmp_path / "store", "--limit", str(3 * size)))
    assert ended.code == 0, ended.err
    assert "2 least recently used entries were deleted" in ended.out
    assert sum(map(len, kept(tmp_path / "store").values())) <= 3 * size
    assert json.loads((tmp_path / "store" / "store.json").read_text())["limit"] == 3 * size


def test_several_processes_fill_one_store(filled: Any, forks: Any, tmp_path: Path) -> None:
    data, store = filled
    ended = forks(call(data, tmp_path / "store"), processes=4)
    assert ended.code == 0, ended.err
    assert kept(tmp_path / "store") == kept(store)


def test_killed_anywhere_it_goes_on(filled: Any, forks: Any, tmp_path: Path) -> None:
    data, store = filled
    moments = forks(call(data, tmp_path / "watched"), watch="moments").trace
    assert len(moments) > 10
    for number in range(1, len(moments) + 1, max(1, len(moments) // 12)):
        place = tmp_path / str(number)
        forks(call(data, place), kill_at=number)
        for name, content in kept(place).items():
            assert content == kept(store)[name], "what has its name is whole"
        ended = forks(call(data, place))
        assert ended.code == 0, ended.err
        assert kept(place) == kept(store)


def test_a_full_disk_spoils_nothing(filled: Any, forks: Any, tmp_path: Path) -> None:
    data, store = filled
    ended = forks(call(data, tmp_path / "store"), largest_file=min(map(len, kept(store).values())) - 1)
    assert ended.code == 2
    assert "store" in ended.err and len(ended.err.strip().splitlines()) == 1
    assert not kept(tmp_path / "store")
    assert forks(call(data, tmp_path / "store")).code == 0
    assert kept(tmp_path / "store") == kept(store)


def test_features_of_photographs_around_bad_ones_are_kept(
    filled: Any, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, store = filled
    shutil.copytree(data, tmp_path / "data")
    first, hangs, narrow, *_ = sorted((tmp_path / "data" / "images").glob("*.png"))
    first.write_bytes(first.read_bytes()[:-40])
    Image.new("RGB", (1, 1000)).save(narrow)
    never = threading.Event()

    def read(path: Path) -> Any:
        if path == hangs:
            never.wait()
        return read_rgb(path)

    monkeypatch.setattr("dhr.flow.ahead.PATIENCE", 0.5)
    monkeypatch.setattr("dhr.data.stored.read_rgb", read)
    ended = dhr(call(tmp_path / "data", tmp_path / "store"))
    never.set()
    assert ended.code == 1, ended
    assert first.name in ended.out and hangs.name in ended.out and "took longer than 0.5 seconds" in ended.out
    found = kept(tmp_path / "store")
    assert len(found) == 3 and len(found.items() & kept(store).items()) == 2
