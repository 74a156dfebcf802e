"""Colours of crops: what each change does, for each image of a batch by itself."""

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from dhr.train.colours import PLAIN, coloured, drawn_colours


def photographs(seed: int, count: int = 2) -> Tensor:
    return torch.randint(60, 190, (count, 9, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 2**16), factor=st.floats(0.8, 1.2), which=st.sampled_from(("brightness", "contrast")))
@settings(max_examples=25, deadline=None)
def test_brightness_and_contrast_are_torchvisions(seed: int, factor: float, which: str) -> None:
    pixels = photographs(seed)
    colours = PLAIN.repeat(2, 1)
    colours[:, ("brightness", "contrast").index(which)] = factor
    change = getattr(tv, f"adjust_{which}")
    torch.testing.assert_close(coloured(pixels, colours), change(coloured(pixels), factor), atol=2e-5, rtol=0)


@given(seed=st.integers(0, 2**16), factor=st.floats(0.7, 1.3))
@settings(max_examples=25, deadline=None)
def test_saturation_is_torchvisions(seed: int, factor: float) -> None:
    pixels = photographs(seed)
    found = coloured(pixels, torch.tensor([[1.0, 1.0, factor, 0.0]]).repeat(2, 1))
    torch.testing.assert_close(found, tv.adjust_saturation(coloured(pixels), factor), atol=2e-5, rtol=0)


def test_a_third_of_a_turn_moves_each_colour_to_the_next() -> None:
    pixels = photographs(0)
    turned = coloured(pixels, torch.tensor([[1.0, 1.0, 1.0, 2 * math.pi / 3]]).repeat(2, 1))
    torch.testing.assert_close(turned, coloured(pixels)[:, [2, 0, 1]], atol=1e-5, rtol=0)
    green = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    green[..., 0] = 255  # red, turned as torchvision turns it
    hue = tv.adjust_hue(coloured(green), 1 / 3)
    torch.testing.assert_close(
        coloured(green, torch.tensor([[1.0, 1.0, 1.0, 2 * math.pi / 3]])), hue, atol=1e-5, rtol=0
    )


@given(seed=st.integers(0, 2**16), strength=st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_an_image_does_not_depend_on_its_batch(seed: int, strength: float) -> None:
    pixels, rng = photographs(seed, 3), random.Random(seed)
    colours = torch.stack([drawn_colours(strength, rng) for _ in range(3)])
    whole = coloured(pixels, colours)
    assert whole.shape == (3, 3, 9, 7) and whole.is_contiguous(memory_format=torch.channels_last)
    assert whole.min() >= 0 and whole.max() <= 1
    for index in range(3):
        alone = coloured(pixels[index : index + 1], colours[index : index + 1])
        torch.testing.assert_close(whole[index : index + 1], alone, atol=1e-6, rtol=0)


def test_no_strength_leaves_colours_as_they_are() -> None:
    pixels = photographs(3)
    colours = torch.stack([drawn_colours(0.0, random.Random(0))] * 2)
    assert torch.equal(coloured(pixels, colours), pixels.permute(0, 3, 1, 2).float() / 255)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_colours_are_drawn_within_their_ranges(strength: float) -> None:
    rng = random.Random(0)
    drawn = torch.stack([drawn_colours(strength, rng) for _ in range(300)])
    factors, turns = drawn[:, :3], drawn[:, 3] / (2 * math.pi)
    assert factors.min() >= 1 - strength and factors.max() <= 1 + strength and factors.std() > strength / 3
    assert turns.abs().max() <= strength / 3 and turns.std() > strength / 9
