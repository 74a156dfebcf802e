"""Stores that somebody sent: entries whose checksum is right and whose numbers make no sense, links, pipes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor, nn

from dhr.errors import ItemError, OutputError
from dhr.features import Features, FeatureStore, StoreConfig
from dhr.features.entry import entry_bytes, read_entry
from dhr.features.pack import Packed
from dhr.features.source import image_digest
from dhr.models.uss import UssConfig

IMAGE = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))  # a grid of 4 by 5 cells


class Network(nn.Module):
    dim = 5
    cell = 8
    trained_on = 0

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 5, 8, stride=8)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images)


def features(root: Path, **asked: Any) -> Features:
    config = UssConfig(kind="colour", weights="none", scales=(1.0,), flip=False)
    return Features(Network(), config, 8, torch.device("cpu"), FeatureStore.open(root, StoreConfig(**asked)))


def one_entry(root: Path) -> Path:
    (path,) = root.glob("*/*/*.safetensors")
    return path


def values(*shape: int, of: float = 1.0, kind: torch.dtype = torch.float16) -> Tensor:
    return torch.full(shape, of).to(kind)


ONE = torch.ones(1, 1, 1)
ODD = {
    "NaN": (values(5, 4, 5, of=float("nan")), ONE),
    "infinity": (values(5, 4, 5, of=float("inf")), ONE),
    "another grid": (values(5, 8, 10), ONE),
    "turned": (values(5, 5, 4), ONE),
    "other channels": (values(6, 4, 5), ONE),
    "two dimensions": (values(5, 20), ONE),
    "four dimensions": (values(1, 5, 4, 5), ONE),
    "nothing": (values(5, 0, 5), ONE),
    "scale NaN": (values(5, 4, 5), ONE * float("nan")),
    "scale infinite": (values(5, 4, 5), ONE * float("inf")),
    "scale 0": (values(5, 4, 5), ONE * 0),
    "scale below 0": (values(5, 4, 5), -ONE),
    "scale of three": (values(5, 4, 5), torch.ones(3, 1, 1)),
    "scale in half precision": (values(5, 4, 5), ONE.half()),
    "too large together": (values(5, 4, 5, of=60000), ONE * 1e38),
    "whole numbers": (values(5, 4, 5, kind=torch.int32), ONE),
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_is_damaged_and_computed_again(name: str, tmp_path: Path) -> None:
    first = features(tmp_path)
    right = first(IMAGE)
    path = one_entry(tmp_path)
    sound = path.read_bytes()
    path.write_bytes(entry_bytes(Packed(*ODD[name]), first.source.key, image_digest(IMAGE)))
    again = features(tmp_path)
    assert torch.equal(again(IMAGE), right)
    assert again.store is not None and len(again.store.damaged) == 1
    assert "is damaged" in again.store.damaged[0] or "are damaged" in again.store.damaged[0]
    assert len(again.store.damaged[0].splitlines()) == 1
    assert path.read_bytes() == sound


def test_entries_of_other_tensors_or_texts_are_damaged(tmp_path: Path) -> None:
    first = features(tmp_path)
    first(IMAGE)
    path = one_entry(tmp_path)
    for content in (
        save({"values": values(5, 4, 5)}, {"dhr": "{}"}),
        save({"values": values(5, 4, 5), "scale": ONE, "more": ONE.clone()}, {"dhr": "{}"}),
        save({"values": values(5, 4, 5), "scale": ONE}),
        save({"values": values(5, 4, 5), "scale": ONE}, {"dhr": "[" * 100_000}),
        save({"values": values(5, 4, 5), "scale": ONE}, {"dhr": '{"source": 1, "image": [], "checksum": {}}'}),
        (1 << 40).to_bytes(8, "little") + b"{}",
    ):
        path.write_bytes(content)
        with pytest.raises(ItemError, match="are damaged") as error:
            read_entry(path)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_in_the_place_of_an_entry_stops_nothing(kind: str, tmp_path: Path) -> None:
    right = features(tmp_path)(IMAGE)
    path = one_entry(tmp_path)
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    again = features(tmp_path)
    assert torch.equal(again(IMAGE), right)
    assert again.store is not None and "not a regular file" in again.store.damaged[0]
    assert path.is_dir() == (kind == "folder")  # a folder stays, as it is not ours
    again.store.disk.shrink()


def test_links_lead_neither_reading_nor_deletion_out_of_the_store(tmp_path: Path) -> None:
    store, outside = tmp_path / "store", tmp_path / "outside"
    first = features(store, limit="1")  # byte: everything is too much
    first(IMAGE)
    features(tmp_path / "other")(IMAGE)
    source = store / first.source.key[:16]
    (tmp_path / "other" / source.name).rename(outside)
    for path in source.rglob("*"):
        if path.is_file():
            path.unlink()
    for path in sorted(source.rglob("*"), reverse=True):
        path.rmdir()
    source.rmdir()
    source.symlink_to(outside)
    kept = sorted(path for path in outside.rglob("*"))
    again = features(store)
    with pytest.raises(OutputError, match="is a link, which is not followed"):
        again(IMAGE)
    assert again.store is not None
    assert again.store.disk.shrink() == 0
    assert sorted(path for path in outside.rglob("*")) == kept


def test_room_is_made_of_entries_only(tmp_path: Path) -> None:
    """What else a person keeps in the folder stays, whatever the limit."""
    first = features(tmp_path, limit="1")
    for name in ("models/a/weights.safetensors", f"{first.source.key[:16]}/aa/mine.safetensors", "ab/cd.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    first(IMAGE)
    assert first.store is not None and first.store.disk.removed == 1
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3


@pytest.mark.parametrize(
    "text",
    [
        '{"layout": 1, "bits": 16, "pca": true, "limit": null}',
        '{"layout": 1, "bits": 9, "pca": 0, "limit": null}',
        '{"layout": 1, "bits": 16, "pca": -1, "limit": null}',
        '{"layout": 1, "bits": 16, "pca": 0, "limit": "5"}',
        '{"layout": 1, "bits": 16, "pca": 0, "limit": -5}',
        '{"layout": 1, "bits": 16, "pca": 0}',
        '{"layout": 2, "bits": 16, "pca": 0, "limit": null}',
        '{"layout": 1, "bits": 16, "pca": 1' + "0" * 400 + ', "limit": null}',
        "[" * 100_000,
        "[]",
    ],
)
def test_a_description_of_other_kinds_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(OutputError, match="is not from a feature store") as error:
        FeatureStore.open(tmp_path)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("basis", "metadata"),
    [
        (torch.full((2, 5), float("nan")), {"network": "a"}),
        (torch.ones(3, 5), {"network": "a"}),
        (torch.ones(10), {"network": "a"}),
        (torch.ones(2, 5).half(), {"network": "a"}),
        (torch.ones(2, 5), None),
    ],
)
def test_axes_that_cannot_be_are_refused(basis: Tensor, metadata: dict[str, str] | None, tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(json.dumps({"layout": 1, "bits": 16, "pca": 2, "limit": None}))
    save_file({"basis": basis}, tmp_path / "basis.safetensors", metadata)
    with pytest.raises(OutputError, match=r"basis\.safetensors is damaged") as error:
        FeatureStore.open(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_a_description_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "store.json")
    with pytest.raises(OutputError, match=r"not belong to a feature store \(store\.json\)"):
        FeatureStore.open(tmp_path)
