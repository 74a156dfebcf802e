"""Masks of a network that segments anything: when they count, and what becomes of the classes."""

import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot

from dhr.data import SceneDataSet
from dhr.method.base import shares
from dhr.method.boundary import BOUNDARIES, Guide
from dhr.method.config import BoundaryConfig, SamConfig
from dhr.method.guard import covered, restored
from dhr.method.segments import agreement, ask, claims, joined, with_peaks
from dhr.prompts import Prompts, Proposals, Propose

PREDICTORS: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "predictors.py"))
SIZE = (24, 32)


def squares(*boxes: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> Tensor:
    """One mask per box (left, top, right, bottom), and the rest, as shares (1, k, h, w)."""
    masks = torch.zeros(len(boxes) + 1, *size)
    for index, (left, top, right, bottom) in enumerate(boxes):
        masks[index, top:bottom, left:right] = 1
    masks[-1] = (1 - masks.sum(dim=0)).clamp_min(0)
    return masks.unsqueeze(0)


def random_scores(k: int, seed: int, size: tuple[int, int] = SIZE) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, k, *size, generator=random)
    return avg_pool2d(noise, 5, 1, 2) ** 8 * torch.rand(1, k, 1, 1, generator=random)


def answers(masks: Tensor, scores: float = 1.0, sure: float = 8.0) -> Proposals:
    """Proposals (p, m, h, w) of hard masks."""
    return Proposals(masks * 2 * sure - sure, torch.full(masks.shape[:2], scores))


# Prompts


def test_prompts_point_to_the_regions() -> None:
    base = squares((2, 3, 10, 12), (20, 5, 25, 20))
    scores = base * 0.5
    scores[0, 0, 8, 4] = 0.9
    asked = ask(base, shares(scores), 2)
    prompts = asked.prompts[0]
    assert prompts.points is not None and prompts.boxes is not None and prompts.low is not None
    assert prompts.points.shape == (6, 1, 2)
    assert prompts.points[2, 0, 0] >= 20 and prompts.points[2, 0, 0] < 25
    assert prompts.boxes[0].tolist() == [2, 3, 9, 11]
    assert prompts.boxes[2].tolist() == [20, 5, 24, 19]
    assert torch.equal(prompts.low[0] > 0, base[0, 0] > 0)
    assert not asked.regions[0, 0, 1].any() and prompts.boxes[1].tolist() == [0, 0, 0, 0]


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(0, 999), st.sampled_from([(24, 32), (1, 40), (300, 150)]), st.integers(1, 3))
def test_points_lie_in_the_image_and_boxes_around_them(k: int, seed: int, size: tuple[int, int], r: int) -> None:
    scores = shares(random_scores(k, seed, size))
    asked = ask(scores, scores, r)
    for prompts in asked.prompts:
        assert prompts.points is not None and prompts.boxes is not None and prompts.labels is not None
        some = asked.regions.any(dim=(3, 4)).flatten()
        (x, y), (left, top, right, bottom) = prompts.points[:, 0].T, prompts.boxes.T
        cell = math.ceil(max(size) / 128)
        assert ((x >= left - cell) & (x <= right + cell) & (y >= top - cell) & (y <= bottom + cell))[some].all()
        assert (right < size[1]).all() and (bottom < size[0]).all() and (prompts.boxes >= 0).all()
        assert (prompts.labels == 1).all()


# Agreement


def measured(mask: Tensor, base: Tensor) -> float:
    """The agreement of a hard mask (h, w) with the first class."""
    asked = ask(base, base, 1)
    found = agreement(mask.expand(1, base.shape[1], 1, 1, *mask.shape), asked.regions, asked.cells)
    return float(found[0, 0, 0, 0])


def test_the_region_itself_agrees_fully() -> None:
    base = squares((2, 3, 10, 12))
    assert measured(base[0, 0], base) == pytest.approx(1)
    assert measured(1 - base[0, 0], base) < 0
    assert measured(torch.zeros(SIZE), base) == 0


def test_a_class_that_is_everywhere_agrees_with_nothing() -> None:
    base = torch.ones(1, 1, *SIZE)
    assert measured(torch.ones(SIZE), base) == pytest.approx(0, abs=1e-3)
    assert measured(squares((0, 0, 16, 24))[0, 0], base) == pytest.approx(0, abs=1e-3)


def test_another_region_of_the_class_does_no_harm() -> None:
    base = squares((2, 3, 12, 20), (0, 0, 0, 0))
    base[0, 0, 3:20, 20:24] = 1
    base[0, 2, 3:20, 20:24] = 0
    both = base[0, 0]
    one = both.clone()
    one[:, 20:] = 0
    assert measured(both, base) > 0.9 and measured(one, base) > 0.9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 22), st.integers(0, 999))
def test_random_masks_agree_by_chance_alone(width: int, height: int, seed: int) -> None:
    """Cells that are drawn anywhere have an agreement of 0 on the average, however large mask and class are."""
    random = torch.Generator().manual_seed(seed)
    base = squares((1, 1, 1 + width, 1 + height))
    share = torch.rand((), generator=random)
    found = [measured((torch.rand(SIZE, generator=random) < share).float(), base) for _ in range(40)]
    assert abs(sum(found) / len(found)) < 0.05


def test_good_masks_are_told_from_random_ones() -> None:
    """Most eroded instances of scenes agree with a blurred class, almost no random masks do."""
    scenes, good, bad = SceneDataSet(12, seed=5, size=(64, 80)), [], []
    random = np.random.default_rng(0)
    for sample in scenes.samples:
        truth = torch.from_numpy(scenes.read_ground_truth(sample)).long()
        hard = one_hot(truth, 12).movedim(2, 0)[list(sample.tags)].float().unsqueeze(0)
        base = covered(avg_pool2d(hard, 9, 1, 4)).float()
        asked = ask(base, base, 1)
        count = len(sample.tags)
        if count == 1:
            continue
        eroded = 1 - torch.nn.functional.max_pool2d(1 - hard, 3, 1, 1)
        noise = torch.from_numpy(
            np.array([[PREDICTORS["blobs"]((64, 80), random) for _ in range(20)] for _ in range(count)])
        ).float()
        good += agreement(eroded[0, :, None, None][None], asked.regions, asked.cells).flatten().tolist()
        bad += agreement(noise[:, None][None], asked.regions, asked.cells).flatten().tolist()
    least = SamConfig().agreement
    assert np.mean(np.array(good) > least) > 0.6
    assert np.mean(np.array(bad) > least) < 0.01


# Joining


def test_without_claims_nothing_changes() -> None:
    scores = shares(random_scores(4, 0))
    assert torch.equal(joined(torch.zeros_like(scores), scores, scores), scores)


def test_an_agreeing_mask_moves_the_edge() -> None:
    """The correction has cut a square on one side; the proposal has all of it."""
    base, truth = squares((4, 4, 14, 20)), squares((4, 4, 18, 20))
    scores = shares(base * 0.2 + 0.4)
    asked = ask(base, scores, 1)
    made = [answers(torch.stack([truth[0, :1], torch.zeros(1, *SIZE)]))]
    result = joined(claims(asked, made, 0.2, SIZE), base, scores)
    before, after = ((one.argmax(dim=1) != truth.argmax(dim=1)).sum() for one in (base, result))
    assert after < 0.4 * before


def test_a_mask_that_disagrees_changes_nothing() -> None:
    base = squares((4, 4, 14, 20))
    asked = ask(base, base, 1)
    wrong = squares((15, 0, 32, 24))
    for made in (answers(wrong[0, :1].expand(2, 1, *SIZE)), answers(base[0, :, None], scores=0.2)):
        assert torch.equal(joined(claims(asked, [made], 0.5, SIZE), base, base), base)


def test_a_mask_of_nan_changes_nothing() -> None:
    base = squares((4, 4, 14, 20))
    made = Proposals(torch.full((2, 3, *SIZE), torch.nan), torch.full((2, 3), torch.nan))
    assert torch.equal(joined(claims(ask(base, base, 1), [made], 0.5, SIZE), base, base), base)


def test_a_small_class_that_is_swallowed_stays() -> None:
    """The proposal for the large class covers the small one beside it, for which no proposal agrees."""
    base = squares((2, 2, 24, 22), (24, 8, 28, 14))
    scores = shares(base + 0.1)
    asked = ask(base, scores, 1)
    both = base[0, 0] + base[0, 1]
    made = answers(torch.stack([both, torch.zeros(SIZE), torch.zeros(SIZE)])[:, None])
    claimed = claims(asked, [made], 0.5, SIZE)
    assert (claimed[0, 0] * base[0, 1]).sum() > 0.5 * base[0, 1].sum()  # it is claimed
    kept = (joined(claimed, base, scores).argmax(dim=1)[0] == 1).float() * base[0, 1]
    assert kept.sum() > 0.8 * base[0, 1].sum()


def test_classes_share_what_all_claim() -> None:
    """Of two classes that claim the same pixels, each keeps its share, where its scores are the highest."""
    base = squares((0, 0, 16, 24), (16, 0, 32, 24))[:, :2]
    column = torch.linspace(0.9, 0.6, 32).expand(24, 32)
    scores = torch.stack([column, 1 - column])[None]  # the first one is ahead everywhere
    claimed = torch.ones_like(base)
    second = joined(claimed, base, scores).argmax(dim=1)[0] == 1
    assert 0.1 < second.float().mean() < 0.4
    assert second.float().mean(dim=0).argmax() > 20


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(0, 9999), st.booleans())
def test_every_pixel_has_one_class_and_no_class_vanishes(k: int, seed: int, sure: bool) -> None:
    """With any scores, any correction, and a network that claims at random whatever its agreement is."""
    scores, base = shares(random_scores(k, seed)), shares(random_scores(k, seed + 1))
    whole = restored(base, covered(scores))
    random = np.random.default_rng(seed)
    masks = torch.from_numpy(np.array([[PREDICTORS["blobs"](SIZE, random)] for _ in range(k)])).float()
    claimed = masks[:, 0][None] * (1.0 if sure else 0.7)
    result = with_peaks(joined(claimed, whole, scores), scores)
    assert result.isfinite().all() and (result >= 0).all()
    torch.testing.assert_close(result.sum(dim=1), torch.ones(1, *SIZE), rtol=1e-4, atol=1e-4)
    before, after = covered(scores).any(dim=(2, 3)), covered(result).any(dim=(2, 3))
    assert (after | ~before).all()


# The whole correction


def some_views(count: int, seed: int) -> list[tuple[Tensor, Tensor, np.ndarray]]:
    """Images, scores whose edges and areas are wrong, and ground truth of scenes."""
    scenes, found = SceneDataSet(count, seed=seed, size=(64, 80)), []
    random = torch.Generator().manual_seed(seed)
    for sample in scenes.samples:
        truth = scenes.read_ground_truth(sample)
        image = torch.from_numpy(scenes.read_image(sample)).movedim(2, 0)[None] / 255
        hard = one_hot(torch.from_numpy(truth).long(), 12).movedim(2, 0)[list(sample.tags)].float()
        noise = torch.rand(1, len(sample.tags), 8, 10, generator=random)
        wrong = torch.nn.functional.interpolate(noise, (64, 80), mode="bilinear")
        blurred = avg_pool2d(hard[None].roll((2, -3), (2, 3)), 11, 1, 5, count_include_pad=False)
        index = np.searchsorted(sample.tags, truth)  # the truth counts the classes of the scene
        found.append((image, shares(blurred + 0.6 * wrong), index))
    return found


def miou(masks: list[np.ndarray], truths: list[np.ndarray]) -> float:
    """The mean over scenes and their classes, in percent."""
    found = []
    for mask, truth in zip(masks, truths, strict=True):
        for label in np.unique(truth):
            both, any_of = (mask == label) & (truth == label), (mask == label) | (truth == label)
            found.append(both.sum() / any_of.sum())
    return 100 * float(np.mean(found))


def refined(kind: str, views: Any, make: Callable[[np.ndarray, int], Propose] | None = None) -> list[np.ndarray]:
    masks = []
    for number, (image, scores, truth) in enumerate(views):
        guide = Guide(propose=None if make is None else make(truth, number))
        made = BOUNDARIES[kind](BoundaryConfig(), guide)(image, scores)
        masks.append(made.argmax(dim=1)[0].numpy())
    return masks


@pytest.mark.parametrize("seed", range(2))
def test_an_oracle_does_not_lower_the_score_and_keeps_every_class(seed: int) -> None:
    """Its instances are eroded and merged at random."""
    views = some_views(12, seed)
    truths = [truth for _, _, truth in views]
    before = miou(refined("crf", views), truths)
    masks = refined("sam", views, lambda truth, number: PREDICTORS["oracle"](truth, 100 * seed + number))
    assert miou(masks, truths) > before
    for mask, (_, scores, _) in zip(masks, views, strict=True):
        assert {*np.unique(mask)} >= {*np.flatnonzero(covered(scores).any(dim=(2, 3))[0].numpy())}


@pytest.mark.parametrize("draw", ["blobs", "rectangle"])
@pytest.mark.parametrize("seed", range(3))
def test_a_bad_network_costs_almost_nothing(draw: str, seed: int) -> None:
    views = some_views(12, seed)
    truths = [truth for _, _, truth in views]
    before = miou(refined("crf", views), truths)
    masks = refined("sam", views, lambda t, number: PREDICTORS["bad"](t.shape, 100 * seed + number, PREDICTORS[draw]))
    assert miou(masks, truths) > before - 0.2


def test_prompts_of_a_batch_are_those_of_its_images() -> None:
    views = some_views(2, 0)
    seen: list[tuple[int, Prompts]] = []

    def propose(index: int, prompts: Prompts) -> Proposals:
        seen.append((index, prompts))
        assert prompts.points is not None
        return Proposals(torch.zeros(len(prompts.points), 3, 16, 20), torch.zeros(len(prompts.points), 3))

    images = torch.cat([image for image, _, _ in views])
    k = min(scores.shape[1] for _, scores, _ in views)
    scores = torch.cat([scores[:, :k] for _, scores, _ in views])
    BOUNDARIES["sam"](BoundaryConfig(sam=SamConfig(regions=2)), Guide(propose=propose))(images, scores)
    assert [index for index, _ in seen] == [0, 1]
    assert all(prompts.points is not None and len(prompts.points) == 2 * k for _, prompts in seen)
