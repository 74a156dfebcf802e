"""Heads on features: checkpoints of their authors and our own, and those that must be refused."""

import pickle
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dhr.errors import ConfigError, WeightsError
from dhr.models.uss import UssConfig, build_uss
from dhr.models.uss.backbone import build_backbone
from dhr.models.uss.head_file import describe, write_head
from dhr.models.uss.stego import StegoHead

from .heads import CODE, MODEL, dim_of, head_state, network_state, write_hp, write_leopart, write_stego

IMAGES = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def expected_codes() -> torch.Tensor:
    """The definition: two branches on the network's tokens, added."""
    backbone = build_backbone(UssConfig(model=MODEL, weights="none"))
    backbone.network.load_state_dict(network_state())
    tokens = backbone(IMAGES).permute(0, 2, 3, 1)
    state = head_state(dim_of(network_state()))

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ state[f"{name}.weight"][:, :, 0, 0].T + state[f"{name}.bias"]

    codes = linear(tokens, "cluster1.0") + linear(linear(tokens, "cluster2.0").relu(), "cluster2.2")
    return codes.permute(0, 3, 1, 2)


@pytest.mark.parametrize(("kind", "write"), [("stego", write_stego), ("hp", write_hp)])
def test_checkpoints_of_the_authors_bring_network_and_head(
    kind: str, write: Callable[[Path], Path], tmp_path: Path
) -> None:
    model = build_uss(UssConfig(kind=kind, model=MODEL, head=str(write(tmp_path / "them.ckpt"))))
    assert model.dim == CODE
    torch.testing.assert_close(model(IMAGES), expected_codes(), rtol=1e-4, atol=1e-5)


def test_leopart_is_its_network(tmp_path: Path) -> None:
    config = UssConfig(kind="leopart", model=MODEL, weights=str(write_leopart(tmp_path / "leopart.ckpt")))
    backbone = build_backbone(UssConfig(model=MODEL, weights="none"))
    backbone.network.load_state_dict(network_state())
    assert torch.equal(build_uss(config)(IMAGES), backbone(IMAGES))


def ours(path: Path, weights: Path) -> UssConfig:
    """A head as `dhr train-head` writes it, on a network whose weights are a file."""
    torch.save(network_state(), weights)
    config = UssConfig(model=MODEL, weights=str(weights))
    backbone = build_backbone(config)
    head = StegoHead(backbone.dim, CODE)
    head.load_state_dict({**head_state(backbone.dim), "centre": torch.zeros(backbone.dim)})
    write_head(path, "stego", head, {"dim": backbone.dim, "code": CODE}, describe(config, backbone))
    return replace(config, kind="stego", head=str(path))


def test_our_own_heads_are_read_back(tmp_path: Path) -> None:
    config = ours(tmp_path / "head.safetensors", tmp_path / "vit.pth")
    torch.testing.assert_close(build_uss(config)(IMAGES), expected_codes(), rtol=1e-4, atol=1e-5)


def test_a_head_sits_only_on_what_it_was_trained_on(tmp_path: Path) -> None:
    config = ours(tmp_path / "head.safetensors", tmp_path / "vit.pth")
    with pytest.raises(WeightsError, match=r"trained on another network; set it to uss\.block -1"):
        build_uss(replace(config, block=2))
    torch.save(network_state(seed=5), tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other parameters of 'test_vit'"):
        build_uss(replace(config, weights=str(tmp_path / "other.pth")))
    with pytest.raises(WeightsError, match=r"is a head of uss\.kind stego, not hp"):
        build_uss(replace(config, kind="hp"))


def test_checkpoints_of_other_models_are_refused_by_their_keys(tmp_path: Path) -> None:
    stego, leopart = write_stego(tmp_path / "stego.ckpt"), write_leopart(tmp_path / "leopart.ckpt")
    with pytest.raises(
        WeightsError, match=r"not a checkpoint of uss\.kind hp: expected cluster1\.0\.weight, it has net"
    ):
        build_uss(UssConfig(kind="hp", model=MODEL, head=str(stego)))
    with pytest.raises(WeightsError, match=r"expected net\.cluster1\.0\.weight, it has model\."):
        build_uss(UssConfig(kind="stego", model=MODEL, head=str(leopart)))
    with pytest.raises(
        WeightsError, match=r"not a checkpoint of uss\.kind leopart: expected model\.prototypes\.weight"
    ):
        build_uss(UssConfig(kind="leopart", model=MODEL, weights=str(stego)))
    with pytest.raises(WeightsError, match=r"parameters differ, first .*patch_embed"):
        build_uss(UssConfig(kind="stego", model="vit_tiny_patch16_224", head=str(stego)))
    for kind in ("stego", "hp"):
        with pytest.raises(ConfigError, match=rf"uss\.kind {kind} needs --uss\.head FILE"):
            build_uss(UssConfig(kind=kind, model=MODEL))
    with pytest.raises(ConfigError, match=r"uss\.kind leopart needs --uss\.weights FILE"):
        build_uss(UssConfig(kind="leopart", model=MODEL))
    with pytest.raises(ConfigError, match=r"uss\.head is for uss\.kind stego, cause, hp"):
        UssConfig(head=str(stego))


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_one_line(keep: float, tmp_path: Path) -> None:
    whole = write_stego(tmp_path / "whole.ckpt").read_bytes()
    path = tmp_path / "part.ckpt"
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsError, match=r"--uss\.head: .*part\.ckpt") as caught:
        build_uss(UssConfig(kind="stego", model=MODEL, head=str(path)))
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="no file"):
        build_uss(UssConfig(kind="stego", model=MODEL, head=str(tmp_path / "none.ckpt")))


class _Evil:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return exec, ("raise SystemExit('it was run')",)


def test_nothing_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": _Evil()}, path)
    with pytest.raises(WeightsError, match="only running its code could make, which is never done"):
        build_uss(UssConfig(kind="stego", model=MODEL, head=str(path)))
    path.write_bytes(pickle.dumps(_Evil()))
    with pytest.raises(WeightsError, match=r"evil\.ckpt"):
        build_uss(UssConfig(kind="stego", model=MODEL, head=str(path)))


def test_settings_that_lightning_pickles_are_read_as_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of omegaconf lie beside the weights; they come to nothing, even where omegaconf is there."""
    module = types.ModuleType("omegaconf.dictconfig")
    ran = []

    class DictConfig:
        def __init__(self) -> None:
            self.value = 1

        def __setstate__(self, state: dict[str, int]) -> None:
            ran.append(state)

    DictConfig.__module__, DictConfig.__qualname__ = "omegaconf.dictconfig", "DictConfig"
    module.DictConfig = DictConfig  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
    monkeypatch.setitem(sys.modules, "omegaconf.dictconfig", module)
    path = write_stego(tmp_path / "them.ckpt")
    content = torch.load(path, weights_only=True)
    torch.save({**content, "hyper_parameters": DictConfig()}, path)
    model = build_uss(UssConfig(kind="stego", model=MODEL, head=str(path)))
    torch.testing.assert_close(model(IMAGES), expected_codes(), rtol=1e-4, atol=1e-5)
    assert ran == []
