"""Input that carries little or nothing: what comes out is defined, and a class that is lost is reported."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import dhr
from dhr.errors import ShapeError
from dhr.method.config import PRESETS

from .whole import rebalance

every_preset = pytest.mark.parametrize("preset", PRESETS)
with_and_without_background = pytest.mark.parametrize("background", [False, True])


def finite(result: dhr.Rebalanced) -> None:
    for name in ("scores", "confidence", "quality", "ratios", "moved", "marginal_error"):
        assert getattr(result, name).isfinite().all(), name
    counts = torch.stack(
        [(result.mask == label).flatten(1).any(dim=1) for label in range(result.valid.shape[1])], dim=1
    )
    assert torch.equal(result.kept, counts), "what is reported as kept has pixels, and nothing else"
    assert (result.quality >= 0).all()
    assert (result.quality <= 1).all()


@every_preset
@with_and_without_background
def test_cams_all_zero(scene: Callable[..., Any], preset: str, background: bool) -> None:
    made = scene()
    result = rebalance(
        torch.zeros_like(made.cams),
        made.uss_features,
        made.wss_features,
        background=background,
        config=PRESETS[preset],
    )
    finite(result)
    assert (result.mask == 0).all(), "nothing is known: all goes to the first class, or to the background,"
    assert not result.kept[:, 1:].any(), "and the others are reported as lost,"
    assert (result.quality <= 1 / result.valid.shape[1]).all(), "which the quality shows"


@every_preset
@with_and_without_background
def test_a_tag_without_any_activation(scene: Callable[..., Any], preset: str, background: bool) -> None:
    made = scene()
    cams = made.cams.clone()
    cams[:, 1] = 0
    result = rebalance(cams, made.uss_features, made.wss_features, background=background, config=PRESETS[preset])
    finite(result)
    others = [label for label in range(result.valid.shape[1]) if label not in (1 + background, 0 if background else -1)]
    assert result.kept[:, others].any(dim=1).all()
    kept = result.kept[:, 1 + background]
    assert kept.all() if PRESETS[preset].guard > 0 else not kept.any(), "only its tag speaks for it"
    assert (result.quality <= 1 - 1 / result.valid.shape[1]).all()


@every_preset
@with_and_without_background
def test_one_tag(scene: Callable[..., Any], preset: str, background: bool) -> None:
    made = scene(k=1)
    result = rebalance(made.cams, made.uss_features, made.wss_features, background=background, config=PRESETS[preset])
    finite(result)
    assert result.kept[:, -1].all()
    if not background:
        assert (result.mask == 0).all()


@every_preset
@with_and_without_background
def test_forty_tags(scene: Callable[..., Any], preset: str, background: bool) -> None:
    random = torch.Generator().manual_seed(0)
    cams = torch.rand(1, 40, 12, 16, generator=random)
    result = rebalance(
        cams,
        torch.randn(1, 8, 12, 16, generator=random),
        torch.randn(1, 9, 12, 16, generator=random),
        background=background,
        config=PRESETS[preset],
    )
    finite(result)
    if not PRESETS[preset].released:
        assert (result.marginal_error < 1e-4).all()


@every_preset
def test_identical_centroids(scene: Callable[..., Any], preset: str) -> None:
    """The same feature everywhere: only the CAMs and the shares are left."""
    made = scene()
    same = torch.ones_like(made.uss_features)
    result = rebalance(made.cams, same, torch.ones_like(made.wss_features), config=PRESETS[preset])
    finite(result)
    assert result.groups.all(), "no feature tells them apart"


@every_preset
@with_and_without_background
def test_a_class_with_weight_in_a_single_cell(scene: Callable[..., Any], preset: str, background: bool) -> None:
    """Held to equal shares it grows back by its features; with estimated ones it may be lost, and that is reported."""
    made = scene(b=1, noise=0.05)
    truth = made.truth.clone()
    truth[truth == 2] = 1
    truth[0, 4, -1] = 2
    config, cams = PRESETS[preset], made.cams.clone()
    cams[0, 2] = 0  # its seeds are that cell as well
    cams[0, 2, 4, -1] = 1
    result = rebalance(
        cams, made.uss_features, made.wss_features, base=truth + background, background=background, config=config
    )
    finite(result)
    if config.marginal == "estimated":
        assert (result.initial[0, 2 + background] > 0).sum() == 1
        assert result.ratios[0, 2 + background] >= 0.9 * config.smallest_ratio, "it was not starved"
        return
    assert result.kept[0, 2 + background]
    assert (result.mask[0][made.truth[0] == 2] == 2 + background).double().mean() > 0.5


@pytest.mark.parametrize("name", ["cams", "uss_features", "wss_features"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_by_name(scene: Callable[..., Any], name: str, value: float) -> None:
    inputs = scene().inputs(False)
    inputs[name] = inputs[name].clone()
    inputs[name][0, 0, 0, 0] = value
    with pytest.raises(ShapeError, match=f"{name} hold NaN"):
        dhr.rebalance(**inputs)


def test_given_shares_of_another_shape_are_refused(scene: Callable[..., Any]) -> None:
    inputs = scene().inputs(False)
    config = replace(PRESETS["default"], marginal="prior")
    for prior in (np.ones((2, 4)), np.full((2, 3), -1.0), np.full((2, 3), np.nan)):
        with pytest.raises(ShapeError, match="prior"):
            dhr.rebalance(**inputs, config=config, prior=prior)
    shares = np.array([[0.5, 0.3, 0.2]] * 2)
    torch.testing.assert_close(dhr.rebalance(**inputs, config=config, prior=shares).ratios, torch.from_numpy(shares))
