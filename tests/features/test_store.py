"""The store of features: what it finds, what it refuses, what it removes."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dhr.errors import ConfigError, ItemError, OutputError
from dhr.features import Features, FeatureStore, StoreConfig
from dhr.features.compute import uss_maps
from dhr.features.entry import entry_bytes, held, read_entry
from dhr.features.pack import pack
from dhr.features.source import Source, image_digest
from dhr.files import TEMPORARY_SUFFIX
from dhr.models.uss import UssConfig

CPU = torch.device("cpu")
CONFIG = UssConfig(kind="colour", weights="none", scales=(1.0,), flip=False)


class Network(nn.Module):
    """Counts how often it is asked."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer = nn.Conv2d(3, 5, 8, stride=8)
        self.dim, self.cell, self.trained_on, self.calls = 5, 8, 0, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(images)


def image(seed: int = 0, size: tuple[int, int] = (32, 40)) -> Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def features(root: Path, network: Network | None = None, config: UssConfig = CONFIG, **asked: Any) -> Features:
    return Features(network or Network(), config, 8, CPU, FeatureStore.open(root, StoreConfig(**asked)))


def entries(root: Path) -> list[Path]:
    return sorted(root.glob("*/*/*.safetensors"))


def test_what_was_computed_once_is_read_and_is_the_same_as_without_a_store(tmp_path: Path) -> None:
    network = Network()
    without = Features(network, CONFIG, 8, CPU)(image())
    first = features(tmp_path, network)
    assert torch.equal(first(image()), without)
    calls = network.calls
    second = features(tmp_path, network)
    assert torch.equal(second(image()), without)
    assert network.calls == calls
    assert (second.read, second.computed) == (1, 0)


def test_features_of_another_photograph_model_or_setting_are_never_taken(tmp_path: Path) -> None:
    features(tmp_path)(image())
    others = [
        (features(tmp_path), image(1)),
        (features(tmp_path), image() + 1e-3),
        (features(tmp_path), image(size=(32, 48))),
        (features(tmp_path, Network(seed=1)), image()),
        (features(tmp_path, config=replace(CONFIG, flip=True)), image()),
        (features(tmp_path, config=replace(CONFIG, scales=(1.0, 2.0))), image()),
        (features(tmp_path, config=replace(CONFIG, window=32)), image()),
        (Features(Network(), CONFIG, 4, CPU, FeatureStore.open(tmp_path)), image()),
    ]
    for number, (one, picture) in enumerate(others):
        one(picture)
        assert (one.read, one.computed) == (0, 1), number
    assert len(entries(tmp_path)) == 1 + len(others)


def test_where_weights_lie_does_not_matter(tmp_path: Path) -> None:
    features(tmp_path)(image())
    moved = features(tmp_path, config=replace(CONFIG, weights="elsewhere.safetensors"))
    moved(image())
    assert moved.read == 1


@settings(max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_bit_that_flips_is_noticed(place: float, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("entry") / "a.safetensors"
    packed = pack(torch.linspace(-1, 1, 24).view(1, 2, 3, 4))
    content = bytearray(entry_bytes(packed, "source", "image"))
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = read_entry(path, "source", "image")
    except ItemError as error:
        assert "damaged" in str(error)
        return
    assert found is not None  # the flip was in white space or the like of the header
    assert torch.equal(found.values, packed.values) and torch.equal(found.scale, packed.scale)


@pytest.mark.parametrize("cut", [0, 1, 8, 60, -1])
def test_a_damaged_entry_is_reported_and_made_anew(cut: int, tmp_path: Path) -> None:
    wanted = features(tmp_path)(image())
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    again = features(tmp_path)
    assert torch.equal(again(image()), wanted)
    assert again.account()["computed"] == 1
    (line,) = again.account()["damaged"]
    assert str(path) in line
    assert path.read_bytes() == whole


def test_an_entry_that_lies_in_anothers_place_is_damaged(tmp_path: Path) -> None:
    features(tmp_path)(image(0))
    (first,) = entries(tmp_path)
    one = features(tmp_path)
    other = one.store.path(one.source, image_digest(image(1)))
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(first.read_bytes())
    one(image(1))
    assert "another image" in one.account()["damaged"][0]


def test_a_store_stays_as_it_was_made(tmp_path: Path) -> None:
    FeatureStore.open(tmp_path, StoreConfig(bits=8))
    assert FeatureStore.open(tmp_path).bits == 8
    with pytest.raises(ConfigError, match=r"was made with --bits 8, asked is --bits 16; choose another --features"):
        FeatureStore.open(tmp_path, StoreConfig(bits=16))
    assert FeatureStore.open(tmp_path, StoreConfig(limit="3KB")).disk.limit == 3000
    assert FeatureStore.open(tmp_path).disk.limit == 3000
    assert FeatureStore.open(tmp_path, StoreConfig(limit="none")).disk.limit is None


@pytest.mark.parametrize("limit", ["3 apples", "0", "-1GB", ""])
def test_a_limit_that_is_no_size_is_refused(limit: str) -> None:
    with pytest.raises(ConfigError, match="must be a size such as 200GB"):
        StoreConfig(limit=limit)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"not belong to a feature store \(letter.txt\)"):
        FeatureStore.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"layout": 99}', '{"layout": 1, "bits": 7, "pca": 0, "limit": null}']
)
def test_a_damaged_description_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(OutputError, match="is not from a feature store of this program"):
        FeatureStore.open(tmp_path)


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    one = features(tmp_path)
    for seed in range(8):
        one(image(seed))
        path = one.store.path(one.source, image_digest(image(seed)))
        os.utime(path, (time.time() - 1000 + seed, time.time() - 1000 + seed))
    size = entries(tmp_path)[0].stat().st_size
    features(tmp_path)(image(0))  # used again
    limited = features(tmp_path, limit=str(5 * size))
    assert limited.store.disk.shrink() == 4  # a tenth is freed at once
    kept = {seed for seed in range(8) if limited.store.path(limited.source, image_digest(image(seed))).is_file()}
    assert kept == {0, 5, 6, 7}
    for seed in range(20, 30):
        limited(image(seed))
        assert limited.store.disk.taken()[1] <= 5 * size


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open files")
def test_what_is_being_read_is_not_removed(tmp_path: Path) -> None:
    one = features(tmp_path)
    one(image())
    (path,) = entries(tmp_path)
    small = features(tmp_path, limit="1")
    with held(path):
        assert small.store.disk.shrink() == 0
        assert path.is_file()
    assert small.store.disk.shrink() == 1
    assert not path.exists()


def test_what_a_dead_writer_left_goes_after_an_hour(tmp_path: Path) -> None:
    one = features(tmp_path)
    one(image())
    (path,) = entries(tmp_path)
    left = [path.with_name(f"{name}{TEMPORARY_SUFFIX}") for name in ("old", "new")]
    for leftover in left:
        leftover.write_bytes(b"half")
    os.utime(left[0], (time.time() - 7200, time.time() - 7200))
    one.store.disk.shrink()
    assert [leftover.exists() for leftover in left] == [False, True]


def test_axes_must_be_there_and_of_this_model(tmp_path: Path) -> None:
    one = features(tmp_path, pca=2)
    with pytest.raises(ConfigError, match="has no axes yet; fill it with dhr features"):
        one.check()
    one.store.set_basis(torch.eye(2, 5), one.network)
    one.check()
    assert one(image()).shape == (1, 2, 4, 5)
    with pytest.raises(ConfigError, match="axes of another model"):
        features(tmp_path, Network(seed=1)).check()
    second = FeatureStore.open(tmp_path)
    second.set_basis(torch.eye(2, 5).flip(0), one.network)  # another process came too late
    assert second.reduction is not None and torch.equal(second.reduction.basis, torch.eye(2, 5))
    (tmp_path / "basis.safetensors").write_bytes(b"spoilt")
    with pytest.raises(OutputError, match="is damaged"):
        FeatureStore.open(tmp_path)


def test_a_model_that_sees_nan_fills_nothing(tmp_path: Path) -> None:
    network = Network()
    network.layer.weight.data[0] = float("nan")
    with pytest.raises(ItemError, match="NaN or infinity"):
        features(tmp_path, network)(image())
    assert not entries(tmp_path)


def test_source_says_what_features_come_from(tmp_path: Path) -> None:
    one = features(tmp_path)
    one(image())
    (about,) = tmp_path.glob("*/source.json")
    kept = json.loads(about.read_text())
    assert kept["key"] == one.source.key
    assert (kept["uss"]["kind"], kept["grid_stride"], kept["network"]) == ("colour", 8, one.network)
    assert Source.of(one.uss, CONFIG, 8) == one.source


def test_a_file_of_ones_own_holds_the_same(tmp_path: Path) -> None:
    stored, plain = features(tmp_path / "store"), Features(Network(), CONFIG, 8, CPU)
    for number, one in enumerate((stored, plain)):
        one.keep(image(), tmp_path / "own" / f"{number}.safetensors")
    first, second = (read_entry(tmp_path / "own" / f"{number}.safetensors") for number in range(2))
    assert first is not None and second is not None
    assert torch.equal(first.unpacked(CPU), second.unpacked(CPU))


@pytest.mark.parametrize("window", [0, 32, None])
def test_settings_of_views_reach_the_model(window: int | None) -> None:
    network = Network()
    config = replace(CONFIG, window=window, scales=(1.0, 2.0))
    sizes = []
    network.register_forward_pre_hook(lambda module, given: sizes.append(tuple(given[0].shape[-2:])))
    found = uss_maps(image(size=(64, 80)), network, config, 4)
    assert found.shape == (1, 5, 16, 20)
    assert sizes[0] == (64, 80), "the working image is seen whole"
    assert sizes[1] == ((32, 32) if window else (128, 160))
