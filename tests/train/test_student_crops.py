"""Crops of photographs: one geometry for all, an order that depends on nothing but the seed."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dhr.data import SceneDataSet
from dhr.data.samples import VOID, ClassTable
from dhr.data.transforms import working_pixels
from dhr.train.config import StudentTrainingConfig
from dhr.train.crops import Geometry, TrainingSet
from dhr.train.kept_pixels import KeptPixels
from dhr.train.loading import loaded
from dhr.train.student_crops import CropDataset, EndlessBatches


@given(
    height=st.integers(20, 70), width=st.integers(20, 70), side=st.sampled_from((16, 32)), seed=st.integers(0, 2**32)
)
@settings(max_examples=60, deadline=None)
def test_image_mask_and_features_show_the_same_place(height: int, width: int, side: int, seed: int) -> None:
    """A ramp in each direction, as image, as mask and as features, is read at the same places."""
    crop = Geometry.draw((height, width), side, (0.8, 2.0), random.Random(seed))
    x = (torch.arange(width) + 0.5) / width
    y = (torch.arange(height) + 0.5) / height
    ramps = torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.zeros(height, width)])
    bytes_ = (ramps * 255).round().byte().permute(1, 2, 0).numpy()
    image = crop.pixels(bytes_).permute(2, 0, 1).float() / 255
    features = crop.features(ramps, side)
    mask = crop.mask((ramps[0] * 250).to(torch.uint8).numpy())
    inner = slice(2, -2)  # at the edges of the photograph ramps end, each resampling in its way
    step = 1.5 / min(height, width)
    assert (image - features)[:, inner, inner].abs().max() < step + 1 / 255
    assert (image[0] - mask / 250)[inner, inner].abs().max() < 2 * step + 1 / 250


def test_a_crop_is_its_mirror_image() -> None:
    image = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))
    photograph = (image * 255).byte().permute(1, 2, 0).numpy()
    plain, mirrored = (Geometry(60, 75, 3, 5, 32, flip) for flip in (False, True))
    assert torch.equal(plain.pixels(photograph), mirrored.pixels(photograph).flip(1))
    assert torch.equal(plain.mask(photograph[..., 0]), mirrored.mask(photograph[..., 0]).flip(1))
    assert torch.allclose(plain.features(image, 8), mirrored.features(image, 8).flip(-1), atol=1e-5)


@given(
    count=st.integers(1, 40), batch=st.integers(1, 12), seed=st.integers(0, 1000), steps=st.integers(1, 20),
    cut=st.integers(0, 20),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_an_order_can_be_taken_up_anywhere(count: int, batch: int, seed: int, steps: int, cut: int) -> None:
    whole = list(EndlessBatches(count, batch, seed, 0, steps))
    cut = min(cut, steps)
    assert [*EndlessBatches(count, batch, seed, 0, cut), *EndlessBatches(count, batch, seed, cut, steps)] == whole
    assert all(len(keys) == batch for keys in whole)
    flat = [key for keys in whole for key in keys]
    for start in range(0, len(flat) - count + 1, count):
        assert sorted(index for _, index in flat[start : start + count]) == list(range(count))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_a_batch(world: int) -> None:
    whole = list(EndlessBatches(10, 8, 3, 2, 7))
    shares = [list(EndlessBatches(10, 8, 3, 2, 7, rank, world)) for rank in range(world)]
    assert [[key for share in shares for key in share[step]] for step in range(5)] == whole


CONFIG = StudentTrainingConfig(crop=32, scale=(0.8, 1.5))


def scene_crops(mask: Any = None) -> CropDataset:
    data = SceneDataSet(5, 0, size=(48, 64))

    def features(sample: Any) -> torch.Tensor:
        return torch.ones(2, 6, 8)

    return CropDataset(TrainingSet(data, data.samples, 64, 0), CONFIG, mask or data.read_ground_truth, features, 4)


def test_workers_change_nothing() -> None:
    crops, cpu = scene_crops(), torch.device("cpu")
    alone, shared = (
        list(loaded(EndlessBatches(5, 3, 0, 0, 4), crops.__getitem__, crops.source, device=cpu, workers=workers))
        for workers in (1, 3)
    )
    assert len(alone) == 4
    for one, other in zip(alone, shared, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert torch.equal(mine, theirs)


def test_tags_that_the_crop_does_not_show_are_not_valid() -> None:
    """The base mask says what a crop shows; a class that it has nowhere may be anywhere."""
    crops = scene_crops()
    first, samples = crops.photographs.data.classes.foreground.start, list(crops.photographs.samples)
    sample = next(sample for sample in samples if len(sample.tags) > 1)
    index = samples.index(sample)
    one = sample.tags[0]

    def only_one(sample: Any) -> np.ndarray:
        return np.full((48, 64), one, np.uint8)

    def corner(sample: Any) -> np.ndarray:
        mask = np.full((48, 64), VOID, np.uint8)
        mask[0, 0] = one
        return mask

    everywhere = scene_crops(only_one)[0, index]
    assert everywhere.valid[: len(sample.tags)].all() and not everywhere.valid[len(sample.tags) :].any()
    seen = [scene_crops(corner)[epoch, index] for epoch in range(8)]
    assert any(not crop.valid[0] for crop in seen)
    for crop in seen:
        assert crop.valid[0] == bool((crop.base == one).any())
        assert crop.classes[0] + first == one


@pytest.mark.parametrize("masks", [False, True])
def test_a_photograph_without_tags_is_background(masks: bool) -> None:
    data = SceneDataSet(2, 0, size=(48, 64))
    table = ClassTable(("background", *data.classes.names), background=True)

    class Negatives:
        classes = table
        samples = tuple(replace(sample, tags=()) for sample in data.samples)
        problems, notes = (), ()
        digest, read_image, read_ground_truth = (
            staticmethod(read) for read in (data.digest, data.read_image, data.read_ground_truth)
        )

    def mask(sample: Any) -> np.ndarray:
        return np.zeros((48, 64), np.uint8)

    photographs = TrainingSet(Negatives(), Negatives.samples, 64, 0)  # type: ignore[arg-type]
    crops = CropDataset(photographs, CONFIG, mask if masks else None, None, 4)
    crop = crops[0, 0]
    assert not crop.tags.any() and not crop.valid.any() and not crop.base.any()


@given(
    height=st.integers(20, 90), width=st.integers(20, 90), side=st.sampled_from((16, 32)), seed=st.integers(0, 2**32)
)
@settings(max_examples=60, deadline=None)
def test_a_crop_is_a_part_of_the_scaled_photograph(height: int, width: int, side: int, seed: int) -> None:
    """Also at its edges, although only its surroundings are scaled; an independent program scales the whole."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    crop = Geometry.draw((height, width), side, (0.3, 2.5), random.Random(seed), stretch=bool(seed % 2))
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    size = (crop.height, crop.width)
    whole = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
    expected = whole[0, :, crop.top : crop.top + side, crop.left : crop.left + side].permute(1, 2, 0)
    expected = expected.flip(1) if crop.flip else expected
    assert (crop.pixels(pixels).float() - expected).abs().max() <= 2  # of 255: two roundings


def test_photographs_are_kept_up_to_a_limit() -> None:
    data, read = SceneDataSet(4, 0, size=(48, 64)), []

    class Counted(SceneDataSet):
        def read_image(self, sample: Any) -> np.ndarray:
            read.append(sample.name)
            return super().read_image(sample)

    kept = KeptPixels(Counted(4, 0, size=(48, 64)), 32, budget=2 * 24 * 32 * 3)
    for _ in range(3):
        for sample in data.samples:
            assert np.array_equal(kept(sample), working_pixels(data.read_image(sample), 32))
    assert [read.count(sample.name) for sample in data.samples] == [1, 1, 3, 3]
