"""Crops of photographs: one geometry for all, an order that depends on nothing but the seed."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from dhr.data import SceneDataSet
from dhr.data.samples import VOID, ClassTable
from dhr.train.config import StudentTrainingConfig
from dhr.train.crops import Geometry, TrainingSet
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
    image = crop.image(ramps)
    features = crop.features(ramps, side)
    mask = crop.mask((ramps[0] * 250).to(torch.uint8).numpy())
    inner = slice(2, -2)  # at the edges of the photograph ramps end, each resampling in its way
    step = 1.5 / min(height, width)
    assert (image - features)[:, inner, inner].abs().max() < step
    assert (image[0] - mask / 250)[inner, inner].abs().max() < 2 * step + 1 / 250


def test_a_crop_is_its_mirror_image() -> None:
    image = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))
    plain, mirrored = (Geometry(60, 75, 3, 5, 32, flip) for flip in (False, True))
    assert torch.equal(plain.image(image), mirrored.image(image).flip(-1))
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


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    crops = scene_crops()
    alone, shared = (
        list(DataLoader(crops, batch_sampler=EndlessBatches(5, 3, 0, 0, 4), num_workers=count))
        for count in (0, workers)
    )
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
