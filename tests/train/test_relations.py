"""What the heads of IRN learn from: labels that the CAMs are sure of, and losses that equal loops over pairs."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.ops.random_walk import boundary_affinity, forward_offsets
from dhr.train.relations import UNSURE, Confidence, boundary_loss, confident_labels, displacement_loss

RADIUS = 3


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_labels(b: int, p: int, q: int, classes: int = 3, seed: int = 0) -> Tensor:
    """Patches of two by two, some of them unsure, some background."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randint(UNSURE, classes, (b, -(-p // 2), -(-q // 2)), generator=random)
    return coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :p, :q]


# Losses


def pairs(labels: Tensor) -> dict[str, list[tuple[int, int, int, int, int]]]:
    """(image, y, x, which offset, ...) of the pairs of each kind."""
    found: dict[str, list[tuple[int, int, int, int, int]]] = {"foreground": [], "background": [], "apart": []}
    b, p, q = labels.shape
    for image in range(b):
        for y in range(p):
            for x in range(q):
                for dy in range(-RADIUS, RADIUS + 1):
                    for dx in range(-RADIUS, RADIUS + 1):
                        inside = 0 <= y + dy < p and 0 <= x + dx < q
                        if not inside or not 0 < math.hypot(dy, dx) <= RADIUS:
                            continue
                        here, there = int(labels[image, y, x]), int(labels[image, y + dy, x + dx])
                        if UNSURE in (here, there):
                            continue
                        kind = "apart" if here != there else "foreground" if here > 0 else "background"
                        found[kind].append((image, y, x, dy, dx))
    return found


def mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


@pytest.mark.parametrize("lowest", [UNSURE, 0, 1])
@pytest.mark.parametrize("size", [(6, 7), (2, 5), (1, 1)])
def test_losses_equal_the_loop_over_pairs(size: tuple[int, int], lowest: int) -> None:
    labels = some_labels(2, *size).clamp_min(lowest)
    logits, displacement = numbers(2, 1, *size), numbers(2, 2, *size, seed=1)
    affinity = boundary_affinity(logits.sigmoid(), RADIUS)
    half = forward_offsets(RADIUS)
    middle = affinity.shape[1] // 2
    found = pairs(labels)

    def joined(image: int, y: int, x: int, dy: int, dx: int) -> float:
        forward = (dy, dx) in half
        index = middle + 1 + half.index((dy, dx)) if forward else middle - 1 - half.index((-dy, -dx))
        return float(affinity[image, index, y, x])

    def differs(image: int, y: int, x: int, dy: int, dx: int, aim: float) -> float:
        way = displacement[image, :, y, x] - displacement[image, :, y + dy, x + dx]
        return float((aim * torch.tensor([dy, dx]) - way).abs().mean())

    kinds = [kind for kind in ("foreground", "background") if found[kind]]
    same = sum(mean([-math.log(joined(*pair)) for pair in found[kind]]) for kind in kinds) / max(1, len(kinds))
    expected = same + mean([-math.log(1 - joined(*pair)) for pair in found["apart"]])
    assert float(boundary_loss(logits, labels, RADIUS)) == pytest.approx(expected, abs=1e-9)
    expected = mean([differs(*pair, aim=1) for pair in found["foreground"]])
    expected += mean([differs(*pair, aim=0) for pair in found["background"]])
    assert float(displacement_loss(displacement, labels, RADIUS)) == pytest.approx(expected, abs=1e-9)


def test_boundaries_that_are_right_cost_nothing_and_wrong_ones_do() -> None:
    labels = torch.zeros(1, 12, 21, dtype=torch.long)
    labels[..., 6:13], labels[..., 13:] = 4, 2
    border = torch.zeros(1, 1, 12, 21, dtype=torch.bool)
    border[..., [5, 13]] = True
    labels[border[:, 0]] = UNSURE

    def loss(edges: Tensor) -> float:
        return float(boundary_loss(torch.where(edges, 15.0, -15.0), labels, RADIUS))

    assert loss(border) < 1e-5
    assert loss(torch.zeros_like(border)) > 10  # nothing keeps the classes apart
    assert loss(torch.ones_like(border)) > 10  # nothing holds together what is of one class
    gap = border.clone()
    gap[..., 5, 13] = False
    assert 0.01 < loss(gap) < loss(torch.zeros_like(border))
    line = border.clone()
    line[..., 6, 8:11] = True
    assert 0.1 < loss(line) < loss(torch.ones_like(border))
    beside = border.roll(2, dims=3)
    assert loss(beside) > 1


def test_displacements_to_the_middles_cost_nothing_and_others_do() -> None:
    labels = torch.zeros(1, 14, 20, dtype=torch.long)
    labels[:, 3:10, 2:8], labels[:, 3:10, 9:17] = 4, 2
    labels[:, 4, 5] = UNSURE
    places = torch.stack(torch.meshgrid(torch.arange(14.0), torch.arange(20.0), indexing="ij"))[None]
    right = torch.zeros(1, 2, 14, 20)
    for name in (2, 4):
        there = (labels == name)[:, None].expand(-1, 2, -1, -1)
        middle = torch.stack([places[:, axis][labels == name].mean() for axis in (0, 1)])[None, :, None, None]
        right = torch.where(there, middle - places, right)
    assert float(displacement_loss(right, labels, RADIUS)) < 1e-5
    assert float(displacement_loss(right + 3, labels, RADIUS)) < 1e-5  # only differences count
    for wrong in (-right, right.flip(1), 2 * right, torch.zeros_like(right), right + 0.1 * places):
        assert float(displacement_loss(wrong, labels, RADIUS)) > 0.1


@pytest.mark.parametrize("name", [UNSURE, 0, 1])
def test_pairs_of_one_kind_or_none(name: int) -> None:
    labels = torch.full((2, 6, 6), name)
    logits, displacement = numbers(2, 1, 6, 6).requires_grad_(), numbers(2, 2, 6, 6).requires_grad_()
    edges, ways = boundary_loss(logits, labels, RADIUS), displacement_loss(displacement, labels, RADIUS)
    (edges + ways).backward()
    for loss, given in ((edges, logits), (ways, displacement)):
        assert given.grad is not None and given.grad.isfinite().all()
        assert (loss.item() > 0) is (name != UNSURE)
        assert bool(given.grad.any()) is (name != UNSURE)
    assert torch.equal(boundary_loss(logits, labels.clamp_max(0), RADIUS), edges)  # either kind counts in full


def test_unsure_positions_move_nothing_but_what_lies_between_others() -> None:
    labels = torch.full((1, 3, 9), UNSURE)
    labels[0, 1, 2], labels[0, 1, 4] = 1, 2
    logits = torch.zeros(1, 1, 3, 9).index_put(
        (torch.tensor(0),) * 2 + (torch.tensor(1), torch.tensor(3)), torch.ones(())
    )
    logits.requires_grad_()
    boundary_loss(logits, labels, RADIUS).backward()
    assert logits.grad is not None
    assert logits.grad.nonzero().tolist() == [[0, 0, 1, 3]]  # the highest on the way
    assert logits.grad[0, 0, 1, 3] < 0  # and it should be higher


# Labels


def labels_of(cams: Tensor, peaks: Tensor, images: Tensor | None = None, **more: float | None) -> Tensor:
    size = (cams.shape[-2], cams.shape[-1])
    settings: Any = {"foreground": 0.3, "background": None, "margin": 0.0, "refine": 0, **more}
    images = torch.zeros(len(cams), 3, 8, 8) if images is None else images
    return confident_labels(cams, peaks, images, size, Confidence(**settings))


def test_labels_are_those_of_the_highest_share_above_the_thresholds() -> None:
    cams = torch.tensor(
        [[8.0, 4.0, 2.0, -3.0, 0.2, 1.0], [1.0, 1.2, 0.4, 0.0, 0.02, 0.5], [9.0, 9.0, 9.0, 9.0, 9.0, 9.0]]
    )
    cams = cams[None, :, None]  # (1, 3, 1, 6)
    peaks = torch.tensor([[10.0, 2.0, 0.0]])  # shares .8 .4 .2 0 .02 .1 and .5 .6 .2 0 .01 .25; the third is not tagged
    assert labels_of(cams, peaks)[0, 0].tolist() == [1, 2, UNSURE, UNSURE, UNSURE, UNSURE]
    assert labels_of(cams, peaks, foreground=0.7)[0, 0].tolist() == [1, *[UNSURE] * 5]
    assert labels_of(cams, peaks, margin=0.25)[0, 0].tolist() == [1, *[UNSURE] * 5]
    assert labels_of(cams, peaks, margin=0.35)[0, 0].tolist() == [UNSURE] * 6
    assert labels_of(cams, peaks, background=0.05)[0, 0].tolist() == [1, 2, UNSURE, 0, 0, UNSURE]
    assert labels_of(cams, peaks, background=0.25, foreground=0.25)[0, 0].tolist() == [1, 2, 0, 0, 0, 2]


def test_each_image_has_its_own_tags() -> None:
    cams = torch.ones(3, 4, 2, 2)
    peaks = torch.tensor([[0.0, 0, 0, 1], [2, 1, 0, 0], [-1, 0, 0, 0]])  # the last: a CAM that denies all of it
    found = labels_of(cams, peaks, background=0.1)
    assert found.flatten(1).unique(dim=1).flatten().tolist() == [4, 2, 0]
    for index in range(3):
        alone = labels_of(cams[index : index + 1], peaks[index : index + 1], background=0.1)
        assert torch.equal(alone[0], found[index])


def test_cams_above_the_peak_count_as_the_peak() -> None:
    cams = torch.tensor([[30.0, 1.0], [1.0, 1.0]])[None, :, None]
    assert labels_of(cams, torch.ones(1, 2), margin=0.1)[0, 0].tolist() == [UNSURE, UNSURE]


def test_refined_labels_end_where_the_colours_do() -> None:
    """The CAMs cross over four columns beside the edge of the photograph."""
    columns = torch.arange(24.0)
    left = torch.sigmoid((8 - columns) / 3).expand(1, 1, 20, 24)
    images = torch.where(columns < 12, 0.2, 0.8).expand(1, 3, 20, 24).contiguous()
    images = images + 0.02 * torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    truth = torch.where(columns < 12, 1, 2).expand(1, 20, 24)
    wrong = []
    for refine in (0, 10):
        found = labels_of(torch.cat([left, 1 - left], dim=1), torch.ones(1, 2), images, refine=refine)
        assert (found != UNSURE).float().mean() > 0.9
        wrong.append(int((found != truth).sum()))
    assert wrong[0] >= 3 * 20 and wrong[1] == 0
    finer = interpolate(images, scale_factor=4, mode="nearest")
    found = labels_of(torch.cat([left, 1 - left], dim=1), torch.ones(1, 2), finer, refine=10)
    assert torch.equal(found, truth)
