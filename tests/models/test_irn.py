"""What the heads of IRN add to a tag classifier, and what they leave as it is."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dhr.models.wss import WssConfig
from dhr.models.wss.irn import IrnClassifier

from .networks import build_wss

CONFIG = WssConfig(kind="irn", backbone="test_resnet", weights="none")
PLAIN = replace(CONFIG, kind="classifier")


def fresh(config: WssConfig = CONFIG) -> IrnClassifier:
    torch.manual_seed(0)
    model = build_wss(config, ["a", "b", "c"])
    assert isinstance(model, IrnClassifier)
    return model


def images(h: int = 64, w: int = 96, b: int = 2) -> Tensor:
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(0))


def test_encoder_and_classifier_are_those_of_the_plain_kind() -> None:
    model = fresh()
    torch.manual_seed(0)
    plain = build_wss(PLAIN, ["a", "b", "c"])
    shared = plain.state_dict()
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in shared.items())
    assert {name for name in state if name not in shared} == {f"heads.{name}" for name in model.heads.state_dict()}
    one, other = model.maps(images()), plain.maps(images())
    assert torch.equal(one.cams, other.cams) and torch.equal(one.features, other.features)
    assert other.edges is None
    assert plain.tag_state().keys() == model.tag_state().keys() == shared.keys()


@pytest.mark.parametrize(
    ("backbone", "stride", "options", "expected"),
    [
        ("test_resnet", 16, {}, 4),
        ("test_resnet", 8, {}, 4),
        ("mobilenetv2_035", 32, {}, 4),
        ("test_convnext", 32, {}, 4),
        ("test_resnet", 32, {"out_indices": [3, 4]}, 16),
        ("test_resnet", 32, {"out_indices": [0, 1]}, 4),
    ],
)
def test_edges_lie_on_the_finest_grid_of_stride_four_or_more(
    backbone: str, stride: int, options: dict[str, list[int]], expected: int
) -> None:
    model = fresh(replace(CONFIG, backbone=backbone, output_stride=stride, options=options))
    assert model.heads.stride == expected
    maps = model.maps(images(128, 192))
    assert maps.edges is not None
    assert maps.edges.shape == (2, 1, 128 // expected, 192 // expected)
    _, displacement = model.heads(model.encode(images(128, 192)))
    assert displacement.shape == (2, 2, 128 // expected, 192 // expected)


def test_edges_are_probabilities() -> None:
    model = fresh().eval()
    with torch.no_grad():  # stronger than at birth, and of both signs
        model.heads.edges.join.weight.mul_(10)
        logits, _ = model.heads(model.encode(images()))
        model.heads.edges.join.bias.sub_(logits.mean())
    maps = model.maps(images())
    assert maps.edges is not None
    assert maps.edges.min() >= 0 and maps.edges.max() <= 1
    assert maps.edges.std() > 0.05


def test_gradients_end_at_the_heads() -> None:
    model = fresh()
    logits, displacement = model.heads(model.encode(images()))
    (logits.square().sum() + displacement.square().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.heads.parameters())
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    assert all(parameter.grad is None for parameter in model.classifier.parameters())


def test_a_reset_is_a_function_of_the_seed() -> None:
    model = fresh()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        model.heads.reset()
        found.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(found[0][name], found[1][name]) for name in before)
    changed = {name for name in before if not torch.equal(found[0][name], found[2][name])}
    assert changed == {name for name in before if name.startswith("heads.") and before[name].dim() == 4} | {
        name for name in before if name.endswith("join.bias")
    }
