"""Runs with `boundary.kind sam`, on a small random network."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dhr.errors import ItemError
from dhr.models.sam import Embedding
from dhr.models.sam.network import Sam

from ..models.sams import write_tiny_sam


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The number of images that were embedded since the last call."""
    count, embed = 0, Sam.embed

    def counted(self: Sam, images: torch.Tensor) -> Embedding:
        nonlocal count
        count += len(images)
        return embed(self, images)

    def since() -> int:
        nonlocal count
        found, count = count, 0
        return found

    monkeypatch.setattr(Sam, "embed", counted)
    return since


def test_each_photograph_is_embedded_once(
    network: Path, fresh: Any, dhr: Any, made: Any, embedded: Callable[[], int], tmp_path: Path
) -> None:
    folder = tmp_path / "sam"
    shutil.copytree(network, folder)
    call = fresh.run("--boundary.kind", "sam", "--boundary.sam.model", str(folder), "--boundary.sam.agreement", "0")
    ended = dhr(call)
    assert ended.code == 0, ended.err
    assert embedded() == 5
    first = made(fresh.out)
    missing = next(fresh.out.glob("items/*.json"))
    missing.unlink()  # an interrupted run goes on with the same bytes
    assert dhr(call).code == 0
    assert made(fresh.out) == first
    ended = dhr([*call, "--boundary.kind", "crf"])
    assert ended.code == 2 and "--redo masks" in ended.err, ended.err
    assert dhr([*call, "--boundary.kind", "crf", "--redo", "masks"]).code == 0
    assert made(fresh.out) != first
    assert dhr([*call, "--redo", "masks"]).code == 0
    again = made(fresh.out)
    assert all(again[name] == first[name] for name in first if name.startswith("masks/"))
    state = load_file(folder / "model.safetensors")
    save_file({key: value + 1e-3 for key, value in state.items()}, folder / "model.safetensors", {"format": "pt"})
    ended = dhr(call)
    assert ended.code == 2 and "boundary.sam.model changed" in ended.err, ended.err


def test_a_store_keeps_embeddings(
    network: Path, fresh: Any, dhr: Any, made: Any, embedded: Callable[[], int], tmp_path: Path
) -> None:
    call = fresh.run("--boundary.kind", "sam", "--boundary.sam.model", str(network))
    assert dhr(call).code == 0
    without = made(fresh.out)
    shutil.rmtree(fresh.out)
    kept = [*call, "--features", str(tmp_path / "store")]
    assert dhr(["features", "--data", str(fresh.data), "--features", str(tmp_path / "store"), *call[5:]]).code == 0
    embedded()
    assert dhr(kept).code == 0 and embedded() == 5 and made(fresh.out) == without
    shutil.rmtree(fresh.out)
    assert dhr(kept).code == 0 and embedded() == 0 and made(fresh.out) == without
    damaged = next(path for path in (tmp_path / "store").rglob("*.safetensors") if path.stat().st_size > 2000)
    damaged.write_bytes(damaged.read_bytes()[:-10])
    shutil.rmtree(fresh.out)
    assert dhr(kept).code == 0 and made(fresh.out) == without


def test_a_photograph_without_an_embedding_is_left_out(
    network: Path, fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, bad = Sam.embed, list[float]()

    def some(self: Sam, images: torch.Tensor) -> Embedding:
        bad.extend([float(images[0].mean())] if not bad else [])
        if any(float(one.mean()) == bad[0] for one in images):
            raise ItemError("the embedding holds NaN or infinity")
        return embed(self, images)

    monkeypatch.setattr(Sam, "embed", some)
    ended = dhr(fresh.run("--boundary.kind", "sam", "--boundary.sam.model", str(network)))
    assert len([*fresh.out.rglob("masks/**/*.png")]) == 4, ended.err
    assert "the embedding holds NaN" in json.dumps(fresh.record())


def test_a_missing_network_is_named_before_anything_is_read(fresh: Any, dhr: Any, tmp_path: Path) -> None:
    ended = dhr(fresh.run("--boundary.kind", "sam", "--boundary.sam.model", str(tmp_path / "nowhere")))
    assert ended.code == 2 and ended.err.count("\n") == 1 and "boundary.sam.model" in ended.err
    assert not (fresh.out / "items").exists()
