"""The loss on a set of masks: transformers' own where nothing is void, nothing where all is."""

from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("scipy")

from dhr.data.samples import VOID
from dhr.models.student.mask2former import Queries
from dhr.train.set_loss import SetLossConfig, draw, match, set_loss

CONFIG = SetLossConfig(points=64)


def scene(void: bool = False) -> Tensor:
    """Two images of 32 x 32: class 1 left and 3 right, the right with void; all of class 0."""
    labels = torch.zeros(2, 32, 32, dtype=torch.int64)
    labels[0, :, :16], labels[0, :, 16:] = 1, 3
    if void:
        labels[0, :, 24:] = VOID
    return labels


def guesses(seed: int = 0, queries: int = 5, layers: int = 2) -> Queries:
    generator = torch.Generator().manual_seed(seed)
    return Queries(
        torch.randn(layers, 2, queries, 5, generator=generator).requires_grad_(),
        torch.randn(layers, 2, queries, 8, 8, generator=generator).requires_grad_(),
    )


def losses(seen: Queries, labels: Tensor, config: SetLossConfig = CONFIG, **more: Any) -> Tensor:
    torch.manual_seed(1)
    return torch.stack(list(set_loss(seen, labels, config, **more)))


def test_without_void_it_is_that_of_transformers() -> None:
    """Both draw points at random: many of them, and none chosen, so that they come to the same."""
    transformers = pytest.importorskip("transformers")
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    settings = transformers.Mask2FormerConfig(
        num_labels=4, train_num_points=40000, importance_sample_ratio=0.0, oversample_ratio=1.0
    )
    weights = {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}
    theirs = Mask2FormerLoss(settings, weights)
    seen, labels = guesses(layers=1), scene()
    masks = [torch.stack([(one == index).float() for index in one.unique()]) for one in labels]
    found = theirs(seen.masks[0], seen.classes[0], masks, [one.unique() for one in labels])
    expected = torch.stack([found[key] * weight for key, weight in weights.items()])
    ours = losses(seen, labels, SetLossConfig(points=40000, important=0.0, oversample=1.0))
    torch.testing.assert_close(ours, expected, rtol=2e-2, atol=0)


def test_void_neither_costs_nor_teaches() -> None:
    seen, labels = guesses(), scene(void=True)
    before = losses(seen, labels)
    before.sum().backward()
    assert seen.masks.grad is not None
    # The last column of the 8 x 8 grid is read by pixels from 26 on only.
    assert (seen.masks.grad[:, 0, :, :, 7] == 0).all()
    assert (seen.masks.grad[:, 0, :, :, :6] != 0).any()
    other = seen.masks.detach().clone()
    other[:, 0, :, :, 7] = 50
    torch.testing.assert_close(losses(Queries(seen.classes, other), labels), before)
    whole = losses(Queries(seen.classes, other), scene())
    assert not torch.allclose(whole, losses(seen, scene()))


def test_an_image_that_is_all_void_teaches_nothing() -> None:
    labels = scene()
    labels[1] = VOID
    seen = guesses()
    losses(seen, labels).sum().backward()
    assert seen.classes.grad is not None and seen.masks.grad is not None
    assert (seen.classes.grad[:, 1] == 0).all() and (seen.masks.grad[:, 1] == 0).all()
    assert (seen.classes.grad[:, 0] != 0).any()
    nothing = losses(guesses(), torch.full_like(labels, VOID))
    assert torch.equal(nothing, torch.zeros(3))
    torch.autograd.backward(set_loss(guesses(), torch.full_like(labels, VOID), CONFIG).masks)


def test_queries_are_matched_with_what_they_show() -> None:
    labels = scene(void=True)
    classes, masks = torch.zeros(2, 5, 5), torch.full((2, 5, 8, 8), -9.0)
    masks[0, 3, :, :4], masks[0, 2, :, 4:6], masks[1, 4] = 9, 9, 9
    known = labels != VOID
    found = [one[there].unique() for one, there in zip(labels, known, strict=True)]
    queries, images, ids = match(classes, masks, labels, known, found, CONFIG)
    pairs = zip(images.tolist(), queries.tolist(), ids.tolist(), strict=True)
    assert set(pairs) == {(0, 3, 1), (0, 2, 3), (1, 4, 0)}


def test_a_perfect_answer_costs_nothing_and_a_loss_that_is_no_number_shows() -> None:
    labels = scene()
    classes, masks = torch.full((1, 2, 5, 5), -30.0), torch.full((1, 2, 5, 32, 32), -30.0)
    classes[..., 4] = 0
    for image, (query, one) in ((0, (0, 1)), (0, (3, 3)), (1, (1, 0))):
        classes[0, image, query, one], classes[0, image, query, 4] = 30, -30
        masks[0, image, query] = torch.where(labels[image] == one, 30.0, -30.0)
    assert losses(Queries(classes, masks), labels).max() < 1e-3
    assert losses(Queries(classes * torch.nan, masks), labels).isnan().any()


def test_more_classes_than_queries_still_have_a_loss() -> None:
    assert torch.isfinite(losses(guesses(queries=1), scene())).all()


def test_points_are_pixels_that_are_known() -> None:
    known = torch.zeros(3, 7, 9, dtype=torch.bool)
    known[0, 3, 4] = known[1, 6, 8] = known[1, 0, 0] = True
    points = draw(known, 500)
    assert set(points[0].tolist()) == {3 * 9 + 4}
    assert set(points[1].tolist()) == {0, 62}
    assert 150 < (points[1] == 0).sum() < 350
    assert points[2].max() < 63


def test_counts_are_shared_among_processes() -> None:
    """Two halves of a batch, each told the mean of both counts: their mean is the whole."""
    labels = scene()
    seen = Queries(guesses().classes, torch.full((2, 2, 5, 8, 8), 0.3))
    counts: list[Tensor] = []
    halves = [Queries(seen.classes[:, [at]], seen.masks[:, [at]]) for at in (0, 1)]

    def note(value: Tensor) -> Tensor:
        counts.append(value)
        return value

    for half, one in zip(halves, labels, strict=True):
        losses(half, one[None], mean=note)
    each = len(counts) // 2
    means = [(one + other) / 2 for one, other in zip(counts[:each], counts[each:], strict=True)]
    shared = []
    for half, one in zip(halves, labels, strict=True):
        told = iter(means)
        shared.append(losses(half, one[None], mean=lambda _, told=told: next(told)))  # type: ignore[misc]
    whole = losses(seen, labels)
    torch.testing.assert_close(torch.stack(shared).mean(dim=0)[0], whole[0])
    torch.testing.assert_close(torch.stack(shared).mean(dim=0), whole, rtol=0.1, atol=0)
