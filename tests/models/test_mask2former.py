"""Mask2Former as a student: its weights from files and folders, and what cannot be; its file."""

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, WeightsError
from dhr.models.student import Mask2FormerConfig, StudentModel
from dhr.models.student.mask2former import Mask2FormerStudent
from dhr.models.student.mask2former_build import build_mask2former
from dhr.train.student_file import read_student, write_student

ENCODER = "model.pixel_level_module.encoder."
Build = Callable[..., Mask2FormerStudent]


@pytest.fixture(scope="module")
def tiny(tiny_mask2former: tuple[str, ...]) -> Mask2FormerConfig:
    """Random weights, from settings alone."""
    given = dict(zip(tiny_mask2former[::2], tiny_mask2former[1::2], strict=True))
    backbone, options = (json.loads(given[f"--mask2former.{name}"]) for name in ("backbone", "options"))
    return Mask2FormerConfig("swin", "none", backbone, options)


@pytest.fixture(scope="module")
def trained(tiny: Mask2FormerConfig) -> Mask2FormerStudent:
    """With weights that nothing else has by chance."""
    return built(tiny, 1)


def built(config: Mask2FormerConfig, seed: int = 0, classes: int = 5) -> Mask2FormerStudent:
    torch.manual_seed(seed)
    return build_mask2former(config, classes, True).eval()


def states(student: Mask2FormerStudent) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in student.network.state_dict().items()}


def differing(one: Mask2FormerStudent, other: Mask2FormerStudent) -> set[str]:
    mine, theirs = states(one), states(other)
    assert mine.keys() == theirs.keys()
    return {key for key, value in mine.items() if not torch.equal(value, theirs[key])}


def refused(config: Mask2FormerConfig) -> str:
    with pytest.raises((WeightsError, ConfigError)) as caught:
        built(config)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_what_it_gives(trained: Mask2FormerStudent) -> None:
    assert isinstance(trained, StudentModel)
    images = torch.rand(2, 3, 48, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen, whole = trained(images), trained.segment(images)
    assert len(seen.classes) == len(seen.masks) == 3
    assert seen.classes.shape[1:] == (2, 6, 6) and seen.masks.shape[1:3] == (2, 6)
    assert whole.shape == (2, 5, 48, 70)
    torch.testing.assert_close(whole.sum(dim=1), torch.ones(2, 48, 70))


def test_all_that_is_trained_is_in_one_group(trained: Mask2FormerStudent) -> None:
    parameters = [id(one) for group in trained.groups() for one in group.parameters]
    assert len(parameters) == len(set(parameters))
    assert set(parameters) == {id(one) for one in trained.parameters() if one.requires_grad}
    assert {(group.new, group.decay) for group in trained.groups()} == {
        (new, decay) for new in (False, True) for decay in (False, True)
    }


def test_a_file_gives_the_same_student(trained: Mask2FormerStudent, tmp_path: Path) -> None:
    classes = ClassTable(("background", "cat", "dog", "ä;b", "=x"), background=True)
    write_student(tmp_path / "student.safetensors", trained, classes, 64)
    read = read_student(tmp_path / "student.safetensors")
    assert (read.classes.names, read.classes.background, read.long_side) == (classes.names, True, 64)
    assert read.student.kind == "mask2former" and read.student.background == 1
    assert not read.student.training
    assert not differing(trained, read.student)
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(read.student.segment(images), trained.segment(images))
    content = (tmp_path / "student.safetensors").read_bytes()
    write_student(tmp_path / "again.safetensors", read.student, read.classes, read.long_side)
    assert (tmp_path / "again.safetensors").read_bytes() == content


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("use_pretrained_backbone", True, "must not refer to other files"),
        ("backbone", "resnet50", "unknown settings"),
        ("_name_or_path", "someone/model", "must not refer to other files"),
        ("attn_implementation", "someone/kernel", "must not refer to other files"),
        ("auto_map", {"AutoConfig": "code"}, "must not refer to other files"),
        ("trust_remote_code", True, "unknown settings"),
        ("backbone_config.model_type", "../code", "expected a name"),
        ("backbone_config.model_type", "nothing", "transformers has no network"),
        ("backbone_config.use_pretrained_backbone", True, "must not refer to other files"),
        ("backbone_config.embed_dim", 10**9, "whole number"),
        ("backbone_config", 3, ""),
        ("num_queries", 7, "shape"),
    ],
)
def test_a_file_leads_to_no_hub(
    place: str, value: Any, said: str, trained: Mask2FormerStudent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "student.safetensors"
    write_student(path, trained, ClassTable(tuple("abcde"), background=True), 64)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["student"])
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    *groups, name = place.split(".")
    inner = header["network"]
    for group in groups:
        inner = inner[group]
    inner[name] = value
    save_file(state, path, {"student": json.dumps(header)})

    def refuse(*_: Any) -> None:
        raise AssertionError("the network is asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(WeightsError, match="is not a usable student") as error:
        read_student(path)
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1
    assert "is asked" not in str(error.value)


def test_a_file_that_is_cut_is_refused(trained: Mask2FormerStudent, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    write_student(path, trained, ClassTable(tuple("abcde"), background=True), 64)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="not a usable student"):
        read_student(path)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_of_the_whole_network(
    suffix: str, tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path
) -> None:
    path = tmp_path / f"whole.{suffix}"
    save_file(states(trained), path) if suffix == "safetensors" else torch.save(states(trained), path)
    assert not differing(built(replace(tiny, weights=str(path))), trained)


def test_a_file_of_other_classes_gives_all_but_their_predictor(
    tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path
) -> None:
    save_file(states(trained), tmp_path / "whole.safetensors")
    other, mine = states(built(replace(tiny, weights=str(tmp_path / "whole.safetensors")), classes=3)), states(trained)
    assert len(other["class_predictor.weight"]) == 4
    new = {key for key, value in mine.items() if not torch.equal(value, other[key])}
    assert new == {"class_predictor.weight", "class_predictor.bias", "criterion.empty_weight"}


def test_a_file_of_the_backbone_alone(tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path) -> None:
    backbone = {key.removeprefix(ENCODER): value for key, value in states(trained).items() if key.startswith(ENCODER)}
    save_file(backbone, tmp_path / "backbone.safetensors")
    found = differing(built(replace(tiny, weights=str(tmp_path / "backbone.safetensors"))), trained)
    assert found and not any(key.startswith(ENCODER) for key in found)


def test_a_folder_of_a_whole_network(tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path) -> None:
    """Its settings are those of the folder."""
    trained.network.save_pretrained(tmp_path / "whole")
    assert not differing(built(Mask2FormerConfig(str(tmp_path / "whole"))), trained)


def test_a_folder_of_a_backbone(tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path) -> None:
    """As its authors publish it: made to classify; the norms of the maps are not in it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(2)
    transformers.SwinForImageClassification(transformers.SwinConfig(**tiny.backbone)).save_pretrained(tmp_path / "swin")
    first, second = (
        built(replace(tiny, model=str(tmp_path / "swin"), weights="hub", backbone={}), one) for one in (1, 2)
    )
    found = differing(first, second)
    assert found and not any(key.startswith(ENCODER) for key in found)


@pytest.mark.parametrize("part", ["whole", "backbone"])
def test_weights_of_another_width_are_named(
    part: str, tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path
) -> None:
    path, state = tmp_path / "other.safetensors", states(trained)
    if part == "backbone":
        state = {key.removeprefix(ENCODER): value for key, value in state.items() if key.startswith(ENCODER)}
    save_file(state, path)
    message = refused(replace(tiny, weights=str(path), backbone={**tiny.backbone, "embed_dim": 16}))
    assert str(path) in message and "another architecture" in message and "first " in message
    assert ("embeddings." if part == "backbone" else "model.pixel_level_module.") in message.split("first ")[1]


def test_a_folder_of_another_width_is_named(
    tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path
) -> None:
    trained.network.save_pretrained(tmp_path / "whole")
    message = refused(Mask2FormerConfig(str(tmp_path / "whole"), backbone={"embed_dim": 16}))
    assert str(tmp_path / "whole") in message and "another architecture" in message


def test_a_file_that_lacks_one_parameter_is_refused(
    tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path
) -> None:
    state = states(trained)
    key = next(key for key in state if "queries_features" in key)
    del state[key]
    save_file(state, tmp_path / "part.safetensors")
    message = refused(replace(tiny, weights=str(tmp_path / "part.safetensors")))
    assert key in message and "1 of" in message


@pytest.mark.parametrize("content", ["text", "cut", "missing", "stranger"])
def test_a_file_that_is_none_of_it(
    content: str, tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_file(states(trained) if content == "cut" else {"conv.weight": torch.ones(3)}, path)
    if content == "text":
        path.write_text("These are no weights.\n" * 20)
    elif content == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif content == "missing":
        path.unlink()
    message = refused(replace(tiny, weights=str(path)))
    assert str(path) in message
    expected = {"missing": "no file", "stranger": "another architecture"}
    assert expected.get(content, "not a readable state dict") in message


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("content", ["empty", "no weights", "cut", "bert", "missing"])
def test_a_folder_that_is_none_of_it(
    content: str, tiny: Mask2FormerConfig, trained: Mask2FormerStudent, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    weights = folder / "model.safetensors"
    match content:
        case "no weights":
            trained.network.save_pretrained(folder)
            weights.unlink()
        case "cut":
            trained.network.save_pretrained(folder)
            weights.write_bytes(weights.read_bytes()[:-100])
        case "bert":
            (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
            save_file({"a": torch.ones(1)}, weights)
        case "missing":
            folder.rmdir()
    assert str(folder) in refused(Mask2FormerConfig(str(folder)))


def test_code_beside_a_model_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anybody asked whether it may be."""
    folder, marker = tmp_path / "model", tmp_path / "marker"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "unknown", "auto_map": {"AutoConfig": "evil.Config"}}')
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Config: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    assert str(folder) in refused(Mask2FormerConfig(str(folder)))
    assert not marker.exists()


def test_settings_that_nothing_has_are_named(tiny: Mask2FormerConfig) -> None:
    assert "embed_dims" in refused(replace(tiny, backbone={"embed_dims": 8}))
    assert "queries" in refused(replace(tiny, options={"queries": 8}))
    assert "--mask2former.weights" in refused(replace(tiny, weights="hub"))
    reserved: dict[str, Any] = {"num_labels": 3}
    with pytest.raises(ConfigError, match="num_labels"):
        replace(tiny, options=reserved)
