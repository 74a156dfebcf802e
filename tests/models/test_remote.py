"""Weights from a hub: looked for together and first, without waiting where there is no network."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from dhr.api.weights import require_first
from dhr.errors import WeightsError
from dhr.models.remote import cached, fetch, hub_remote, require, timm_remote
from dhr.models.uss import UssConfig, build_uss
from dhr.models.weights import build_timm

VIT = "vit_small_patch14_dinov2.lvd142m"


@dataclass
class Hub:
    """Stands for the hub, and counts who asks it."""

    cache: Path
    answers: bool = False
    asked: list[str] = field(default_factory=list)
    downloaded: list[tuple[str, str]] = field(default_factory=list)
    files: dict[tuple[str, str], Path] = field(default_factory=dict)

    def head(self, address: str, timeout: float) -> None:
        self.asked.append(address)
        assert timeout <= 10
        if not self.answers:
            raise OSError("the network is off")

    def download(self, repository: str, name: str) -> str:
        from huggingface_hub.errors import EntryNotFoundError

        self.downloaded.append((repository, name))
        if (repository, name) not in self.files:
            raise EntryNotFoundError(f"no {name}")
        return str(self.files[repository, name])

    def keep(self, repository: str, name: str) -> Path:
        """A place in the cache, as its client lays it out."""
        folder = self.cache / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text("0" * 40)
        path = folder / "snapshots" / ("0" * 40) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """A hub that does not answer; whoever asks it otherwise than once and shortly fails."""
    stub = Hub(tmp_path / "hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(stub.cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_session", lambda: stub)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", stub.download)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("timm or transformers asked the hub")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", refuse)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_url", refuse)
    return stub


COMMANDS = {
    "run": (("run", "--out", "OUT"), ("'resnet50' (or a local --wss.weights FILE)", VIT)),
    "train": (("train", "--out", "OUT"), ("resnet50", VIT)),
    "irn": (("run", "--out", "OUT", "--wss.kind", "irn", "--uss.kind", "colour"), ("resnet50",)),
    "clip": (
        ("run", "--out", "OUT", "--wss.kind", "clip", "--wss.backbone", "openai/clip-vit-base-patch16"),
        ("'openai/clip-vit-base-patch16' (or a local --wss.weights DIR)", VIT),
    ),
    "mask2former": (
        *(
            (
                "train",
                "--out",
                "OUT",
                "--masks",
                "m",
                "--student.kind",
                "mask2former",
                "--mask2former.model",
                "microsoft/swin-tiny",
            ),
        ),
        ("'microsoft/swin-tiny' (or a local --mask2former.model DIR)",),
    ),
    "mask2former of timm": (
        (
            "train",
            "--out",
            "OUT",
            "--masks",
            "m",
            "--student.kind",
            "mask2former",
            "--mask2former.model",
            "timm/resnet18",
        ),
        ("'resnet18' (or a local --mask2former.weights FILE)",),
    ),
    "features": (("features", "--features", "OUT"), (f"'{VIT}' (or a local --uss.weights FILE)",)),
    "train-head": (("train-head", "--kind", "stego", "--out", "OUT"), (VIT,)),
    "adjacency": (("adjacency", "--groups", "uss"), (VIT,)),
    "download": (("models", "--download"), ("resnet50", VIT)),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("offline", [False, True])
def test_missing_weights_are_named_together_before_anything_is_read(
    name: str, offline: bool, hub: Hub, dhr: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    arguments, words = COMMANDS[name]
    (tmp_path / "empty").mkdir()  # it has a message of its own, once it is read
    data = () if name == "download" else ("--data", str(tmp_path / "empty"))
    ended = dhr([str(tmp_path / "out") if one == "OUT" else one for one in (*arguments, *data)])
    assert ended.code == 2, ended
    assert ended.err.startswith("dhr: ") and ended.err.count("\n") == 1, ended.err
    remedy = "where there is a network" if name == "download" else "dhr models --download"
    for word in (*words, "HF_HUB_OFFLINE", remedy, "--uss.kind colour"):
        assert word in ended.err, ended.err
    assert "empty" not in ended.err
    assert len(hub.asked) == (0 if offline else 1)
    assert hub.downloaded == []
    assert not (tmp_path / "out").exists()


def test_a_finished_output_needs_no_weights(hub: Hub, tmp_path: Path) -> None:
    remote = timm_remote("resnet50", "wss.weights")
    assert remote is not None
    with pytest.raises(WeightsError):
        require_first([remote], tmp_path, tmp_path)
    require_first([remote], tmp_path / "nowhere", tmp_path)  # who reads it tells that first
    (tmp_path / "run.json").write_text("{}")
    require_first([remote], tmp_path, tmp_path)


def test_weights_in_the_cache_are_read_without_a_network(hub: Hub) -> None:
    network = timm.create_model("test_resnet")
    path = hub.keep("timm/test_resnet.r160_in1k", "model.safetensors")
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
    remote = timm_remote("test_resnet", "wss.weights")
    assert remote is not None and cached(remote) == [path]
    require([remote])
    found = build_timm("test_resnet", "hub", "wss.weights", {})
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], value)
    assert hub.asked == [] and hub.downloaded == []


def test_a_vision_transformer_in_the_cache(hub: Hub) -> None:
    """timm has its weights in a format of its own elsewhere, which must not be expected here."""
    model = "vit_tiny_patch16_224"
    path = hub.keep(str(timm.get_pretrained_cfg(model).hf_hub_id), "model.safetensors")  # type: ignore[union-attr]
    torch.manual_seed(3)
    state = timm.create_model(model).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    built: Any = build_uss(UssConfig(model=model))
    torch.testing.assert_close(built.network.state_dict()["cls_token"], state["cls_token"])
    assert hub.asked == [] and hub.downloaded == []


def test_a_damaged_file_in_the_cache_is_named(hub: Hub) -> None:
    path = hub.keep("timm/test_resnet.r160_in1k", "model.safetensors")
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="delete that file") as caught:
        build_timm("test_resnet", "hub", "wss.weights", {})
    assert str(path) in str(caught.value)


def test_what_is_missing_is_fetched_where_there_is_a_network(hub: Hub, dhr: Any, tmp_path: Path) -> None:
    hub.answers = True
    for model, name in (("resnet50", "pytorch_model.bin"), (VIT, "model.safetensors")):
        remote = timm_remote(model, "x")
        assert remote is not None
        hub.files[remote.repository, name] = tmp_path / f"{model}.weights"
    ended = dhr(["models", "--download"])
    assert ended.code == 0, ended.err
    assert f"resnet50: {tmp_path / 'resnet50.weights'}" in ended.out and f"{VIT}: {tmp_path}" in ended.out
    names = [name for _, name in hub.downloaded]
    assert names == ["model.safetensors", "pytorch_model.bin", "model.safetensors"]


def test_a_download_that_fails_is_told(hub: Hub) -> None:
    hub.answers = True
    remote = timm_remote("resnet50", "wss.weights")
    assert remote is not None
    with pytest.raises(WeightsError, match=r"cannot download .*resnet50.*--wss\.weights FILE"):
        fetch(remote)


def test_settings_without_a_hub_need_nothing(hub: Hub, dhr: Any, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(json.dumps({"wss": {"weights": "w.pt"}, "uss": {"kind": "colour"}}))
    ended = dhr(["models", "--download", "--config", tmp_path / "a.yaml"])
    assert (ended.code, ended.out) == (0, "These settings need no weights from a hub.\n")
    ended = dhr(["models", "--download", "--config", tmp_path / "a.yaml", "--wss.weights", "hub"])
    assert ended.code == 2 and "resnet50" in ended.err
    assert hub.downloaded == []


def test_weights_with_an_address_of_their_own(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = timm_remote("legacy_seresnet18.in1k", "wss.weights")
    assert remote is not None and remote.url and not remote.repository
    with pytest.raises(WeightsError, match="does not answer"):
        require([remote])
    assert hub.asked == [remote.url]
    hub.answers = True

    def download(url: str, path: str, progress: bool) -> None:
        Path(path).write_bytes(url.encode())

    saved: Callable[..., None] = download
    monkeypatch.setattr("torch.hub.download_url_to_file", saved)
    (path,) = fetch(remote)
    assert path.read_bytes() == remote.url.encode() and path.is_relative_to(tmp_path / "torch")
    assert cached(remote) == [path]


def test_half_a_download_is_missing(hub: Hub) -> None:
    remote = hub_remote("someone/large", "hub", "wss.weights")
    assert remote is not None
    config = hub.keep("someone/large", "config.json")
    config.write_text("{}")
    here = config.parent
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (here / "model.safetensors.index.json").write_text(json.dumps(index))
    (here / "model-00001-of-00002.safetensors").touch()
    assert cached(remote) is None
    (here / "model-00002-of-00002.safetensors").touch()
    assert cached(remote) is not None
    (here / "model.safetensors.index.json").write_text("{")
    assert cached(remote) is None


def test_a_model_on_request_names_the_licence(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub.errors import GatedRepoError

    hub.answers = True
    answer = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co"))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("cannot be read") from GatedRepoError("Cannot access gated repo", response=answer)

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    remote = hub_remote("someone/asked", "hub", "wss.weights")
    assert remote is not None
    with pytest.raises(WeightsError) as found:
        fetch(remote)
    assert "\n" not in str(found.value)
    for word in ("https://huggingface.co/someone/asked", "hf auth login", "--wss.weights DIR"):
        assert word in str(found.value), found.value
