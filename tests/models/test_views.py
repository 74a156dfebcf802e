"""Averages over scales and flips."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate

from dhr.models.uss import UssConfig, build_uss
from dhr.models.views import average_views
from dhr.models.wss import WssConfig

from .networks import build_wss

KERNEL = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))


def lopsided(images: Tensor) -> tuple[Tensor, ...]:
    """Two maps at a quarter of the size, from a network that tells left from right."""
    maps = conv2d(images, KERNEL, padding=1).relu()
    small = avg_pool2d(maps, 4, ceil_mode=True)
    return small, small[:, :1] ** 2


def vit(images: Tensor) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    return (build_uss(UssConfig(model="test_vit", weights="none"))(images),)


def colour(images: Tensor) -> tuple[Tensor, ...]:
    return (build_uss(UssConfig(kind="colour"))(images),)


def classifier(images: Tensor) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    maps = build_wss(WssConfig(backbone="test_resnet", weights="none"), ["a", "b", "c"]).maps(images)
    return maps.cams, maps.features


every_run = pytest.mark.parametrize("run", [lopsided, vit, colour, classifier])
Run = Callable[[Tensor], tuple[Tensor, ...]]


def averaged(run: Run, picture: Tensor, grid: tuple[int, int], scales: tuple[float, ...], flip: bool) -> Any:
    """All maps on one grid."""
    return average_views(run, picture, len(run(picture)) * [grid], scales, flip)


def image(h: int, w: int) -> Tensor:
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(h + w))


@every_run
@pytest.mark.parametrize("scales", [(1.0,), (1.0, 1.5), (0.5, 2.0)])
@pytest.mark.parametrize("size", [(48, 64), (45, 71)])
def test_a_mirrored_photograph_gives_mirrored_maps(run: Run, scales: tuple[float, ...], size: tuple[int, int]) -> None:
    expected = averaged(run, image(*size), (9, 13), scales, flip=True)
    result = averaged(run, image(*size).flip(-1), (9, 13), scales, flip=True)
    for one, other in zip(result, expected, strict=True):
        torch.testing.assert_close(one.flip(-1), other, rtol=1e-4, atol=1e-4)
    with_sides = averaged(lopsided, image(*size), (9, 13), scales, flip=False)[0]
    mirrored = averaged(lopsided, image(*size).flip(-1), (9, 13), scales, flip=False)[0]
    assert not torch.allclose(mirrored.flip(-1), with_sides, atol=1e-3), "the test needs a network that has sides"


@every_run
def test_one_view_is_the_model_itself(run: Run) -> None:
    picture = image(48, 64).contiguous(memory_format=torch.channels_last)  # as the views are laid out
    result = averaged(run, picture, (10, 15), (1.0,), flip=False)
    for one, maps in zip(result, run(picture), strict=True):
        expected = interpolate(maps, (10, 15), mode="bilinear", align_corners=False)
        assert torch.equal(one, expected)


def test_several_views_are_their_mean() -> None:
    picture, grid = image(48, 64), (10, 15)
    parts = [averaged(lopsided, picture, grid, (scale,), flip=True) for scale in (0.75, 1.0, 2.0)]
    result = averaged(lopsided, picture, grid, (0.75, 1.0, 2.0), flip=True)
    for index, maps in enumerate(result):
        torch.testing.assert_close(maps, torch.stack([part[index] for part in parts]).mean(dim=0))


def test_views_have_the_sizes_that_are_asked_for() -> None:
    seen = []

    def watch(images: Tensor) -> tuple[Tensor, ...]:
        seen.append(tuple(images.shape))
        assert images.min() >= 0
        assert images.max() <= 1
        return (images,)

    average_views(watch, image(70, 61), [(5, 5)], (1.0, 0.5, 2.0), flip=True)
    assert seen == [(2, 3, 70, 61), (2, 3, 35, 32), (2, 3, 140, 122)]  # no side is below 32


@every_run
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_tiny_and_thin_photographs(run: Run, size: tuple[int, int]) -> None:
    for grid in ((1, 1), (4, 5)):
        for maps in averaged(run, image(*size), grid, (1.0, 2.0), flip=True):
            assert maps.shape[-2:] == grid
            assert maps.isfinite().all()


def test_the_photograph_is_left_alone() -> None:
    picture = image(48, 64)
    copy = picture.clone()
    averaged(lopsided, picture, (5, 5), (1.0, 2.0), flip=True)
    assert torch.equal(picture, copy)


def test_an_even_photograph_gives_even_maps() -> None:
    grey = torch.full((1, 3, 64, 64), 0.3)
    (maps,) = averaged(lambda images: (images,), grey, (7, 9), (0.5, 1.0, 1.7), flip=True)
    torch.testing.assert_close(maps, torch.full((1, 3, 7, 9), 0.3))


def test_maps_without_a_grid_keep_that_of_the_first_view() -> None:
    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        return images[..., ::2, ::2], images[..., ::4, ::4]

    first, second = average_views(run, image(40, 60), [(5, 6)], (1.0, 2.0), flip=True)
    assert first.shape[-2:] == (5, 6)
    assert second.shape[-2:] == (10, 15)
