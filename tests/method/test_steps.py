"""The steps one by one: base mask, seeds (Eq. 2), inter- and intra-class (Eqs. 3 and 4), boundary."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cosine_similarity

from dhr.errors import ShapeError
from dhr.method.base import add_background, labels, majority, normalise_cams, otsu_level, soft_masks
from dhr.method.config import PRESETS, MethodConfig
from dhr.method.heatmaps import Features, centroid_heatmaps
from dhr.method.inter import Scores, stretched, transported
from dhr.method.intra import intra_class
from dhr.method.quality import mask_quality
from dhr.method.seeds import class_marginal, overwrite_base
from dhr.ops.similarity import correlated_groups
from dhr.ops.transport import transport

ALL = torch.ones(1, 3, dtype=torch.bool)
CONFIG = PRESETS["default"]


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
        maps, present = add_background(cams, valid, MethodConfig(background="threshold", background_threshold=0.2))
        assert maps.shape == (1, 3, 3, 4)
        assert (maps[:, 0] == 0.2).all()
        assert torch.equal(maps[:, 1:], cams)
        assert present.tolist() == [[True, True, False]]

    def test_the_background_is_where_no_class_is(self) -> None:
        cams, valid = rand(1, 2, 3, 4), torch.tensor([[True, True]])
        maps, _ = add_background(cams, valid, MethodConfig(background="power", background_power=2.0))
        torch.testing.assert_close(maps[:, 0], (1 - torch.maximum(cams[:, 0], cams[:, 1])).square())
        assert torch.equal(maps[:, 1:], cams)

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
        maps, present = add_background(torch.ones(1, 1, 3, 4), torch.ones(1, 1, dtype=torch.bool), CONFIG)
        assert (labels(maps, present) == 1).all()

    def test_the_largest_share_takes_the_cell(self) -> None:
        shares = torch.tensor([[[[0.75, 0.0, 0.4, 0.5]], [[0.25, 0.0, 0.6, 0.5]]]])
        assert majority(shares)[0, :, 0].tolist() == [[1, 0, 0, 0.5], [0, 0, 1, 0.5]]

    def test_padding_is_never_a_label(self) -> None:
        scores = torch.zeros(1, 3, 2, 2) - 5
        scores[:, 2] = 100
        scores[:, 1] = -4
        assert (labels(scores, torch.tensor([[True, True, False]])) == 1).all()

    def test_cells_hold_the_shares_of_their_pixels(self) -> None:
        mask = torch.tensor([[[0, 0, 1, 255], [0, 2, 1, -1]]])
        shares = soft_masks(mask, 3, (1, 2), torch.float64)
        assert shares[0, :, 0].tolist() == [[0.75, 0], [0, 0.5], [0.25, 0]]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_masks_have_the_asked_type(self, dtype: torch.dtype) -> None:
        assert soft_masks(torch.zeros(1, 4, 4, dtype=torch.long), 2, (2, 2), dtype).dtype == dtype


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
        seeds = transported(cams, q, ALL, replace(CONFIG, eps=0.1))
        expected = transport(cams, q, ALL, eps=0.1).plan * 20 * cams
        torch.testing.assert_close(seeds.values, expected, rtol=0, atol=1e-9)
        assert seeds.marginal_error.item() < 1e-9

    def test_seeds_overwrite_where_a_class_has_vanished(self) -> None:
        base = torch.tensor([[[0, 0, 0, 0, 1, 255]]])
        seeds = torch.tensor([[[0, 0, 2, 2, 1, 1]]])
        sure = torch.ones(seeds.shape)
        choose = {
            name: overwrite_base(base, seeds, sure, ALL, replace(CONFIG, overwrite=name))[0, 0].tolist()
            for name in ("vanished", "all")
        }
        assert choose["all"] == seeds[0, 0].tolist()
        assert choose["vanished"] == [0, 0, 2, 2, 1, 255], "class 1 kept half of its seeds' area"

    def test_doubtful_seeds_do_not_overwrite(self) -> None:
        base, seeds = torch.tensor([[[0, 0, 0, 0]]]), torch.tensor([[[2, 2, 1, 1]]])
        margin = torch.tensor([[[0.9, 0.1, 0.5, 0.1]]])
        for overwrite in ("vanished", "all"):
            config = replace(CONFIG, overwrite=overwrite, seed_margin=0.5)
            assert overwrite_base(base, seeds, margin, ALL, config)[0, 0].tolist() == [2, 0, 1, 0]

    def test_given_shares(self) -> None:
        config = replace(CONFIG, marginal="prior")
        q = class_marginal(rand(1, 3, 9), torch.tensor([[True, True, False]]), config, torch.tensor([[6.0, 2.0, 9.0]]))
        torch.testing.assert_close(q, torch.tensor([[0.75, 0.25, 0]], dtype=torch.float64))
        with pytest.raises(ShapeError, match="prior"):
            class_marginal(rand(1, 3, 9), ALL, config)

    def test_images_are_judged_apart(self) -> None:
        base = torch.tensor([[[0, 0, 0]], [[2, 2, 0]]])
        seeds = torch.tensor([[[2, 0, 0]], [[0, 2, 2]]])
        config = replace(CONFIG, overwrite="vanished")
        result = overwrite_base(base, seeds, torch.ones(seeds.shape), ALL.expand(2, 3), config)
        assert result[:, 0].tolist() == [[2, 0, 0], [2, 2, 0]]


class TestHeatmaps:
    def test_equation_3(self) -> None:
        maps, masks = rand(2, 5, 3, 4) - 0.3, rand(2, 3, 12, seed=1)
        features = Features.of(maps)
        found = centroid_heatmaps(features, masks)
        unit = maps.flatten(2) / maps.flatten(2).norm(dim=1, keepdim=True)
        mean = torch.einsum("bkn,bdn->bkd", masks, unit) / masks.sum(dim=2, keepdim=True)
        torch.testing.assert_close(found.pooled.centroids, mean, rtol=0, atol=1e-12)
        expected = cosine_similarity(mean[:, :, None], unit.transpose(1, 2)[:, None], dim=3).relu()
        torch.testing.assert_close(found.scores, expected, rtol=0, atol=1e-12)

    def test_a_feature_of_length_0_is_like_nothing(self) -> None:
        maps = rand(1, 5, 3, 4)
        maps[..., 1, 1] = 0
        heatmaps = centroid_heatmaps(Features.of(maps), rand(1, 2, 12)).scores
        assert heatmaps.isfinite().all()
        assert (heatmaps[..., 5] == 0).all()


def two_alike(seed: int = 0) -> tuple[Features, Features, Tensor]:
    """Four classes of six cells each: USS features tell 0, 1 and {2, 3} apart, WSS features all four."""
    masks = torch.eye(4, dtype=torch.float64).repeat_interleave(6, dim=1)[None]  # (1, 4, 24)
    alike = torch.eye(3, dtype=torch.float64)[:, [0, 1, 2, 2]].repeat_interleave(6, dim=1)
    uss = alike + 0.05 * rand(3, 24, seed=seed)
    wss = masks[0] + 0.05 * rand(4, 24, seed=seed + 1)
    return Features.of(uss.view(1, 3, 4, 6)), Features.of(wss.view(1, 4, 4, 6)), masks


def steps_2_and_3(config: MethodConfig) -> tuple[Tensor, Scores, Scores, Tensor]:
    """Groups, S_us', S_dhr and the masks of :func:`two_alike`, all classes valid and of one size."""
    uss, wss, masks = two_alike()
    valid, q = torch.ones(1, 4, dtype=torch.bool), torch.full((1, 4), 0.25, dtype=torch.float64)
    seen, known = centroid_heatmaps(uss, masks), centroid_heatmaps(wss, masks)
    groups = correlated_groups(seen.pooled.centroids, valid, config.tau)
    inter = transported(seen.scores, q, valid, config)
    return groups, inter, intra_class(seen.scores, known.scores, groups, q, valid, config), masks


class TestIntra:
    def test_equation_4(self) -> None:
        config = replace(CONFIG, combine="product", tau=0.8)
        groups, inter, intra, masks = steps_2_and_3(config)
        assert groups[0].int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
        wss_scores = centroid_heatmaps(two_alike()[1], masks).scores
        q = torch.full((1, 4), 0.25, dtype=torch.float64)
        within = transport(wss_scores, q, eps=config.eps).assignment * inter.values
        torch.testing.assert_close(intra.values[:, :2], inter.values[:, :2], rtol=0, atol=1e-9)
        torch.testing.assert_close(intra.values[:, 2:], within[:, 2:], rtol=0, atol=1e-9)

    @pytest.mark.parametrize("combine", ["product", "mean"])
    def test_wss_features_decide_where_uss_features_cannot(self, combine: str) -> None:
        _, inter, intra, masks = steps_2_and_3(replace(CONFIG, combine=combine))
        assert torch.equal(intra.values.argmax(dim=1), masks.argmax(dim=1))
        sure = inter.values.topk(2, dim=1).values
        assert (sure[:, 0] - sure[:, 1])[0, 12:].max() < 0.2, "the USS features alone do not know"

    def test_without_groups_the_product_changes_nothing(self) -> None:
        _, inter, intra, _ = steps_2_and_3(replace(CONFIG, combine="product", tau=1.0))
        assert torch.equal(intra.values, inter.values)

    def test_the_authors_order(self) -> None:
        config = replace(CONFIG, combine="sequence", tau=0.8, stretch=True)
        uss, wss, masks = two_alike()
        _, _, intra, _ = steps_2_and_3(config)
        q = torch.full((1, 4), 0.25, dtype=torch.float64)
        seen, known = centroid_heatmaps(uss, masks).scores, centroid_heatmaps(wss, masks).scores
        within = stretched(transport(known, q, eps=config.eps).assignment) * seen
        scores = torch.cat([seen[:, :2], within[:, 2:]], dim=1)
        expected = stretched(transport(scores, q, eps=config.eps).assignment) * scores
        torch.testing.assert_close(intra.values, expected, rtol=0, atol=1e-9)
        assert torch.equal(intra.values.argmax(dim=1), masks.argmax(dim=1))

    def test_weights_within_and_outside_groups(self) -> None:
        uss, wss, q = rand(1, 4, 20), rand(1, 4, 20, seed=1), torch.full((1, 4), 0.25, dtype=torch.float64)
        groups = torch.eye(4, dtype=torch.bool)[None].clone()
        groups[0, 2, 3] = groups[0, 3, 2] = True
        config = replace(CONFIG, uss_weight=0.9, uss_weight_grouped=0.2)
        found = intra_class(uss, wss, groups, q, torch.ones(1, 4, dtype=torch.bool), config).values
        weight = torch.tensor([0.9, 0.9, 0.2, 0.2], dtype=torch.float64).view(1, 4, 1)
        scores = weight * uss + (1 - weight) * wss
        expected = transport(scores, q, eps=config.eps).assignment * scores
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


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
