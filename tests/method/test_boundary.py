"""Boundary corrections: one contract for every entry, and what each must do."""

from dataclasses import replace
from typing import Any

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dhr.errors import ConfigError
from dhr.method.boundary import BOUNDARIES, Guide, Refine, corrections, probabilities
from dhr.method.config import BoundaryConfig, CrfConfig, Kind, MethodConfig, PamrConfig, RandomWalkConfig
from dhr.prompts import Prompts, Proposals

from .whole import rebalance

every_kind = pytest.mark.parametrize("kind", sorted(BOUNDARIES))


def two_halves(b: int = 2, h: int = 24, w: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Images dark on the left and bright on the right, scores whose edge lies too far right, features on a grid."""
    random = torch.Generator().manual_seed(0)
    column = torch.arange(w)
    images = torch.where(column < w // 2, 0.25, 0.75).expand(b, 3, h, w) + 0.01 * torch.rand(
        b, 3, h, w, generator=random
    )
    left = torch.sigmoid((w // 2 + 4 - column) / 2.0).expand(b, 1, h, w)
    side = torch.where(torch.arange(w // 4) < w // 8, 1.0, 0.0).expand(b, 1, h // 4, w // 4)
    return images, torch.cat([left, 1 - left], dim=1), torch.cat([side, 1 - side], dim=1)


def halves(index: int, prompts: Prompts) -> Proposals:
    """A network that segments the half of an image in which the middle of a box lies."""
    assert prompts.boxes is not None
    left = prompts.boxes[:, ::2].mean(dim=1) < 16
    sides = torch.where(torch.arange(32) < 16, left.unsqueeze(1), ~left.unsqueeze(1))  # (p, w)
    masks = sides[:, None, None].expand(-1, 3, 24, -1)
    return Proposals(masks.float() * 12 - 6, torch.ones(len(left), 3))


def refiner(kind: str, features: Tensor | None = None, edges: Tensor | None = None, **settings: Any) -> Refine:
    return BOUNDARIES[kind](BoundaryConfig(**settings), Guide(features, edges, halves))


@every_kind
def test_it_is_a_refine(kind: str) -> None:
    images, scores, features = two_halves()
    refine = refiner(kind, features)
    assert isinstance(refine, Refine)
    copies = images.clone(), scores.clone()
    result = refine(images, scores)
    assert result.shape == scores.shape
    assert result.dtype == scores.dtype
    assert result.isfinite().all()
    assert (result >= 0).all()
    assert torch.equal(images, copies[0])
    assert torch.equal(scores, copies[1])


@every_kind
def test_what_it_keeps_of_the_images_changes_nothing(kind: str) -> None:
    images, scores, features = two_halves()
    other = images.flip(-1)
    refine = refiner(kind, features)
    first = refine(images, scores)
    assert torch.equal(refine(images, scores), first)
    turned = refine(other, scores)
    assert torch.equal(turned, refiner(kind, features)(other, scores))
    assert torch.equal(refine(images, scores), first)


@every_kind
def test_each_image_is_refined_alone(kind: str) -> None:
    images, scores, features = two_halves()
    images = torch.cat([images[:1], images[1:].flip(-1)])
    whole = refiner(kind, features)(images, scores)
    for index in range(2):
        part = slice(index, index + 1)
        alone = refiner(kind, features[part])(images[part], scores[part])
        torch.testing.assert_close(alone, whole[part], rtol=0, atol=1e-6)


@every_kind
def test_the_order_of_classes_does_not_matter(kind: str) -> None:
    images, scores, features = two_halves()
    expected = refiner(kind, features)(images, scores).flip(1)
    torch.testing.assert_close(refiner(kind, features)(images, scores.flip(1)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", sorted(set(BOUNDARIES) - {"none"}))
def test_an_edge_moves_onto_that_of_the_image(kind: str) -> None:
    images, scores, features = two_halves()
    truth = (torch.arange(32) >= 16).long().expand(2, 24, 32)
    before = (scores.argmax(dim=1) != truth).float().mean()
    after = (refiner(kind, features)(images, scores).argmax(dim=1) != truth).float().mean()
    assert before > 0.1
    assert after < 0.3 * before


@pytest.mark.parametrize(
    ("kind", "changed"),
    [("pamr", {"pamr": PamrConfig(iterations=1)}), ("pamr", {"pamr": PamrConfig(dilations=(1,))})]
    + [("crf", {"crf": replace(CrfConfig(), **{name: value})}) for name, value in (
        ("iterations", 1), ("gaussian_compat", 1.0), ("gaussian_sxy", 3.0), ("bilateral_compat", 1.0),
        ("bilateral_sxy", 5.0), ("bilateral_srgb", 90.0))]
    + [("random_walk", {"random_walk": replace(RandomWalkConfig(), **{name: value})}) for name, value in (
        ("steps", 2), ("radius", 1), ("beta", 1.0), ("sigma_colour", 1.0))],
)  # fmt: skip
def test_settings_reach_the_correction(kind: str, changed: dict[str, Any]) -> None:
    images, scores, features = two_halves()
    features = features + 0.5
    default, other = refiner(kind, features)(images, scores), refiner(kind, features, **changed)(images, scores)
    assert not torch.equal(default, other)


def test_class_boundaries_stop_the_walk() -> None:
    """The photograph shows nothing; the edges say where one class ends."""
    _, scores, features = two_halves()
    images = torch.full((2, 3, 24, 32), 0.5)
    edges = torch.zeros(2, 1, 12, 16)
    edges[..., 7:9] = 1
    truth = (torch.arange(32) >= 16).long().expand(2, 24, 32)
    free = refiner("random_walk", torch.ones_like(features))(images, scores).argmax(dim=1)
    stopped = refiner("random_walk", features, edges)(images, scores).argmax(dim=1)
    assert (stopped != truth).float().mean() < 0.07
    assert (free != truth).float().mean() > 0.07


def test_a_walk_without_features_is_refused() -> None:
    with pytest.raises(ConfigError, match="random_walk compares features"):
        refiner("random_walk")


def test_sam_without_a_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="boundary sam needs a network"):
        BOUNDARIES["sam"](BoundaryConfig(), Guide())


def test_masks_of_one_kind_share_their_correction() -> None:
    base, final = corrections(BoundaryConfig(kind="crf", base="pamr"), Guide(), None, (4, 5))
    assert type(final.refine) is type(BOUNDARIES["crf"](BoundaryConfig(), Guide()))
    assert type(base.refine) is type(BOUNDARIES["pamr"](BoundaryConfig(), Guide()))
    base, final = corrections(BoundaryConfig(kind="crf", base="crf"), Guide(), None, (4, 5))
    assert base.refine is final.refine


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5), st.integers(0, 999), st.sampled_from([1e-25, 1.0, 1e6]))
def test_scores_become_probabilities(k: int, seed: int, scale: float) -> None:
    scores = torch.rand(2, k, 3, 4, generator=torch.Generator().manual_seed(seed)) * scale
    scores[:, :, 0, 0] = 0
    result, seen = probabilities(scores)
    assert seen.all()
    torch.testing.assert_close(result.sum(dim=1), torch.ones(2, 3, 4))
    assert torch.equal(result.argmax(dim=1)[:, 1:], scores.argmax(dim=1)[:, 1:])
    torch.testing.assert_close(result[:, :, 0, 0], torch.full((2, k), 1 / k))


def test_a_class_without_score_gets_no_probability() -> None:
    scores = torch.zeros(1, 3, 2, 2)
    scores[0, 1, 0, 0] = 1
    result, seen = probabilities(scores)
    assert torch.equal(result[0, :, 1, 1], torch.tensor([0.0, 1.0, 0.0]))
    assert seen.tolist() == [[False, True, False]]
    result, seen = probabilities(torch.zeros(1, 4, 2, 2))
    torch.testing.assert_close(result, torch.full((1, 4, 2, 2), 0.25))
    assert seen.all()


@pytest.mark.parametrize("kind", sorted(set(BOUNDARIES) - {"sam"}))
@pytest.mark.parametrize("level", [0.3, None])
def test_one_tag_keeps_its_background(kind: Kind, level: float | None) -> None:
    """A softmax over the one CAM alone, as in the authors' program, would give the class the whole photograph."""
    images, _, features = two_halves(b=1)
    cams = torch.zeros(1, 1, 6, 8)
    cams[..., 4:] = torch.linspace(0.7, 1, 4)
    config = MethodConfig(background_level=level, smallest_ratio=0.01)
    result = rebalance(
        cams, features, features, images, background=True, config=config, boundary=BoundaryConfig(kind, kind)
    )
    truth = (torch.arange(32) >= 16).long().expand(1, 24, 32)
    for mask in (result.base, result.mask):
        assert (mask != truth).float().mean() < 0.1


@every_kind
def test_sizes_must_agree(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    images, scores, features = two_halves()
    if kind in ("none", "random_walk"):  # neither compares pixels with pixels
        assert refiner(kind, features)(images, scores[..., 1:]).shape == (2, 2, 24, 31)
    else:
        with pytest.raises(ValueError, match="resize the scores to the images"):
            refiner(kind, features)(images, scores[..., 1:])
