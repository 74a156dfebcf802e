"""The precision of the networks."""

from dataclasses import replace

import pytest
import torch

from dhr.errors import ConfigError
from dhr.features.compute import uss_maps
from dhr.features.source import Source
from dhr.job.predict_config import PredictConfig
from dhr.job.settings import RunConfig
from dhr.models.precision import autocast, fastest, resolved
from dhr.models.uss import UssConfig, build_uss
from dhr.models.wss import WssConfig

from .networks import build_wss

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("kind", "bfloat16", "float16", "expected"),
    [
        ("cpu", True, False, "bfloat16"),
        ("cpu", False, False, "float32"),
        ("cpu", False, True, "float32"),
        ("cuda", True, True, "bfloat16"),
        ("cuda", False, True, "float16"),
        ("cuda", False, False, "float32"),
    ],
)
def test_the_precision_of_each_device(kind: str, bfloat16: bool, float16: bool, expected: str) -> None:
    assert fastest(kind, bfloat16=bfloat16, float16=float16) == expected


def test_auto_is_resolved_and_others_stay() -> None:
    assert resolved("auto", CPU) in ("float32", "bfloat16")
    assert resolved("auto", torch.device("meta")) == "float32"
    for precision in ("float32", "bfloat16", "float16"):
        assert resolved(precision, CPU) == precision  # type: ignore[arg-type]


def test_it_is_part_of_the_identity_and_auto_is_not() -> None:
    config = RunConfig(wss=WssConfig(weights="none"), uss=UssConfig(weights="none"))
    assert config.identity(CPU)["precision"] == resolved("auto", CPU)
    assert replace(config, precision="bfloat16").identity(CPU)["precision"] == "bfloat16"
    assert config.identity(CPU) == replace(config, precision=resolved("auto", CPU)).identity(CPU)


def test_features_of_two_precisions_have_two_keys() -> None:
    config = UssConfig(kind="colour")
    model = build_uss(config)
    keys = {Source.of(model, config, 8, precision).key for precision in ("float32", "bfloat16", "float16")}
    assert len(keys) == 3


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_features_in_16_bits_are_close(precision: str) -> None:
    torch.manual_seed(0)
    config = UssConfig(model="test_vit", weights="none", window=64, scales=(1.0, 2.0))
    model = build_uss(config)
    images = torch.rand(2, 3, 70, 90, generator=torch.Generator().manual_seed(0))
    whole = uss_maps(images, model, config, 8)
    half = uss_maps(images, model, config, 8, precision)  # type: ignore[arg-type]
    assert half.dtype == torch.float32
    assert not torch.equal(half, whole)
    assert torch.cosine_similarity(half, whole).min() > 0.999


@pytest.mark.parametrize("cam", ["cam", "gradcam", "layercam"])
def test_maps_in_16_bits_are_close(cam: str) -> None:
    torch.manual_seed(0)
    network = build_wss(WssConfig(backbone="test_resnet", weights="none", cam=cam, layer=-1), ["a", "b"])
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    whole = network.maps(images)
    with autocast("bfloat16", CPU):
        half = network.maps(images)
    assert half.features.dtype == torch.bfloat16
    assert torch.cosine_similarity(half.features.float(), whole.features).min() > 0.99
    assert float((half.cams.float() - whole.cams).abs().max()) < 0.03 * float(whole.cams.abs().max())


@pytest.mark.parametrize("kind", [RunConfig, PredictConfig])
def test_an_unknown_precision_is_refused(kind: type, unchecked: None) -> None:
    with pytest.raises(ConfigError, match="precision must be one of auto, float32"):
        kind(precision="int8")
