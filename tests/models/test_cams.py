"""Class maps of the tag classifier against independent computations, and that nothing of their gradients remains."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d

from dhr.errors import ConfigError, WeightsError
from dhr.models.wss import CAM_KINDS, WssConfig
from dhr.models.wss.attention import spread
from dhr.models.wss.cams import CAMS, _rooted
from dhr.models.wss.resnet38d import ResNet38d

from .networks import build_wss

NAMES = ("a", "b", "c", "d")
RESNET = WssConfig(backbone="test_resnet", weights="none")
VIT = WssConfig(backbone="test_vit", weights="none")
CONVOLUTIONAL = [
    RESNET,
    replace(RESNET, backbone="mobilenetv2_035"),
    replace(RESNET, backbone="test_convnext", output_stride=32),
]
names_of = pytest.mark.parametrize("config", [*CONVOLUTIONAL, VIT], ids=lambda config: config.backbone)


def build(config: WssConfig, **changes):
    torch.manual_seed(0)
    model = build_wss(replace(config, **changes), NAMES).eval()
    nn.init.normal_(model.classifier.weight)
    return model


def images(b: int = 2, h: int = 64, w: int = 96) -> Tensor:
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(0))


def test_every_way_is_tried() -> None:
    assert set(CAMS) == set(CAM_KINDS)


@pytest.mark.parametrize("config", CONVOLUTIONAL, ids=lambda config: config.backbone)
def test_grad_cam_of_the_last_map_is_the_cam(config: WssConfig) -> None:
    cam = build(config).maps(images()).cams
    torch.testing.assert_close(build(config, cam="gradcam", layer=-1).maps(images()).cams, cam, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONVOLUTIONAL, ids=lambda config: config.backbone)
@pytest.mark.parametrize("layer", [-1, -2, -3])
def test_against_gradients_through_the_whole_network(config: WssConfig, layer: int) -> None:
    model = build(config)
    levels = model.encode(images().requires_grad_())
    logits = model.classifier(levels[-1]).mean(dim=(2, 3))
    part = levels[layer]
    slopes = torch.stack([torch.autograd.grad(logits[:, tag].sum(), part, retain_graph=True)[0] for tag in (3, 1)], 1)
    count = part.shape[-2] * part.shape[-1]
    expected = {
        "gradcam": (part.unsqueeze(1) * slopes.mean(dim=(3, 4), keepdim=True)).sum(dim=2) * count,
        "layercam": (part.unsqueeze(1) * slopes.clamp_min(0)).sum(dim=2) * count,
    }
    for cam, maps in expected.items():
        result = build(config, cam=cam, layer=layer).maps(images(), [3, 1]).cams
        torch.testing.assert_close(result, maps.detach(), rtol=1e-3, atol=1e-4 * float(maps.detach().abs().amax()))


@pytest.mark.parametrize("layer", [-1, -2])
def test_of_a_transformer_against_gradients_of_its_tokens(layer: int) -> None:
    """The graph goes through the class token, and the final norm; only patches are on the map."""
    model = build(VIT)
    network, kept = model.encoder.network, []
    block = network.blocks[model.encoder.blocks[layer]]
    block.register_forward_hook(lambda module, given, output: (output.retain_grad(), kept.append(output))[0])
    logits = model.classifier(model.encode(images(1).requires_grad_())[-1]).mean(dim=(2, 3))
    logits[0, 2].backward()
    tokens, slope = kept[0][0, 1:], kept[0].grad[0, 1:]  # (24, d)
    result = build(VIT, cam="gradcam", layer=layer).maps(images(1), [2]).cams
    expected = (tokens @ slope.sum(dim=0)).view(1, 1, 4, 6).detach()
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().amax()))


@names_of
def test_the_graph_begins_where_it_must(config: WssConfig) -> None:
    """Nothing of what comes before is kept, which would take many times the memory."""
    model = build(config, cam="gradcam")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with torch.enable_grad():
        levels, part = _rooted(model, images())
    assert part.is_leaf and levels[-1].requires_grad
    assert not images().requires_grad


@names_of
@pytest.mark.parametrize("cam", CAM_KINDS)
def test_nothing_remains(config: WssConfig, cam: str) -> None:
    if cam == "attention" and config is not VIT:
        pytest.skip("convolutional")
    model = build(config, cam=cam)
    next(model.parameters()).requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    switches = {name: module.fused_attn for name, module in model.named_modules() if hasattr(module, "fused_attn")}
    pictures = images()
    maps = model.maps(pictures)
    assert not maps.cams.requires_grad and not maps.features.requires_grad and not pictures.requires_grad
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert {n: m.fused_attn for n, m in model.named_modules() if hasattr(m, "fused_attn")} == switches
    with torch.inference_mode():
        for one, other in zip(vars(model.maps(pictures)).values(), vars(maps).values(), strict=True):
            assert one is other is None or torch.equal(one, other)


@names_of
@pytest.mark.parametrize("cam", CAM_KINDS)
def test_a_failure_leaves_the_network_as_it_was(config: WssConfig, cam: str) -> None:
    if cam == "attention" and config is not VIT:
        pytest.skip("convolutional")
    model = build(config, cam=cam).train()
    with pytest.raises(IndexError):
        model.maps(images(), [7])
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@names_of
@pytest.mark.parametrize("cam", CAM_KINDS)
def test_some_classes_are_some_of_all(config: WssConfig, cam: str) -> None:
    if cam == "attention" and config is not VIT:
        pytest.skip("convolutional")
    model = build(config, cam=cam)
    whole = model.maps(images())
    for tags in ([2], [3, 0], []):
        some = model.maps(images(), tags)
        torch.testing.assert_close(some.cams, whole.cams[:, tags], rtol=1e-4, atol=1e-5)
        assert torch.equal(some.features, whole.features)


def test_attention_is_that_of_the_network() -> None:
    """Against queries and keys of every block, by hand."""
    model = build(VIT, cam="attention")
    between, handles = [], []

    def note(module, given) -> None:
        (x,) = given
        q, k, _ = module.qkv(x).unflatten(-1, (3, module.num_heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (module.q_norm(q) @ module.k_norm(k).transpose(-1, -2) * module.scale).softmax(dim=-1)
        between.append(weights.mean(dim=1)[:, 1:, 1:])

    for block in model.encoder.network.blocks:
        handles.append(block.attn.register_forward_pre_hook(note))
    with torch.no_grad():
        cams = build(VIT).maps(images()).cams
        model.encode(images())
    for handle in handles:
        handle.remove()
    mean = torch.stack(between).mean(dim=0)
    expected = (mean / mean.sum(dim=-1, keepdim=True)) @ cams.flatten(2).transpose(1, 2)  # (b, n, c)
    result = model.maps(images()).cams
    torch.testing.assert_close(result.flatten(2), expected.transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_attention_to_itself_changes_nothing_and_to_all_gives_the_mean() -> None:
    cams = torch.randn(2, 3, 2, 4)
    torch.testing.assert_close(spread(cams, torch.eye(9).expand(2, 9, 9)), cams)
    mean = cams.mean(dim=(2, 3), keepdim=True).expand_as(cams)
    torch.testing.assert_close(spread(cams, torch.full((2, 11, 11), 1 / 11)), mean)


# ResNet-38d


def official_names() -> set[str]:
    """Of the ImageNet checkpoint that PSA and SEAM begin with."""
    norm = ("weight", "bias", "running_mean", "running_var")
    found = {"conv1a.weight", *(f"bn7.{name}" for name in norm)}
    for stage, count in {2: 3, 3: 3, 4: 6, 5: 3, 6: 1, 7: 1}.items():
        for index in range(count):
            block = f"b{stage}_{index}" if index else f"b{stage}"
            parts = ["2a", "2b1", "2b2"] if stage > 5 else ["2a", "2b1"]
            found |= {f"{block}.conv_branch{part}.weight" for part in parts}
            found |= {f"{block}.bn_branch{part}.{name}" for part in parts for name in norm}
            if not index:
                found.add(f"{block}.conv_branch1.weight")
    return found


@pytest.fixture(scope="module")
def wide() -> ResNet38d:
    torch.manual_seed(0)
    network = ResNet38d(8).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return network


def test_parameters_have_the_names_of_the_public_checkpoint(wide: ResNet38d) -> None:
    assert {key for key in wide.state_dict() if not key.endswith("num_batches_tracked")} == official_names()


def test_resnet38d_against_its_definition(wide: ResNet38d) -> None:
    """Block by block, of the parameters by their names."""
    state = wide.state_dict()

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return batch_norm(x, mean, var, weight, bias).clamp_min(0)

    def convolve(x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return conv2d(x, weight, None, stride, dilation * (weight.shape[-1] // 2), dilation)

    pictures = images(1, 24, 40)
    with torch.no_grad():
        x, expected = convolve(pictures, "conv1a"), []
        for stage, count, stride, first, dilation in (
            (2, 3, 2, 1, 1),
            (3, 3, 2, 1, 1),
            (4, 6, 2, 1, 1),
            (5, 3, 1, 1, 2),
        ):
            for index in range(count):
                name = f"b{stage}_{index}" if index else f"b{stage}"
                step = 1 if index else stride
                active = norm(x, f"{name}.bn_branch2a")
                if not index and stage > 2:
                    expected.append(active)
                inner = convolve(active, f"{name}.conv_branch2a", step, dilation if index else first)
                inner = convolve(norm(inner, f"{name}.bn_branch2b1"), f"{name}.conv_branch2b1", 1, dilation)
                x = (x if index else convolve(active, f"{name}.conv_branch1", step)) + inner
        for name in ("b6", "b7"):
            active = norm(x, f"{name}.bn_branch2a")
            if name == "b6":
                expected.append(active)
            inner = norm(convolve(active, f"{name}.conv_branch2a"), f"{name}.bn_branch2b1")
            inner = norm(convolve(inner, f"{name}.conv_branch2b1", 1, 4), f"{name}.bn_branch2b2")
            x = convolve(active, f"{name}.conv_branch1") + convolve(inner, f"{name}.conv_branch2b2")
        expected.append(norm(x, "bn7"))
        levels = wide(pictures)
    assert len(levels) == len(expected) == 5
    for level, other, stride, width in zip(
        levels, expected, wide.feature_info.reduction(), wide.feature_info.channels(), strict=True
    ):
        assert level.shape == (1, width, 24 // stride, 40 // stride)
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("stride", "strides"), [(8, [2, 4, 8, 8, 8]), (16, [2, 4, 8, 16, 16]), (32, [2, 4, 8, 16, 32])]
)
def test_resnet38d_of_other_strides(stride: int, strides: list[int]) -> None:
    with torch.device("meta"):
        network = ResNet38d(stride)
        levels = network(torch.rand(1, 3, 64, 96))
    assert network.feature_info.reduction() == strides
    assert [tuple(level.shape[2:]) for level in levels] == [(64 // one, 96 // one) for one in strides]
    assert [module for module in map(network.tap, range(-5, 0)) if isinstance(module, nn.ReLU)]


def test_a_checkpoint_of_a_classifier_loads_without_its_head(wide: ResNet38d, tmp_path: Path) -> None:
    """As SEAM saves it: from several GPUs, with a head, and what older torch did not count."""
    state = {f"module.{key}": value for key, value in wide.state_dict().items() if "num_batches" not in key}
    torch.save({**state, "module.fc8.weight": torch.rand(20, 4096, 1, 1)}, tmp_path / "seam.pth")
    config = WssConfig(backbone="resnet38d", output_stride=8, weights=str(tmp_path / "seam.pth"))
    model = build_wss(config, NAMES)
    for key, value in model.encoder.state_dict().items():
        assert torch.equal(value, wide.state_dict()[key]), key
    maps = model.maps(images(1, 32, 48))
    assert maps.cams.shape == (1, 4, 4, 6) and maps.features.shape == (1, 5120, 4, 6)


def test_resnet38d_has_no_hub_and_no_options(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no hub has weights of resnet38d.*--wss\.weights FILE"):
        build_wss(WssConfig(backbone="resnet38d"), NAMES)
    with pytest.raises(ConfigError, match=r"wss\.options must be empty for resnet38d, got pad_type"):
        build_wss(WssConfig(backbone="resnet38d", options={"pad_type": "same"}), NAMES)
    save_file(
        {"conv1a.weight": torch.rand(64, 3, 3, 3), "b2.conv_branch2a.weight": torch.rand(8, 64, 3, 3)},
        tmp_path / "a.safetensors",
    )
    with pytest.raises(WeightsError, match=r"another architecture than 'resnet38d'.*b2\.bn_branch2a\.weight"):
        build_wss(WssConfig(backbone="resnet38d", weights=str(tmp_path / "a.safetensors")), NAMES)
