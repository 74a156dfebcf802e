"""What every USS and WSS model must do, whatever it is; small random networks stand in for the large ones."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dhr.errors import ConfigError
from dhr.models.uss import USS_MODELS, UssConfig, UssModel, build_uss
from dhr.models.views import average_views
from dhr.models.windows import Windows
from dhr.models.wss import WssConfig, WssModel
from dhr.sources import source_type

from .heads import MODEL, write_cause, write_hp, write_leopart, write_stego
from .networks import KINDS, build_wss

NAMES = ("cat", "dog", "tv monitor")
CLASSES = len(NAMES)
TINY_CLIP = "a tiny CLIP"
"""Stands for the folder that the fixture `tiny_clip` writes."""
FOLDERS: dict[str, str] = {}
USS = {
    "timm": [UssConfig(model="test_vit", weights="none"), UssConfig(model="test_vit2", weights="none", block=1)],
    "colour": [UssConfig(kind="colour")],
    "stego": [UssConfig(kind="stego", model=MODEL, head="stego")],
    "cause": [UssConfig(kind="cause", model=MODEL, weights="none", head="cause")],
    "hp": [UssConfig(kind="hp", model=MODEL, head="hp")],
    "leopart": [UssConfig(kind="leopart", model=MODEL, weights="leopart")],
}
USS["timm"] += [
    UssConfig(model="test_resnet", weights="none", block=2),
    UssConfig(model="test_convnext", weights="none"),
    UssConfig(  # rotary positions, registers
        model="vit_small_patch16_dinov3", weights="none", options={"depth": 2, "embed_dim": 48, "num_heads": 2}
    ),
    UssConfig(  # registers, patches of 14 pixels
        model="vit_small_patch14_reg4_dinov2",
        weights="none",
        options={"depth": 2, "embed_dim": 48, "num_heads": 2, "img_size": 56},
    ),
]
CHECKPOINTS = {"stego": write_stego, "cause": write_cause, "hp": write_hp, "leopart": write_leopart}
"""What writes the files that stand in for them in the settings above, where a file is needed."""
WSS = {
    "classifier": [
        WssConfig(backbone="test_resnet", weights="none"),
        WssConfig(backbone="mobilenetv2_035", weights="none", options={"pad_type": "same"}),
        WssConfig(backbone="test_convnext", weights="none", output_stride=32),
        WssConfig(backbone="resnest14d", weights="none", cam="layercam"),
        WssConfig(backbone="test_vit", weights="none"),
        WssConfig(backbone="test_vit2", weights="none", cam="gradcam"),
        WssConfig(backbone="test_vit3", weights="none", cam="layercam"),
        WssConfig(backbone="test_vit2", weights="none", cam="attention"),
        WssConfig(  # rotary positions, registers
            backbone="vit_small_patch16_dinov3",
            weights="none",
            cam="attention",
            options={"depth": 4, "embed_dim": 48, "num_heads": 2},
        ),
    ],
    "irn": [
        WssConfig(kind="irn", backbone="test_resnet", weights="none"),
        WssConfig(kind="irn", backbone="mobilenetv2_035", weights="none", output_stride=8),
        WssConfig(kind="irn", backbone="test_convnext", weights="none", output_stride=32),
        WssConfig(kind="irn", backbone="test_vit", weights="none"),
    ],
    "clip": [WssConfig(kind="clip", backbone=TINY_CLIP), WssConfig(kind="clip", backbone=TINY_CLIP, refine=False)],
}
SIZES = [(64, 96), (33, 47), (32, 500), (500, 32), (1, 1), (7, 130)]

TRAINED = {kind: configs for kind, configs in WSS.items() if kind != "clip"}

Maps = Callable[[Tensor], tuple[Tensor, ...]]


@pytest.fixture(autouse=True)
def _folders(request: pytest.FixtureRequest) -> None:
    """A CLIP is written for the tests that need one."""
    config = getattr(request.node, "callspec", None) and request.node.callspec.params.get("config")
    if getattr(config, "kind", "") == "clip":
        FOLDERS[TINY_CLIP] = str(request.getfixturevalue("tiny_clip"))


@pytest.fixture(autouse=True, scope="module")
def _checkpoints(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Checkpoints are written for the models that need one."""
    root = tmp_path_factory.mktemp("checkpoints")
    FOLDERS.update({kind: str(write(root / f"{kind}.ckpt")) for kind, write in CHECKPOINTS.items()})


def made(config: UssConfig) -> UssModel:
    """The model, with the file that its settings stand for."""
    weights = FOLDERS.get(config.weights, config.weights)
    return build_uss(replace(config, weights=weights, head=FOLDERS.get(config.head or "", config.head)))


def uss_maps(config: UssConfig) -> tuple[UssModel, Maps]:
    torch.manual_seed(0)
    model = made(config)
    return model, lambda images: (model(images),)


def wss_maps(config: WssConfig) -> tuple[WssModel, Maps]:
    torch.manual_seed(0)
    config = replace(config, backbone=FOLDERS.get(config.backbone, config.backbone))
    model = build_wss(config, NAMES)

    def run(images: Tensor) -> tuple[Tensor, ...]:
        maps = model.maps(images)
        return maps.cams, maps.features, *([] if maps.edges is None else [maps.edges])

    return model, run


CASES = [
    pytest.param(
        build, config, id="-".join([config.kind, getattr(config, name), getattr(config, "cam", "")]).strip("-")
    )
    for build, known, name in ((uss_maps, USS, "model"), (wss_maps, WSS, "backbone"))
    for configs in known.values()
    for config in configs
]
every_model = pytest.mark.parametrize(("build", "config"), CASES)


def images(b: int, h: int, w: int) -> Tensor:
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(h * w))


def test_every_registered_model_is_tested() -> None:
    assert set(USS) == set(USS_MODELS)
    assert set(WSS) == set(KINDS)


@pytest.mark.parametrize(
    "config", [config for configs in USS.values() for config in configs], ids=lambda one: one.model
)
def test_cells_of_windows_lie_on_one_grid(config: UssConfig) -> None:
    model = made(config)
    windows = Windows(max(64, 2 * model.cell), 0.25, model.cell)
    (maps,) = average_views(lambda views: (model(views),), images(2, 150, 230), [], (1.0,), False, windows)
    assert maps.shape[:2] == (2, model.dim)
    assert maps.isfinite().all()
    assert model.trained_on == 0 or model.trained_on >= 32


@every_model
@pytest.mark.parametrize("size", SIZES)
def test_maps_of_any_size(build, config, size: tuple[int, int]) -> None:
    model, run = build(config)
    if min(size) < 32 and getattr(config, "backbone", "") == "test_convnext":
        pytest.skip("convolutions without padding need 32 pixels; `average_views` never gives less")
    results = run(images(2, *size))
    channels = [maps.shape[1] for maps in results]
    if build is wss_maps:
        assert channels == [CLASSES, model.dim, *([1] if config.kind == "irn" else [])]
    else:
        assert channels == [model.dim]
    for index, maps in enumerate(results):
        assert len(maps) == 2
        if getattr(config, "cam", "cam") in ("cam", "attention"):  # else the map that was chosen has its own
            assert index == 2 or maps.shape[-2:] == results[0].shape[-2:]  # edges have a grid of their own
        assert min(maps.shape) > 0
        assert maps.dtype == torch.float32
        assert maps.isfinite().all()
        assert not maps.requires_grad
        long = max(size) / min(size)
        if min(size) >= 32:  # the map has the photograph's proportions
            ratio = max(maps.shape[-2:]) / min(maps.shape[-2:])
            assert long / 1.6 <= ratio <= long * 1.6


@every_model
def test_the_same_again(build, config) -> None:
    _, run = build(config)
    pictures = images(2, 64, 48)
    copy = pictures.clone()
    first = run(pictures)
    run(images(1, 96, 64))
    for one, other in zip(first, run(pictures), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(pictures, copy), "the photographs were changed"


@every_model
def test_the_batch_does_not_matter(build, config) -> None:
    _, run = build(config)
    pictures = images(3, 64, 48)
    together = run(pictures)
    for index in range(3):
        for one, many in zip(run(pictures[index : index + 1]), together, strict=True):
            torch.testing.assert_close(one[0], many[index], rtol=1e-4, atol=1e-4)


@every_model
def test_photographs_are_told_apart(build, config) -> None:
    _, run = build(config)
    for one, other in zip(run(images(1, 64, 48)), run(1 - images(1, 64, 48)), strict=True):
        assert not torch.allclose(one, other, atol=1e-5)


@every_model
def test_training_in_between_does_not_matter(build, config) -> None:
    """Maps are the same in the midst of training, and taking them leaves the training as it was."""
    model, run = build(config)
    if not isinstance(model, nn.Module):
        pytest.skip("nothing to train")
    pictures = images(2, 64, 48)
    model.eval()
    expected = run(pictures)
    model.train()
    frozen = next((module for module in model.modules() if isinstance(module, nn.BatchNorm2d)), None)
    if frozen is not None:
        frozen.eval()
    modes = [module.training for module in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    for one, other in zip(run(pictures), expected, strict=True):
        assert torch.equal(one, other)
    assert [module.training for module in model.modules()] == modes
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


@every_model
def test_a_mirrored_photograph_has_mirrored_maps(build, config) -> None:
    """When both are averaged, as masks are made; exactly but for rounding."""
    _, run = build(config)
    picture = images(1, 64, 96)
    once, again = (
        average_views(lambda view: run(view)[:2], one, [], (1.0, 1.5), flip=True) for one in (picture, picture.flip(-1))
    )
    for one, other in zip(once, again, strict=True):
        torch.testing.assert_close(one, other.flip(-1), rtol=1e-3, atol=1e-4)


@every_model
def test_half_precision_sees_the_same(build, config) -> None:
    _, run = build(config)
    exact = run(images(1, 96, 96))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = run(images(1, 96, 96))
    for one, other in zip(exact[:2], rough[:2], strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.float().flatten(), dim=0) > 0.97


@every_model
def test_what_is_saved_is_loaded(build, config) -> None:
    model, run = build(config)
    if not isinstance(model, nn.Module):
        pytest.skip("no parameters")
    state = {key: value + 0.01 if value.is_floating_point() else value for key, value in model.state_dict().items()}
    model.load_state_dict(state)
    expected = run(images(1, 64, 64))
    other, run_other = build(config)
    assert isinstance(other, nn.Module)
    assert not all(torch.equal(one, two) for one, two in zip(run_other(images(1, 64, 64)), expected, strict=True))
    other.load_state_dict(state)
    for one, two in zip(run_other(images(1, 64, 64)), expected, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("configs", USS.values(), ids=USS)
def test_uss_models_keep_the_protocol(configs: list[UssConfig]) -> None:
    for config in configs:
        model = made(config)
        assert isinstance(model, UssModel)
        if isinstance(model, nn.Module):
            assert not any(parameter.requires_grad for parameter in model.parameters()), "USS features are frozen"


@pytest.mark.parametrize("configs", TRAINED.values(), ids=TRAINED)
def test_wss_models_keep_the_protocol_and_can_be_trained(configs: list[WssConfig]) -> None:
    for config in configs:
        model = build_wss(config, NAMES)
        assert isinstance(model, WssModel)
        assert isinstance(model, nn.Module)
        logits = model.train()(images(2, 64, 64))
        assert logits.shape == (2, CLASSES)
        logits.sum().backward()
        assert all(parameter.grad is not None for parameter in model.classifier.parameters())


@pytest.mark.parametrize("kind", TRAINED)
def test_logits_are_the_means_of_the_cams(kind: str) -> None:
    """Eq. 6: GAP of the CAMs."""
    model = build_wss(WSS[kind][0], NAMES).eval()
    pictures = images(2, 64, 80)
    torch.testing.assert_close(model(pictures), model.maps(pictures).cams.mean(dim=(2, 3)))


def test_wss_features_are_two_maps_of_unit_length() -> None:
    model = build_wss(WSS["classifier"][0], NAMES)
    features = model.maps(images(1, 64, 64)).features
    total = features.square().sum(dim=1)
    torch.testing.assert_close(total, torch.full_like(total, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_the_output_stride_is_kept(stride: int) -> None:
    model = build_wss(replace(WSS["classifier"][0], output_stride=stride), NAMES)
    assert model.maps(images(1, 128, 192)).cams.shape[-2:] == (128 // stride, 192 // stride)


def test_mean_and_deviation_are_used() -> None:
    """Whatever normalisation is set, the network sees the same numbers when the photograph is changed back."""
    half = (0.5, 0.5, 0.5)
    for build, config in ((uss_maps, USS["timm"][0]), (wss_maps, WSS["classifier"][0])):
        _, plain = build(replace(config, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
        _, centred = build(replace(config, mean=half, std=half))
        pictures = images(1, 64, 64)
        for one, other in zip(centred(pictures), plain((pictures - 0.5) / 0.5), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_uss_blocks_count_from_either_end() -> None:
    config = UssConfig(model="test_vit", weights="none")
    results = {}
    for block in (0, -1, 5, -6):
        _, run = uss_maps(replace(config, block=block))
        (results[block],) = run(images(1, 64, 64))
    assert torch.equal(results[-1], results[5])
    assert torch.equal(results[0], results[-6])
    assert not torch.allclose(results[0], results[5])


@pytest.mark.parametrize("block", [6, -7])
def test_there_must_be_such_a_block(block: int) -> None:
    with pytest.raises(ConfigError, match=r"uss\.block must be in -6\.\.5"):
        build_uss(UssConfig(model="test_vit", weights="none", block=block))


@pytest.mark.parametrize("weights", ["none", "hub"])
def test_an_unknown_network_is_a_wrong_setting(weights: str) -> None:
    with pytest.raises(ConfigError, match="no_such_network"):
        build_uss(UssConfig(model="no_such_network", weights=weights))
    with pytest.raises(ConfigError, match="no_such_network"):
        build_wss(WssConfig(backbone="no_such_network", weights=weights), NAMES)


def test_a_misspelt_network_is_told_what_is_like_it() -> None:
    with pytest.raises(ConfigError, match="mobilenetv2_100"):
        build_wss(WssConfig(backbone="mobilenetv2_999", weights="none"), NAMES)


def test_a_network_of_the_wrong_kind_is_a_wrong_setting() -> None:
    for model in ("mixer_s16_224", "swin_tiny_patch4_window7_224"):
        with pytest.raises(ConfigError, match=f"'{model}' has no maps of photographs of any size"):
            build_uss(UssConfig(model=model, weights="none"))
    for stride in (16, 32):
        with pytest.raises(ConfigError, match="swin"):
            build_wss(WssConfig(backbone="swin_tiny_patch4_window7_224", weights="none", output_stride=stride), NAMES)
    for model in ("dla34", "hrnet_w18_small"):  # their maps do not fit each other if a side is no multiple of 32
        with pytest.raises(ConfigError, match=f"'{model}' has no maps of photographs of any size"):
            build_wss(WssConfig(backbone=model, weights="none", output_stride=32), NAMES)
    inception = build_wss(WssConfig(backbone="inception_v3", weights="none", output_stride=32), NAMES)
    assert inception.maps(torch.zeros(1, 3, 213, 320)).cams.shape == (1, len(NAMES), 5, 8)
    with pytest.raises(ConfigError, match="no_such_option"):
        build_wss(WssConfig(backbone="test_resnet", weights="none", options={"no_such_option": 1}), NAMES)


def test_an_unknown_kind_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"uss\.kind must be one of .*colour.*; got 'nonsense'"):
        build_uss(UssConfig(kind="nonsense"))
    with pytest.raises(ConfigError, match=r"no map source 'nonsense'; wss\.kind and sources take classifier"):
        source_type("nonsense")


def test_settings_that_cannot_work_are_refused() -> None:
    for scales in ((), (0.0,), (1.0, -1.0)):
        with pytest.raises(ConfigError, match=r"uss\.scales"):
            UssConfig(scales=scales)
        with pytest.raises(ConfigError, match=r"wss\.scales"):
            WssConfig(scales=scales)
    with pytest.raises(ConfigError, match=r"wss\.output_stride"):
        WssConfig(output_stride=4)
    with pytest.raises(ConfigError, match=r"wss\.cam must be one of cam, .*; got 'cma'"):
        WssConfig(cam="cma")
    for layer in (0, -6):
        with pytest.raises(ConfigError, match=r"wss\.layer .*-5\.\.-1; got"):
            build_wss(WssConfig(backbone="test_resnet", weights="none", cam="gradcam", layer=layer), NAMES)
    with pytest.raises(ConfigError, match=r"attention needs a Vision Transformer"):
        build_wss(WssConfig(backbone="test_resnet", weights="none", cam="attention"), NAMES)
    for blocks in ((-7, -1), (0, 6), (3, 3), (-1, 0)):
        with pytest.raises(ConfigError, match=r"wss\.blocks must be two"):
            build_wss(WssConfig(backbone="test_vit", weights="none", blocks=blocks), NAMES)
