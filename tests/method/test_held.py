"""Drawn pixels are held fixed: they keep their label, guide the others, and change nothing where nothing is drawn."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dhr.errors import ShapeError
from dhr.method.config import PRESETS, BoundaryConfig, PamrConfig, RandomWalkConfig
from dhr.method.marginal import lifted
from dhr.types import Rebalanced

from .conftest import make_scene
from .test_order import KINDS, VARIANTS, assert_identical
from .whole import rebalance

PLAIN = BoundaryConfig(kind="none", base="none")
FREE = -1


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Drawn shares of labels; -1 is free."""
    return (labels.unsqueeze(1) == torch.arange(classes).view(1, -1, 1, 1)).double()


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], int, tuple[int, int]]:
    """Inputs of two images with all settings that matter, the number of classes, and the size of the masks."""
    k, side = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    random = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    background, with_images = draw(st.booleans()), draw(st.booleans())

    def some(*shape: int) -> Tensor:
        return (torch.rand(*shape, generator=random, dtype=torch.float64) - 0.3).relu().to(dtype)

    size = (4 * side, 3 * side) if with_images else (side, side)
    classes = k + background
    name = draw(st.sampled_from(sorted(VARIANTS)))
    kinds = dict(zip(("kind", "base"), draw(st.tuples(*2 * [st.sampled_from(KINDS)])), strict=True))
    inputs: dict[str, Any] = {
        "cams": some(2, k, side, side), "uss_features": some(2, 8, side, side), "wss_features": some(2, 5, side, side),
        "images": some(2, 3, *size) if with_images else None, "background": background, "config": VARIANTS[name],
        "prior": some(2, classes) + 0.1 if name == "prior" else None,
        "survey": some(2, classes, side, side) if draw(st.booleans()) else None,
        "boundary": BoundaryConfig(**kinds, pamr=PamrConfig(3, (1, 2)), random_walk=RandomWalkConfig(2, steps=4)),
    }  # fmt: skip
    return inputs, classes, size


@settings(max_examples=20)
@given(cases(), st.integers(0, 10**6), st.sampled_from([0.02, 0.3, 1.0]))
def test_drawn_pixels_keep_their_label(
    case: tuple[dict[str, Any], int, tuple[int, int]], seed: int, share: float
) -> None:
    """Whatever the settings; and the other image, on which nothing is drawn, stays as it is."""
    inputs, classes, size = case
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (2, *size), generator=random)
    labels[torch.rand(2, *size, generator=random) >= share] = FREE
    labels[1] = FREE
    held = one_hot(labels, classes).to(inputs["cams"].dtype)
    result, before = rebalance(**inputs, held=held), rebalance(**inputs)
    drawn = labels >= 0
    assert torch.equal(result.mask[drawn], labels[drawn])
    assert all(bool(getattr(result, part.name).isfinite().all()) for part in fields(result))
    assert (result.ratios.double() >= held.double().mean(dim=(2, 3)) - 1e-5).all()
    assert_identical(only(result, 1), only(before, 1))


def only(result: Rebalanced, index: int) -> Rebalanced:
    """One image of a batch."""
    cut = {part.name: getattr(result, part.name)[index : index + 1] for part in fields(result)}
    return replace(result, **cut)


@settings(max_examples=8)
@given(cases(), st.integers(0, 10**6))
def test_a_batch_of_many_is_as_many_of_one(case: tuple[dict[str, Any], int, tuple[int, int]], seed: int) -> None:
    inputs, classes, size = case
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(-3, classes, (2, 2 * size[0], 2 * size[1]), generator=random)
    held = one_hot(labels, classes).to(inputs["cams"].dtype)
    together = rebalance(**inputs, held=held)
    for index in range(2):
        cut = {
            key: value[index : index + 1] if isinstance(value, Tensor) else value
            for key, value in (*inputs.items(), ("held", held))
        }
        alone = rebalance(**cut)
        for name in ("seed", "initial", "ratios", "joined", "scores"):
            mine, theirs = getattr(together, name)[index : index + 1], getattr(alone, name)
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@settings(max_examples=60)
@given(st.data())
def test_shares_are_at_least_those_that_are_drawn(data: st.DataObject) -> None:
    k, least = data.draw(st.integers(1, 5)), data.draw(st.sampled_from([0.0, 0.05, 0.6]))
    random = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    ratios, drawn = torch.rand(2, 3, k, generator=random, dtype=torch.float64)
    valid = torch.rand(3, k, generator=random) < 0.7
    valid[:, 0] = True
    ratios = ratios * valid
    ratios = ratios / ratios.sum(dim=1, keepdim=True)
    drawn = drawn * valid * (torch.rand(3, k, generator=random) < 0.6)
    drawn = drawn / drawn.sum(dim=1, keepdim=True).clamp_min(1e-12) * data.draw(st.sampled_from([0.0, 0.2, 0.9, 1.0]))
    found = lifted(ratios, valid, least, drawn)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(3, dtype=torch.float64))
    assert (found >= drawn - 1e-9).all() and (found[~valid] == 0).all()
    nothing = drawn.sum(dim=1) == 0
    assert torch.equal(found[nothing], ratios[nothing])
    for share, wanted, given_share, real in zip(found, ratios, drawn, valid, strict=True):
        floor = min(least, 1 / int(real.sum()))
        room = 1 - float(torch.where(real, given_share.clamp_min(floor), 0).sum())
        if room >= 0 and float(given_share.sum()) > 0:
            assert (share[real] >= floor - 1e-9).all()
            free = real & (share > given_share.clamp_min(floor) + 1e-9)  # those above their floor keep their proportion
            torch.testing.assert_close(share[free] / share[free].sum(), wanted[free] / wanted[free].sum())


@pytest.mark.parametrize("name", PRESETS)
def test_a_stroke_is_a_seed(name: str) -> None:
    """A class without a CAM of any worth gets the region that looks as its stroke does."""
    made = make_scene(b=1, noise=0.1)
    cams = made.cams.clone()
    cams[:, 2] = 0
    labels = torch.full((1, 9, 12), FREE)
    labels[0, 3:5, -1] = 2
    assert (made.truth[labels == 2] == 2).all()
    inputs = {**made.inputs(with_images=False), "cams": cams, "config": PRESETS[name], "boundary": PLAIN}
    before, after = rebalance(**inputs).mask, rebalance(**inputs, held=one_hot(labels, 3)).mask
    right = [int(((mask == 2) & (made.truth == 2)).sum()) / int(((mask == 2) | (made.truth == 2)).sum()) for mask in
             (before, after)]  # fmt: skip
    assert right[0] + 0.2 < right[1] > 0.6


def test_strokes_take_regions_back() -> None:
    """A stroke of the right class takes a region back that the CAM gives to a wrong one."""
    made = make_scene(b=1, noise=0.05)
    cams = made.cams.clone()
    cams[:, 0], cams[:, 1] = made.cams[:, 1].clone(), made.cams[:, 0].clone()  # classes 0 and 1 are mixed up
    labels = torch.full((1, 9, 12), FREE)
    labels[0, 1:8, 3], labels[0, 1:8, 7] = 0, 1
    inputs = {**made.inputs(with_images=False), "cams": cams, "boundary": PLAIN}
    before, after = rebalance(**inputs).mask, rebalance(**inputs, held=one_hot(labels, 3)).mask
    assert (before == made.truth).double().mean() < 0.5 < 0.8 < (after == made.truth).double().mean()


@pytest.mark.usefixtures("unchecked")
def test_held_must_fit(scene: Callable[..., Any]) -> None:
    made = scene()
    with pytest.raises(ShapeError, match=r"held must be \(2, 4\) \(images, classes\)"):
        rebalance(**made.inputs(), background=True, held=one_hot(torch.zeros(2, 9, 12), 3))
    with pytest.raises(ShapeError, match="same number of images"):
        rebalance(**made.inputs(), held=one_hot(torch.zeros(1, 9, 12), 3))
