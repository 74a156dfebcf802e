"""PAMR: parity with loops over pixels, what it keeps, and that it sharpens."""

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot

from dhr.errors import ShapeError
from dhr.ops.pamr import DILATIONS, Pamr, pamr

SMALL = (1, 2, 4)


def naive(
    image: np.ndarray, scores: np.ndarray, iterations: int, dilations: tuple[int, ...], contrast: float
) -> np.ndarray:
    """The formula of the docstring for one image (3, h, w) and its scores (k, h, w), a pixel at a time."""
    _, h, w = image.shape
    offsets = [(dy * d, dx * d) for d in dilations for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    for _ in range(iterations):
        refined = np.zeros_like(scores)
        for y in range(h):
            for x in range(w):
                places = [(min(max(y + dy, 0), h - 1), min(max(x + dx, 0), w - 1)) for dy, dx in offsets]
                colours = np.array([image[:, v, u] for v, u in places])  # (n, 3)
                sigma = colours.std(axis=0, ddof=1)
                likeness = -(np.abs(image[:, y, x] - colours) / (contrast * sigma + 1e-8)).sum(axis=1) / 3
                weights = np.exp(likeness - likeness.max())
                weights /= weights.sum()
                refined[:, y, x] = sum(a * scores[:, v, u] for a, (v, u) in zip(weights, places, strict=True))
        scores = refined
    return scores


def photograph(b: int, h: int, w: int, seed: int = 0) -> Tensor:
    """Flat patches with a little noise: edges, and a colour that no two pixels share."""
    random = torch.Generator().manual_seed(seed)
    patches = torch.rand(b, 3, -(-h // 4), -(-w // 4), generator=random, dtype=torch.float64)
    flat = patches.repeat_interleave(4, 2).repeat_interleave(4, 3)[..., :h, :w]
    return flat + 0.05 * torch.rand(b, 3, h, w, generator=random, dtype=torch.float64)


def some_scores(b: int, k: int, h: int, w: int, seed: int = 1) -> Tensor:
    return torch.rand(b, k, h, w, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("contrast", [0.1, 0.5])
@pytest.mark.parametrize(
    ("size", "dilations"), [((9, 7), (1, 2, 4)), ((5, 6), (1,)), ((4, 9), (3, 12)), ((1, 6), (1, 2))]
)
def test_equals_the_loop_over_pixels(size: tuple[int, int], dilations: tuple[int, ...], contrast: float) -> None:
    images, scores = photograph(2, *size), some_scores(2, 3, *size)
    result = pamr(images, scores, iterations=2, dilations=dilations, contrast=contrast).numpy()
    for index in range(2):
        expected = naive(images[index].numpy(), scores[index].numpy(), 2, dilations, contrast)
        np.testing.assert_allclose(result[index], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (37, 16), (40, 33)])
@pytest.mark.parametrize("dilations", [(1,), (1, 3, 20)])
def test_single_precision_has_kernels_of_its_own_that_agree(size: tuple[int, int], dilations: tuple[int, ...]) -> None:
    images, scores = photograph(2, *size), some_scores(2, 5, *size)
    images[0, :, : size[0] // 2] = 0.5  # without any contrast
    expected = pamr(images, scores, 6, dilations)
    result = pamr(images.float(), scores.float(), 6, dilations)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=3e-5)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(pamr(images.float(), scores.float(), 6, dilations), result)
    finally:
        torch.set_num_threads(threads)


def test_equals_the_loop_for_colours_far_from_zero() -> None:
    """A variance from raw moments would lose its digits here."""
    images, scores = photograph(1, 6, 6) + 1000, some_scores(1, 2, 6, 6)
    expected = naive(images[0].numpy(), scores[0].numpy(), 1, SMALL, 0.1)
    np.testing.assert_allclose(pamr(images, scores, 1, SMALL)[0].numpy(), expected, rtol=0, atol=1e-7)
    single = pamr(photograph(1, 6, 6).float() * 255, scores.float(), 1, SMALL)
    expected = naive(photograph(1, 6, 6)[0].numpy() * 255, scores[0].numpy(), 1, SMALL, 0.1)
    np.testing.assert_allclose(single[0].numpy(), expected, rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(1, 5), st.integers(0, 999))
def test_keeps_range_and_partition(h: int, w: int, k: int, iterations: int, seed: int) -> None:
    images, raw = photograph(2, h, w, seed), some_scores(2, k, h, w, seed)
    result = pamr(images, raw, iterations, SMALL)
    flat, before = result.flatten(2), raw.flatten(2)
    assert (flat.amin(2) >= before.amin(2) - 1e-12).all()
    assert (flat.amax(2) <= before.amax(2) + 1e-12).all()
    shares = raw / raw.sum(dim=1, keepdim=True)
    total = pamr(images, shares, iterations, SMALL).sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.floats(-2, 2), st.floats(-2, 2))
def test_is_linear_in_the_scores(seed: int, a: float, b: float) -> None:
    images, x, y = photograph(1, 7, 8, seed), some_scores(1, 2, 7, 8, seed), some_scores(1, 2, 7, 8, seed + 1)
    expected = a * pamr(images, x, 3, SMALL) + b * pamr(images, y, 3, SMALL)
    torch.testing.assert_close(pamr(images, a * x + b * y, 3, SMALL), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dims", [(2,), (3,), (2, 3)])
def test_a_mirrored_image_gives_mirrored_scores(dims: tuple[int, ...]) -> None:
    images, scores = photograph(2, 10, 13), some_scores(2, 3, 10, 13)
    expected = pamr(images, scores, 4, SMALL).flip(dims)
    torch.testing.assert_close(pamr(images.flip(dims), scores.flip(dims), 4, SMALL), expected, rtol=0, atol=1e-10)


def test_a_turned_image_gives_turned_scores() -> None:
    images, scores = photograph(1, 8, 11), some_scores(1, 3, 8, 11)
    expected = pamr(images, scores, 4, SMALL).transpose(2, 3)
    turned = pamr(images.transpose(2, 3), scores.transpose(2, 3), 4, SMALL)
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-10)


def test_each_class_is_refined_alone() -> None:
    images, scores = photograph(2, 8, 9), some_scores(2, 4, 8, 9)
    result = pamr(images, scores, 3, SMALL)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(pamr(images, scores[:, order], 3, SMALL), result[:, order], rtol=0, atol=1e-12)
    torch.testing.assert_close(pamr(images, scores[:, 1:2], 3, SMALL), result[:, 1:2], rtol=0, atol=1e-12)


def test_each_image_is_refined_alone() -> None:
    images, scores = photograph(3, 8, 9), some_scores(3, 2, 8, 9)
    result = pamr(images, scores, 3, SMALL)
    for index in range(3):
        alone = pamr(images[index : index + 1], scores[index : index + 1], 3, SMALL)
        torch.testing.assert_close(alone[0], result[index], rtol=0, atol=1e-12)


@pytest.mark.parametrize("change", [lambda x: x * 255, lambda x: 1 - x, lambda x: x.flip(1), lambda x: 0.3 * x + 0.2])
def test_only_ratios_of_colour_differences_count(change) -> None:
    images, scores = photograph(1, 8, 9), some_scores(1, 2, 8, 9)
    torch.testing.assert_close(
        pamr(change(images), scores, 3, SMALL), pamr(images, scores, 3, SMALL), rtol=0, atol=1e-5
    )


def test_without_edges_it_blurs() -> None:
    scores = torch.zeros(1, 1, 9, 9)
    scores[..., 4, 4] = 1
    result = pamr(torch.full((1, 3, 9, 9), 0.4), scores, iterations=1, dilations=(1,))
    expected = torch.zeros(1, 1, 9, 9)
    expected[..., 3:6, 3:6] = 1 / 8
    expected[..., 4, 4] = 0
    torch.testing.assert_close(result, expected)
    assert pamr(torch.zeros(1, 3, 9, 9), scores).isfinite().all()


def test_no_iterations_change_nothing() -> None:
    scores = some_scores(1, 2, 5, 5)
    assert torch.equal(pamr(photograph(1, 5, 5), scores, iterations=0), scores)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_smaller_than_the_neighbourhood(size: tuple[int, int]) -> None:
    scores = some_scores(1, 2, *size)
    result = pamr(photograph(1, *size), scores)
    assert result.shape == scores.shape
    assert result.isfinite().all()
    if size == (1, 1):
        torch.testing.assert_close(result, scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keeps_the_scores_type_and_leaves_the_inputs_alone(dtype: torch.dtype) -> None:
    images, scores = photograph(1, 6, 6).float(), some_scores(1, 2, 6, 6).to(dtype).requires_grad_()
    copies = images.clone(), scores.detach().clone()
    result = pamr(images, scores, 2, SMALL)
    assert result.dtype == dtype
    assert not result.requires_grad
    assert torch.equal(images, copies[0])
    assert torch.equal(scores, copies[1])


@pytest.mark.parametrize(("b", "h", "w"), [(1, 6, 8), (1, 3, 4), (2, 6, 7), (1, 7, 6)])
def test_sizes_must_agree(b: int, h: int, w: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for users, whose shapes jaxtyping does not check."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ShapeError, match="resize the scores"):
        pamr(photograph(1, 6, 7), some_scores(b, 2, h, w))


def test_a_blurred_edge_moves_onto_the_colour_edge() -> None:
    """The score crosses over five columns left of the edge of the photograph."""
    h, w, edge = 24, 40, 22
    column = torch.arange(w)
    images = torch.where(column < edge, 0.25, 0.75).expand(1, 3, h, w) + 0.02 * torch.rand(1, 3, h, w)
    left = torch.sigmoid((edge - 5 - column) / 4.0).expand(1, 1, h, w)
    scores = torch.cat([left, 1 - left], dim=1)
    truth = (column >= edge).long().expand(1, h, w)

    def wrong(result: Tensor) -> int:
        return int((result.argmax(dim=1) != truth).sum())

    assert wrong(scores) >= 4 * h
    refined = pamr(images, scores)
    assert wrong(refined) == 0
    side = refined[0, 0].mean(dim=0)
    assert side[edge - 1] - side[edge] > 0.1  # a step now, where there was none
    assert (scores[0, 0, 0, edge - 1] - scores[0, 0, 0, edge]) < 0.06


def test_a_noisy_mask_is_cleaned() -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.zeros(1, 24, 24, dtype=torch.long)
    truth[:, 6:18, 8:20] = 1
    images = torch.where(truth[:, None] == 1, 0.8, 0.3).expand(1, 3, 24, 24)
    images = images + 0.02 * torch.rand(1, 3, 24, 24, generator=random)
    noisy = torch.where(torch.rand(1, 24, 24, generator=random) < 0.25, 1 - truth, truth)
    refined = pamr(images, one_hot(noisy, 2).movedim(3, 1).float())
    assert (refined.argmax(1) != truth).float().mean() < 0.2 * (noisy != truth).float().mean()
    blurred = avg_pool2d(one_hot(noisy, 2).movedim(3, 1).float(), 5, 1, 2)
    assert (refined.argmax(1) != truth).sum() < (blurred.argmax(1) != truth).sum()


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
def test_half_precision_of_other_devices_is_exact_enough(scale: float) -> None:
    """Measured after ten iterations: 2.8e-3 at most, 5e-4 of the shares of the classes, 99.95 % of the labels."""
    images, scores = photograph(2, 40, 50), scale * some_scores(2, 4, 40, 50)
    refine = Pamr(images.float())
    found = refine.averaged(scores.float(), 10, torch.float16, torch.float32)
    expected = pamr(images, scores)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=5e-3 * scale)
    shares, wanted = (one / one.sum(dim=1, keepdim=True) for one in (found.double(), expected))
    torch.testing.assert_close(shares, wanted, rtol=0, atol=1e-3)
    assert (found.argmax(dim=1) == expected.argmax(dim=1)).double().mean() > 0.995


def test_weights_are_made_once() -> None:
    images, scores = photograph(1, 9, 8), some_scores(2, 3, 9, 8)
    refine = Pamr(images, SMALL)
    for one in scores:
        expected = pamr(images, one[None], 3, SMALL)
        assert torch.equal(refine(one[None], 3), expected)


def test_without_distances_it_takes_those_of_the_authors() -> None:
    """Of Araslanov and Roth's program (2020)."""
    images, scores = torch.rand(1, 3, 40, 40), torch.rand(1, 2, 40, 40)
    assert DILATIONS == (1, 2, 4, 8, 12, 24)
    assert torch.equal(pamr(images, scores, 2), pamr(images, scores, 2, DILATIONS))
