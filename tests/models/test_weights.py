"""Weights: from files of either kind, from the hub, and from what should never be loaded."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from dhr.errors import WeightsError
from dhr.models.uss import UssConfig, build_uss
from dhr.models.weights import build_timm, normalisation
from dhr.models.wss import WssConfig

from .networks import build_wss

VIT, RESNET = "test_vit", "test_resnet"


def build(kind: str, weights: str | Path, model: str = "") -> Callable[[Tensor], Tensor]:
    """Features of a USS or WSS model whose network has these weights."""
    if kind == "uss":
        return build_uss(UssConfig(model=model or VIT, weights=str(weights)))
    wss = build_wss(WssConfig(backbone=model or RESNET, weights=str(weights)), ["a", "b"])
    return lambda images: wss.maps(images).features


def saved(kind: str, seed: int = 0) -> dict[str, Tensor]:
    """State of a whole network, classifier included, as timm and torchvision publish it; no value as at birth."""
    torch.manual_seed(seed)
    state = timm.create_model(VIT if kind == "uss" else RESNET).state_dict()
    return {
        key: value + 0.1 * torch.rand_like(value) if value.is_floating_point() else value
        for key, value in state.items()
    }


both_kinds = pytest.mark.parametrize("kind", ["uss", "wss"])


def refused(kind: str, path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        build(kind, path)
    message = str(caught.value)
    assert f"--{kind}.weights" in message
    assert str(path) in message
    assert "\n" not in message
    return message


@both_kinds
def test_a_file_of_either_format_gives_the_same_network(kind: str, tmp_path: Path) -> None:
    state = saved(kind)
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "c.pth")
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "d.pt")
    torch.save(state, tmp_path / "e.bin", _use_new_zipfile_serialization=False)
    images = torch.rand(1, 3, 64, 64)
    results = [build(kind, path)(images) for path in sorted(tmp_path.iterdir())]
    assert len(results) == 5
    for other in results[1:]:
        assert torch.equal(other, results[0])
    torch.manual_seed(0)
    assert not torch.allclose(build(kind, "none")(images), results[0], atol=1e-3)


@both_kinds
def test_the_file_is_what_the_network_computes_with(kind: str, tmp_path: Path) -> None:
    """Against timm itself, which is given the same state."""
    save_file(saved(kind), tmp_path / "a.safetensors")
    images = torch.rand(1, 3, 64, 64)
    if kind == "uss":
        network = timm.create_model(VIT, num_classes=0, dynamic_img_size=True).eval()
        network.load_state_dict(saved(kind), strict=False)
    else:
        network = timm.create_model(RESNET).eval()
        network.load_state_dict(saved(kind))
    mean, std = (torch.tensor(network.pretrained_cfg[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        if kind == "uss":
            tokens = network.forward_features((images - mean) / std)[:, network.num_prefix_tokens :]
            expected = tokens.transpose(1, 2).unflatten(2, (4, 4))  # (1, d, 4, 4)
        else:  # output stride 32 and the classifier's last map: only the deepest stage is compared
            expected = torch.nn.functional.normalize(network.forward_features((images - mean) / std))
    if kind == "uss":
        result = build(kind, tmp_path / "a.safetensors")(images)
    else:
        model = build_wss(
            WssConfig(backbone=RESNET, weights=str(tmp_path / "a.safetensors"), output_stride=32), ["a", "b"]
        )
        result = model.maps(images).features[:, -expected.shape[1] :]
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_an_encoder_saved_by_itself_loads_again(tmp_path: Path) -> None:
    """Without a classifier, as one's own training saves it."""
    model = build_wss(WssConfig(backbone=RESNET, weights="none"), ["a", "b"])
    images = torch.rand(1, 3, 64, 64)
    expected = model.maps(images).features
    torch.save(model.encoder.state_dict(), tmp_path / "encoder.pth")
    assert torch.equal(build("wss", tmp_path / "encoder.pth")(images), expected)


def test_a_vit_trained_at_another_size_loads(tmp_path: Path) -> None:
    """Its positional embedding is resampled."""
    torch.save(timm.create_model(VIT, img_size=96).state_dict(), tmp_path / "small.pth")
    assert build("uss", tmp_path / "small.pth")(torch.rand(1, 3, 64, 64)).isfinite().all()


@both_kinds
def test_another_architecture_is_refused_by_its_first_keys(kind: str, tmp_path: Path) -> None:
    other = "wss" if kind == "uss" else "uss"
    save_file(saved(other), tmp_path / "other.safetensors")
    message = refused(kind, tmp_path / "other.safetensors")
    assert "another architecture" in message
    first = next(iter(timm.create_model(VIT if kind == "uss" else RESNET).state_dict()))
    assert first.split(".")[0] in message
    assert "not in the file" in message


def test_the_same_keys_with_other_shapes_are_refused(tmp_path: Path) -> None:
    state = saved("wss")
    key = next(key for key, value in state.items() if value.dim() == 4)
    state[key] = state[key][:1].clone()
    save_file(state, tmp_path / "other.safetensors")
    message = refused("wss", tmp_path / "other.safetensors")
    assert f"(file: {tuple(state[key].shape)})" in message


@both_kinds
def test_a_state_that_lacks_one_parameter_is_refused(kind: str, tmp_path: Path) -> None:
    state = saved(kind)
    del state["norm.weight" if kind == "uss" else "layer2.0.conv1.weight"]
    save_file(state, tmp_path / "part.safetensors")
    assert "1 of" in refused(kind, tmp_path / "part.safetensors")


@both_kinds
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("length", [0, 100, 0.5, 0.99])
def test_a_part_of_a_file_is_refused(kind: str, suffix: str, length: float, tmp_path: Path) -> None:
    whole = tmp_path / f"whole.{suffix}"
    save_file(saved(kind), whole) if suffix == "safetensors" else torch.save(saved(kind), whole)
    content = whole.read_bytes()
    part = tmp_path / f"part.{suffix}"
    part.write_bytes(content[: int(length * len(content)) if length < 1 else int(length)])
    assert "not a readable state dict" in refused(kind, part)


@both_kinds
@pytest.mark.parametrize("name", ["notes.txt", "weights.pth", "weights.safetensors", "weights.npz"])
def test_a_text_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("These are no weights.\n" * 20)
    assert "not a readable state dict" in refused(kind, tmp_path / name)


@both_kinds
def test_a_file_that_is_not_there(kind: str, tmp_path: Path) -> None:
    assert "no file" in refused(kind, tmp_path / "missing.pth")
    assert "no file" in refused(kind, tmp_path)


@both_kinds
@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, 7, {}, None, {"state_dict": {}}])
def test_what_is_no_state_dict_is_refused(kind: str, content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pth")
    refused(kind, tmp_path / "odd.pth")


@both_kinds
def test_values_that_are_no_tensors_are_refused(kind: str, tmp_path: Path) -> None:
    torch.save(dict.fromkeys(saved(kind), 0), tmp_path / "odd.pth")
    refused(kind, tmp_path / "odd.pth")


class Intruder:
    """Whoever unpickles it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@both_kinds
@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.bin", "a.pkl", "a.npz", "a.npy", "a.safetensors", "a"])
@pytest.mark.parametrize("wrap", [False, True])
def test_code_in_a_file_is_not_executed(kind: str, name: str, wrap: bool, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / name
    content = {"state_dict": {"conv1.weight": Intruder(marker)}}
    torch.save(content, path) if wrap else path.write_bytes(pickle.dumps(content, protocol=2))
    refused(kind, path)
    assert not marker.exists()
    with path.open("rb") as file:
        if not wrap:
            pickle.load(file)["state_dict"]["conv1.weight"].close()  # the file is as dangerous as it is meant to be
            assert marker.exists()


@both_kinds
@pytest.mark.parametrize("wrap", [False, True])
def test_code_in_a_file_of_a_hub_is_not_executed(
    kind: str, wrap: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with a release of timm whose reader executes it."""
    marker, path = tmp_path / "marker", tmp_path / "a.pth"
    content = {"state_dict": {"conv1.weight": Intruder(marker)}}
    torch.save(content, path) if wrap else path.write_bytes(pickle.dumps(content, protocol=2))
    monkeypatch.setattr(import_module("dhr.models.remote"), "fetch", lambda remote: [path])
    reader = timm.models.load_state_dict
    older = lambda *given, weights_only=False, **others: reader(*given, weights_only=weights_only, **others)  # noqa: E731
    monkeypatch.setattr("timm.models._builder.load_state_dict", older)
    with pytest.raises(WeightsError, match="not a readable state dict"):
        build(kind, "hub")
    assert not marker.exists()


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize(("kind", "model"), [("uss", "vit_small_patch14_dinov2.lvd142m"), ("wss", "resnet50")])
def test_without_a_network_a_local_file_is_asked_for(
    kind: str, model: str, offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1" if offline else "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)  # read when it was imported
    with pytest.raises(WeightsError, match=f"--{kind}.weights FILE") as caught:
        build(kind, "hub", model)
    assert model in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_without_a_network_other_hosts_are_no_different() -> None:
    """Weights that timm has by an address of its own, not from the hub."""
    with pytest.raises(WeightsError, match=r"--wss\.weights FILE"):
        build_timm("legacy_seresnet18.in1k", "hub", "wss.weights", {})


def test_a_network_without_published_weights_says_so() -> None:
    without = next(name for name in ("resnet50_clip", "resnet10t", "vit_tiny_patch16_384", "resnet61q", "seresnet18")
                   if not timm.models.is_model_pretrained(name))  # fmt: skip
    with pytest.raises(WeightsError, match=r"no weights for .*--wss\.weights FILE"):
        build("wss", "hub", without)


def test_normalisation_is_what_timm_says() -> None:
    for name, options in ((VIT, {}), (RESNET, {"features_only": True}), ("mobilenetv2_035", {"features_only": True})):
        network = timm.create_model(name, **options)
        told = timm.create_model(name).pretrained_cfg
        for result, key in zip(normalisation(network), ("mean", "std"), strict=True):
            assert result.shape == (3, 1, 1)
            torch.testing.assert_close(result.flatten(), torch.tensor(told[key]))


class TestRealWeights:
    """The two files that measurements use."""

    HALF = (0.5, 0.5, 0.5)

    def test_mobilenet(self, weights_folder: Path) -> None:
        path = weights_folder / "mobilenetv2_100.imagenet.safetensors"
        config = WssConfig(
            backbone="mobilenetv2_100", weights=str(path), mean=self.HALF, std=self.HALF, options={"pad_type": "same"}
        )
        model = build_wss(config, ["a", "b", "c", "d"])
        maps = model.maps(torch.rand(1, 3, 96, 128))
        assert maps.cams.shape == (1, 4, 6, 8)
        assert maps.features.shape == (1, model.dim, 6, 8)
        assert maps.features.isfinite().all()
        with pytest.raises(WeightsError, match="another architecture"):
            build_wss(replace(config, backbone="mobilenetv2_050"), ["a", "b", "c", "d"])

    def test_vit(self, weights_folder: Path) -> None:
        path = weights_folder / "vit_tiny_patch16_224.safetensors"
        config = UssConfig(model="vit_tiny_patch16_224", weights=str(path), block=9, mean=self.HALF, std=self.HALF)
        model = build_uss(config)
        images = torch.rand(1, 3, 96, 128)
        features = model(images)
        assert features.shape == (1, 192, 6, 8)
        assert features.isfinite().all()
        with pytest.raises(WeightsError, match="another architecture"):
            build_uss(replace(config, model="vit_small_patch16_224"))
        random = build_uss(replace(config, weights="none"))(images)
        assert not torch.allclose(random, features, atol=0.1)
