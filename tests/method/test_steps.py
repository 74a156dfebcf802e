"""The steps one by one: base mask, seeds (Eq. 2), inter- and intra-class (Eqs. 3 and 4), boundary."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cosine_similarity, one_hot

from dhr.errors import ShapeError
from dhr.method.base import add_background, labels, normalise_cams, otsu_level
from dhr.method.config import PRESETS, MethodConfig
from dhr.method.heatmaps import Features, centroid_heatmaps
from dhr.method.inter import Inter, inter_class
from dhr.method.intra import Intra, intra_class
from dhr.method.marginal import class_marginal
from dhr.method.quality import mask_quality
from dhr.method.scene import Batch, Scene, make_scene
from dhr.method.seeds import recover
from dhr.method.transported import transported

from .whole import plain_transport

ALL = torch.ones(1, 3, dtype=torch.bool)
CONFIG = PRESETS["default"]


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def on_grid(cams: Tensor, uss: Tensor | None = None, wss: Tensor | None = None) -> Scene:
    """A scene of CAMs whose classes are in order already, with these features or any."""
    anything = rand(len(cams), 4, *cams.shape[-2:]).to(cams.dtype)
    batch = Batch(cams, anything if uss is None else uss, anything if wss is None else wss)
    return make_scene(batch, CONFIG)[0]


class TestBase:
    def test_cams_reach_from_0_to_1(self) -> None:
        cams = torch.tensor([[[[-3.0, 2.0, 4.0]], [[0.0, 0.0, 0.0]], [[1.0, 2.0, 9.0]]]])
        result = normalise_cams(cams, torch.tensor([[True, True, False]]))
        assert result[0, :, 0].tolist() == [[0, 0.5, 1], [0, 0, 0], [0, 0, 0]]

    def test_a_class_that_is_seen_nowhere_is_where_it_is_denied_least(self) -> None:
        cams = torch.tensor([[[[-1.0, -2.0, -1.5]], [[-1.0, -1.0, -1.0]]]])
        result = normalise_cams(cams, torch.ones(1, 2, dtype=torch.bool))
        assert result[0, :, 0].tolist() == [[1, 0, 0.5], [0, 0, 0]]

    def test_the_background_comes_first(self) -> None:
        cams, valid = rand(1, 2, 3, 4), torch.tensor([[True, False]])
        maps, present = add_background(cams, valid, 0.2)
        assert maps.shape == (1, 3, 3, 4)
        assert (maps[:, 0] == 0.2).all()
        assert torch.equal(maps[:, 1:], cams)
        assert present.tolist() == [[True, True, False]]

    @settings(deadline=None, max_examples=40)
    @given(st.lists(st.integers(0, 50), min_size=2, max_size=40))
    def test_the_level_that_parts_the_values_best(self, numbers: list[int]) -> None:
        values = torch.tensor(numbers, dtype=torch.float64) / 50
        level = otsu_level(values[None])[0]

        def between(at: Tensor) -> float:
            low, high = values[values <= at], values[values > at]
            return float(len(low) * len(high) * (low.mean() - high.mean()) ** 2) if len(low) * len(high) else 0.0

        assert between(level) == pytest.approx(max(between(value) for value in values))

    def test_a_class_seen_alike_everywhere_is_not_all_background(self) -> None:
        maps, present = add_background(torch.ones(1, 1, 3, 4), torch.ones(1, 1, dtype=torch.bool), None)
        assert (labels(maps, present) == 1).all()

    def test_padding_is_never_a_label(self) -> None:
        scores = torch.zeros(1, 3, 2, 2) - 5
        scores[:, 2] = 100
        scores[:, 1] = -4
        assert (labels(scores, torch.tensor([[True, True, False]])) == 1).all()

    def test_cells_hold_the_shares_of_their_pixels(self) -> None:
        mask = torch.tensor([[[0, 0, 1, 255], [0, 2, 1, -1]]])
        cells = on_grid(rand(1, 3, 1, 2)).cells(mask)
        assert cells[0].tolist() == [[0.75, 0], [0, 0.5], [0.25, 0]]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_masks_have_the_type_of_the_cams(self, dtype: torch.dtype) -> None:
        assert on_grid(rand(1, 2, 2, 2).to(dtype)).cells(torch.zeros(1, 4, 4, dtype=torch.long)).dtype == dtype


class TestSeeds:
    def test_uniform_shares_count_the_valid_classes(self) -> None:
        valid = torch.tensor([[True, True, False], [True, False, False]])
        q = class_marginal(rand(2, 3, 9), valid, replace(CONFIG, marginal="uniform"))
        assert q.tolist() == [[0.5, 0.5, 0], [1, 0, 0]]

    def test_estimated_shares_follow_the_mask(self) -> None:
        masks = torch.tensor([[[1.0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]])
        config = replace(CONFIG, marginal="estimated", smallest_ratio=0.0)
        q = class_marginal(masks, ALL, config)
        torch.testing.assert_close(q, torch.tensor([[0.75, 0.25, 0]]), rtol=0, atol=1e-5)
        assert q[0, 2] > 0, "a tagged class is never starved"

    def test_the_least_share(self) -> None:
        masks = torch.tensor([[[98.0], [1], [1]]])
        q = class_marginal(masks, ALL, replace(CONFIG, marginal="estimated", smallest_ratio=0.1))
        torch.testing.assert_close(q, torch.tensor([[0.8, 0.1, 0.1]]))

    @settings(deadline=None, max_examples=80)
    @given(st.lists(st.integers(0, 1000), min_size=1, max_size=70), st.sampled_from([0.0, 0.02, 0.05, 0.3, 0.9]))
    def test_the_least_share_is_kept_whatever_the_number_of_classes(self, areas: list[int], least: float) -> None:
        """The others pay in proportion; where there are too many classes for it all get the same."""
        masks, classes = torch.tensor(areas, dtype=torch.float64).view(1, -1, 1), len(areas)
        padded, valid = torch.nn.functional.pad(masks, (0, 0, 0, 2)), torch.arange(classes + 2)[None] < classes
        q = class_marginal(padded, valid, replace(CONFIG, smallest_ratio=least))[0]
        assert (q[classes:] == 0).all() and q.sum() == pytest.approx(1)
        q = q[:classes]
        assert (q >= min(least, 1 / classes) - 1e-12).all()
        if classes * least >= 1 or sum(areas) == 0:
            torch.testing.assert_close(q, torch.full_like(q, 1 / classes))
        above = q > max(least, 1e-6) * (1 + 1e-9)
        ratio = q[above] / masks[0, above, 0]  # one factor for all
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
        at_floor = masks[0, ~above, 0]
        assert sum(areas) == 0 or not above.any() or (at_floor * ratio[0] <= max(least, 1e-6) * (1 + 1e-9)).all()

    def test_without_a_mask_all_are_equal(self) -> None:
        q = class_marginal(torch.zeros(1, 3, 4), ALL, replace(CONFIG, marginal="estimated", smallest_ratio=0.0))
        torch.testing.assert_close(q, torch.full((1, 3), 1 / 3))

    def test_equation_2(self) -> None:
        cams, q = rand(1, 3, 20), torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
        seeds = transported(cams, q, ALL, 0.1)
        expected = plain_transport(cams[0].numpy(), q[0].numpy(), 0.1) * cams[0].numpy()
        np.testing.assert_allclose(seeds.values[0], expected, rtol=0, atol=1e-9)
        assert seeds.marginal_error.item() < 1e-9

    def test_seeds_overwrite_where_a_class_has_vanished(self) -> None:
        base = torch.tensor([[[0, 0, 0, 0, 1, 255]]])
        seeds = torch.tensor([[[0, 0, 2, 2, 1, 1]]])
        found = recover(base, one_hot(seeds, 3).movedim(3, 1).double(), ALL)
        assert found[0, 0].tolist() == [0, 0, 2, 2, 1, 255], "class 1 kept half of its seeds' area"

    def test_positions_without_a_seed_keep_the_base_mask(self) -> None:
        base, seeds = torch.tensor([[[0, 0, 0, 0]]]), torch.zeros(1, 3, 1, 4)
        seeds[0, 2, 0, 1] = 0.1
        assert recover(base, seeds, ALL)[0, 0].tolist() == [0, 2, 0, 0]

    def test_given_shares(self) -> None:
        config = replace(CONFIG, marginal="prior")
        q = class_marginal(rand(1, 3, 9), torch.tensor([[True, True, False]]), config, torch.tensor([[6.0, 2.0, 9.0]]))
        torch.testing.assert_close(q, torch.tensor([[0.75, 0.25, 0]], dtype=torch.float64))
        with pytest.raises(ShapeError, match="prior"):
            class_marginal(rand(1, 3, 9), ALL, config)

    def test_images_are_judged_apart(self) -> None:
        base = torch.tensor([[[0, 0, 0]], [[2, 2, 0]]])
        seeds = one_hot(torch.tensor([[[2, 0, 0]], [[0, 2, 2]]]), 3).movedim(3, 1).double()
        assert recover(base, seeds, ALL.expand(2, 3))[:, 0].tolist() == [[2, 0, 0], [2, 2, 0]]


class TestHeatmaps:
    def test_equation_3(self) -> None:
        maps, masks = rand(2, 5, 3, 4) - 0.3, rand(2, 3, 12, seed=1)
        features = Features.of(maps)
        found = centroid_heatmaps(features, masks)
        unit = maps.flatten(2) / maps.flatten(2).norm(dim=1, keepdim=True)
        mean = torch.einsum("bkn,bdn->bkd", masks, unit) / masks.sum(dim=2, keepdim=True)
        torch.testing.assert_close(found.centroids, mean, rtol=0, atol=1e-12)
        expected = cosine_similarity(mean[:, :, None], unit.transpose(1, 2)[:, None], dim=3).relu()
        torch.testing.assert_close(found.scores, expected, rtol=0, atol=1e-12)

    def test_a_feature_of_length_0_is_like_nothing(self) -> None:
        maps = rand(1, 5, 3, 4)
        maps[..., 1, 1] = 0
        heatmaps = centroid_heatmaps(Features.of(maps), rand(1, 2, 12)).scores
        assert heatmaps.isfinite().all()
        assert (heatmaps[..., 5] == 0).all()


def two_alike(seed: int = 0) -> tuple[Scene, Tensor]:
    """Four classes of six cells each: USS features tell 0, 1 and {2, 3} apart, WSS features all four."""
    masks = torch.eye(4, dtype=torch.float64).repeat_interleave(6, dim=1)[None]  # (1, 4, 24)
    alike = torch.eye(3, dtype=torch.float64)[:, [0, 1, 2, 2]].repeat_interleave(6, dim=1)
    uss = alike + 0.05 * rand(3, 24, seed=seed)
    wss = masks[0] + 0.05 * rand(4, 24, seed=seed + 1)
    return on_grid(masks.view(1, 4, 4, 6), uss.view(1, 3, 4, 6), wss.view(1, 4, 4, 6)), masks


def steps_2_and_3(config: MethodConfig) -> tuple[Inter, Intra, Tensor]:
    """Both steps and the masks of :func:`two_alike`, all classes valid and of one size."""
    scene, masks = two_alike()
    inter = inter_class(scene, masks, torch.full((1, 4), 0.25, dtype=torch.float64), config)
    return inter, intra_class(scene, masks, inter, config), masks


class TestIntra:
    def test_equation_4(self) -> None:
        inter, intra, _ = steps_2_and_3(replace(CONFIG, combine="product", tau=0.8))
        assert inter.groups[0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
        q = np.full(4, 0.25)
        uss, wss = inter.heatmaps.scores[0].numpy(), intra.heatmaps.scores[0].numpy()
        expected = plain_transport(uss, q, CONFIG.eps) * uss
        np.testing.assert_allclose(inter.scores.values[0], expected, rtol=0, atol=1e-9)
        expected[2:] = (plain_transport(wss, q, CONFIG.eps) * expected)[2:]
        np.testing.assert_allclose(intra.scores.values[0], expected, rtol=0, atol=1e-9)

    @pytest.mark.parametrize("combine", ["product", "mean"])
    def test_wss_features_decide_where_uss_features_cannot(self, combine: Any) -> None:
        inter, intra, masks = steps_2_and_3(replace(CONFIG, combine=combine))
        assert torch.equal(intra.scores.values.argmax(dim=1), masks.argmax(dim=1))
        sure = inter.scores.values.topk(2, dim=1).values
        assert (sure[:, 0] - sure[:, 1])[0, 12:].max() < 0.2, "the USS features alone do not know"

    def test_without_groups_the_product_changes_nothing(self) -> None:
        inter, intra, _ = steps_2_and_3(replace(CONFIG, combine="product", tau=1.0))
        assert torch.equal(intra.scores.values, inter.scores.values)

    @pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
    def test_the_mean_of_both_kinds(self, weight: float) -> None:
        inter, intra, _ = steps_2_and_3(replace(CONFIG, uss_weight=weight))
        scores = (weight * inter.heatmaps.scores + (1 - weight) * intra.heatmaps.scores)[0].numpy()
        expected = plain_transport(scores, np.full(4, 0.25), CONFIG.eps) * scores
        np.testing.assert_allclose(intra.scores.values[0], expected, rtol=0, atol=1e-9)


class TestQuality:
    def test_classes_count_alike_and_a_lost_one_counts_nothing(self) -> None:
        mask = torch.tensor([[[0, 0, 0, 1]]])
        confidence = torch.tensor([[[0.8, 0.8, 0.8, 0.4]]])
        agree = torch.ones(1, 1, 4, dtype=torch.bool)
        assert mask_quality(mask, confidence, agree, ALL[:, :2]).item() == pytest.approx(0.6)
        assert mask_quality(mask, confidence, agree, ALL).item() == pytest.approx(0.4)
        padded = torch.tensor([[True, True, False]])
        assert mask_quality(mask, confidence, agree, padded).item() == pytest.approx(0.6)

    def test_pixels_on_which_the_features_differ_count_nothing(self) -> None:
        mask, confidence = torch.zeros(1, 2, 4, dtype=torch.long), torch.full((1, 2, 4), 0.5)
        agree = torch.tensor([[[True, False]]])
        assert mask_quality(mask, confidence, agree, ALL[:, :1]).item() == pytest.approx(0.25)
