"""Dense CRF: parity with dense matrices, with pydensecrf and between the two paths; what must not matter; its limits.

``test_permutohedral.py`` compares the bilateral kernel with a plain lattice.
"""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.data import SceneDataSet
from dhr.errors import ConfigError, ShapeError
from dhr.ops.crf import BILATERAL, CLIP, GAUSSIAN, Bilateral, DenseCrf, Gaussian, dense_crf
from dhr.ops.crf_torch import TorchCrf
from dhr.ops.permutohedral import embed_pixels

NO_GAUSSIAN, NO_BILATERAL = Gaussian(compat=0.0), Bilateral(compat=0.0)
NARROW, WIDE = (1.0, 3.0), (67.0, 3.0, 4.0)  # the defaults, as the two paths take them
ODD_SIZES = [(1, 1), (1, 9), (9, 1), (2, 3), (1, 300), (300, 1)]
CLASSES = [1, 2, 4, 5, 16, 17, 21]
every_odd_size = pytest.mark.parametrize("size", ODD_SIZES)
every_count = pytest.mark.parametrize("k", CLASSES)


def patches(h: int, w: int, seed: int = 0, count: int = 1) -> Tensor:
    """Images (count, 3, h, w) of flat patches with a little noise, uint8."""
    random = torch.Generator().manual_seed(seed)
    flat = torch.randint(0, 256, (count, 3, -(-h // 6), -(-w // 6)), generator=random)
    flat = flat.repeat_interleave(6, 2).repeat_interleave(6, 3)[..., :h, :w]
    return (flat + torch.randint(-8, 9, (count, 3, h, w), generator=random)).clamp(0, 255).to(torch.uint8)


def smooth_scores(k: int, h: int, w: int, seed: int = 0, count: int = 1, cell: int = 8) -> Tensor:
    """Probabilities (count, k, h, w), float64: softmax of random logits, one a cell, upsampled."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, k, max(2, h // cell), max(2, w // cell), generator=random, dtype=torch.float64)
    return interpolate(logits, (h, w), mode="bicubic").softmax(dim=1)


def clipped(scores: Tensor) -> Tensor:
    return scores.clamp_min(CLIP) / scores.clamp_min(CLIP).sum(dim=1, keepdim=True)


def dense_matrix(image: Tensor, sxy: float, srgb: float | None, compat: float, radius: float = np.inf) -> np.ndarray:
    """The normalised kernel (hw, hw) of an image (3, h, w), times its compatibility; zero beyond ``radius``."""
    _, h, w = image.shape
    y, x = np.mgrid[:h, :w].reshape(2, -1).astype(np.float64)
    features = [x / sxy, y / sxy]
    if srgb is not None:
        features += [*(image.reshape(3, -1).double().numpy() / srgb)]
    squares = sum((one[:, None] - one) ** 2 for one in features)
    far = np.maximum(abs(x[:, None] - x), abs(y[:, None] - y)) > radius
    kernel = np.where(far, 0.0, np.exp(-0.5 * squares))
    norms = kernel.sum(axis=1) ** -0.5
    return compat * norms[:, None] * kernel * norms


def dense_mean_field(matrix: np.ndarray, scores: Tensor, iterations: int) -> Tensor:
    """Mean field of one image's scores (k, h, w), in float64."""
    p = scores.double().flatten(1).numpy().clip(CLIP)
    q = p / p.sum(axis=0)
    for _ in range(iterations):
        logits = np.log(p) + q @ matrix
        q = np.exp(logits - logits.max(axis=0))
        q /= q.sum(axis=0)
    return torch.from_numpy(q.reshape(scores.shape))


def same_labels(a: Tensor, b: Tensor) -> float:
    return float((a.argmax(dim=1) == b.argmax(dim=1)).double().mean())


def mean_difference(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).abs().mean())


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for users, whose shapes and types jaxtyping does not check."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def use() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    """Four photographs (4, 3, 120, 160), uint8: real ones where there are any, or else generated scenes."""
    shared = Path(os.environ.get("DHR_SHARED", Path(__file__).parents[2].parent / "shared"))
    paths = sorted((shared / "data" / "coco_mini" / "images").glob("*.jpg"))[:40:10]
    if paths:
        arrays = [np.array(Image.open(path).convert("RGB").resize((160, 120))) for path in paths]
    else:
        scenes = SceneDataSet(4, seed=0, size=(120, 160))
        arrays = [scenes.read_image(sample) for sample in scenes.samples]
    return torch.from_numpy(np.stack(arrays)).movedim(3, 1)


# Parity with dense matrices


@pytest.mark.parametrize("iterations", [1, 5])
@pytest.mark.parametrize("sxy", [0.4, 1.0, 3.3, 40.0])
@pytest.mark.parametrize("size", [(20, 24), (1, 30), (7, 1)])
def test_the_gaussian_equals_the_dense_matrix(size: tuple[int, int], sxy: float, iterations: int) -> None:
    """The kernel is cut off after 3 standard deviations, rounded up."""
    image, scores = patches(*size), smooth_scores(3, *size)
    matrix = dense_matrix(image[0], sxy, None, 3.0, radius=np.ceil(3 * sxy))
    expected = dense_mean_field(matrix, scores[0], iterations)[None]
    double = TorchCrf(image.double(), (sxy, 3.0), (67.0, 3.0, 0.0))(scores, iterations, CLIP)
    torch.testing.assert_close(double, expected, rtol=0, atol=1e-10)
    found = dense_crf(image, scores, iterations, Gaussian(sxy, 3.0), NO_BILATERAL)
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-3)  # half precision; 8e-4 measured
    assert mean_difference(found, expected) < 2e-4  # 8e-5 measured


@pytest.mark.parametrize("sxy", [1.0, 3.0])
def test_what_is_cut_off_is_little(sxy: float) -> None:
    """Measured over 30 problems: 4e-3 at most, 6e-4 in the mean."""
    for seed in range(3):
        image, scores = patches(20, 24, seed), smooth_scores(3, 20, 24, seed)
        expected = dense_mean_field(dense_matrix(image[0], sxy, None, 3.0), scores[0], 10)[None]
        found = dense_crf(image, scores, 10, Gaussian(sxy, 3.0), NO_BILATERAL)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-2)
        assert mean_difference(found, expected) < 2e-3


def test_the_bilateral_approximates_the_dense_matrix() -> None:
    """Over five images, what the lattice is good for: measured 4.1e-3 of one update, 1.1e-2 of ten, 98.7 % of labels.

    Of one update it would be 5.0e-3 with kernels a fifth wider, and 6.9e-3 with narrower ones.
    """
    first, last, labels = [], [], []
    for seed in range(5):
        image, scores = patches(24, 32, seed), smooth_scores(3, 24, 32, seed)
        matrix = dense_matrix(image[0], 8.1, 30.3, 4.0)
        crf = DenseCrf(image, NO_GAUSSIAN, Bilateral(8.1, 30.3, 4.0))
        first.append(mean_difference(crf(scores, 1), dense_mean_field(matrix, scores[0], 1)[None]))
        expected = dense_mean_field(matrix, scores[0], 10)[None]
        last.append(mean_difference(crf(scores, 10), expected))
        labels.append(same_labels(crf(scores, 10), expected))
    assert np.mean(first) < 4.6e-3
    assert np.mean(last) < 2e-2
    assert np.mean(labels) > 0.98


# Parity with pydensecrf


def peer(image: Tensor, scores: Tensor, iterations: int, gaussian: Gaussian, bilateral: Bilateral) -> Tensor:
    """What pydensecrf makes of one image (3, h, w) and its scores (k, h, w)."""
    densecrf = pytest.importorskip("pydensecrf.densecrf", reason="needs pip install -e '.[parity]'")
    utils = pytest.importorskip("pydensecrf.utils")
    k, h, w = scores.shape
    crf = densecrf.DenseCRF2D(w, h, k)
    crf.setUnaryEnergy(utils.unary_from_softmax(scores.float().numpy(), clip=CLIP))
    if gaussian.compat:
        crf.addPairwiseGaussian(sxy=gaussian.sxy, compat=gaussian.compat)
    if bilateral.compat:
        rgb = image.movedim(0, 2).contiguous().numpy()
        crf.addPairwiseBilateral(sxy=bilateral.sxy, srgb=bilateral.srgb, rgbim=rgb, compat=bilateral.compat)
    return torch.from_numpy(np.array(crf.inference(iterations)).reshape(k, h, w))


@pytest.mark.parametrize("k", [2, 4, 21])
def test_parity_with_pydensecrf(k: int, photographs: Tensor) -> None:
    """Its Gaussian kernel is on a lattice too, ours is direct: most of the difference is there."""
    scores = smooth_scores(k, 120, 160, seed=k, count=len(photographs), cell=16).float()
    pairs = list(zip(photographs, scores, strict=True))
    expected = torch.stack([peer(*pair, 10, GAUSSIAN, BILATERAL) for pair in pairs])
    found = dense_crf(photographs, scores)
    for index in range(len(pairs)):
        one, other = found[index : index + 1], expected[index : index + 1]
        assert same_labels(one, other) > 0.995  # 0.9960 measured
        assert mean_difference(one, other) < 0.005  # 0.0017 measured
    expected = torch.stack([peer(*pair, 10, NO_GAUSSIAN, BILATERAL) for pair in pairs])
    found = dense_crf(photographs, scores, gaussian=NO_GAUSSIAN)
    assert same_labels(found, expected) > 0.999
    assert mean_difference(found, expected) < 5e-4  # 4e-5 measured
    assert mean_difference(found, clipped(scores)) > 0.005  # there is something to agree on


@pytest.mark.parametrize("bilateral", [Bilateral(10.3, 13.0, 10.0), Bilateral(121.0, 5.1, 2.0)])
@pytest.mark.parametrize("gaussian", [Gaussian(3.0, 1.0), Gaussian(0.5, 7.0)])
def test_parity_with_pydensecrf_at_other_settings(
    gaussian: Gaussian, bilateral: Bilateral, photographs: Tensor
) -> None:
    scores = smooth_scores(3, 120, 160, seed=5, cell=16).float()
    expected = peer(photographs[0], scores[0], 5, gaussian, bilateral)[None]
    found = dense_crf(photographs[:1], scores, 5, gaussian, bilateral)
    assert same_labels(found, expected) > 0.985  # 0.990 measured, for the narrowest Gaussian
    assert mean_difference(found, expected) < 0.01  # 0.0065


# Both paths


@every_count
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_paths_agree(k: int, dtype: torch.dtype) -> None:
    """Half precision on the CPU: 6e-4 measured after one update; later ones amplify it where classes are close."""
    images, scores = patches(20, 25, k, count=2), smooth_scores(k, 20, 25, k, count=2)
    cpu, other = DenseCrf(images), TorchCrf(images.to(dtype), NARROW, WIDE)
    torch.testing.assert_close(cpu(scores, 1), other(scores, 1, CLIP).double(), rtol=0, atol=2e-3)
    refined, expected = cpu(scores, 10), other(scores, 10, CLIP)
    assert expected.dtype == dtype
    assert mean_difference(refined, expected) < 2e-4  # 4e-5 measured
    assert same_labels(refined, expected) > 0.99


@every_count
def test_the_paths_agree_in_half_precision(k: int) -> None:
    """As it is on a GPU, whose lattice holds the same type of values as that of the CPU."""
    images, scores = patches(20, 25, k, count=2), smooth_scores(k, 20, 25, k, count=2)
    cpu, other = DenseCrf(images), TorchCrf(images.float(), NARROW, WIDE, torch.float16)
    torch.testing.assert_close(cpu(scores, 1), other(scores, 1, CLIP).double(), rtol=0, atol=4e-3)
    refined, expected = cpu(scores, 10), other(scores, 10, CLIP)
    assert expected.dtype == torch.float32
    assert mean_difference(refined, expected) < 4e-4
    assert same_labels(refined, expected) > 0.99
    assert torch.equal(other(scores, 10, CLIP), expected)  # sums have a fixed order


def test_half_precision_holds_the_sums_of_one_colour() -> None:
    """All pixels share few vertices, whose sums are the largest that there can be."""
    images, scores = torch.full((1, 3, 150, 170), 99.0), smooth_scores(3, 150, 170, cell=16)
    half = TorchCrf(images, NARROW, (400.0, 3.0, 4.0), torch.float16)(scores, 10, CLIP)
    expected = TorchCrf(images.double(), NARROW, (400.0, 3.0, 4.0))(scores, 10, CLIP)
    torch.testing.assert_close(half.double(), expected, rtol=0, atol=1e-2)


@every_odd_size
@pytest.mark.parametrize("k", [1, 2, 5, 21])
def test_the_paths_agree_at_odd_sizes(k: int, size: tuple[int, int]) -> None:
    images, scores = patches(*size, count=2), smooth_scores(k, *size, count=2)
    cpu, other = DenseCrf(images), TorchCrf(images.double(), NARROW, WIDE)
    torch.testing.assert_close(cpu(scores, 1), other(scores, 1, CLIP), rtol=0, atol=2e-3)
    assert mean_difference(cpu(scores, 10), other(scores, 10, CLIP)) < 2e-4


def test_torch_in_single_and_double_precision_agree() -> None:
    images, scores = patches(20, 25, count=2), smooth_scores(4, 20, 25, count=2)
    single = TorchCrf(images.float(), NARROW, WIDE)
    torch.testing.assert_close(
        single(scores, 10, CLIP).double(), TorchCrf(images.double(), NARROW, WIDE)(scores, 10, CLIP), rtol=0, atol=1e-3
    )
    for dtype in (torch.bfloat16, torch.float16, torch.float64):  # computed with the images' type all the same
        given_scores = scores.to(dtype)
        assert torch.equal(single(given_scores, 3, CLIP), single(given_scores.float(), 3, CLIP))


# What holds for any input


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 30), st.integers(1, 30), st.integers(1, 35), st.integers(0, 4), st.integers(0, 999), st.booleans()
)
def test_results_are_probabilities(h: int, w: int, k: int, iterations: int, seed: int, hard: bool) -> None:
    images, scores = patches(h, w, seed), smooth_scores(k, h, w, seed)
    if hard:
        scores = torch.nn.functional.one_hot(scores.argmax(dim=1), k).movedim(3, 1).double()
    result = dense_crf(images, scores, iterations)
    assert result.shape == scores.shape
    assert result.min() >= 0
    assert result.max() <= 1 + 1e-6
    total = result.sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=2e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 10), st.integers(2, 10), st.permutations(range(5)), st.integers(0, 999))
def test_classes_may_be_permuted(h: int, w: int, order: list[int], seed: int) -> None:
    images, scores = patches(h, w, seed), smooth_scores(5, h, w, seed)
    crf = TorchCrf(images.double(), NARROW, WIDE)
    torch.testing.assert_close(crf(scores[:, order], 5, CLIP), crf(scores, 5, CLIP)[:, order], rtol=0, atol=1e-9)
    # A sum in another order may round a Q to its other neighbour in half precision: 7e-5 measured.
    torch.testing.assert_close(
        dense_crf(images, scores[:, order], 1), dense_crf(images, scores, 1)[:, order], rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("k", [4, 17, 21, 40])
def test_classes_may_be_permuted_between_the_groups(k: int) -> None:
    """On the CPU, 16 classes are handled together."""
    images, scores = patches(20, 25, k), smooth_scores(k, 20, 25, k)
    crf, order = DenseCrf(images), torch.randperm(k, generator=torch.Generator().manual_seed(k))
    assert mean_difference(crf(scores[:, order]), crf(scores)[:, order]) < 1e-5  # 2e-7 measured


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(0, 999))
def test_the_gaussian_knows_no_direction(h: int, w: int, k: int, seed: int) -> None:
    images, scores = patches(h, w, seed), smooth_scores(k, h, w, seed)

    def double(images: Tensor, scores: Tensor) -> Tensor:
        return TorchCrf(images.double(), (1.3, 3.0), (67.0, 3.0, 0.0))(scores, 3, CLIP)

    def cpu(images: Tensor, scores: Tensor) -> Tensor:
        return dense_crf(images, scores, 3, Gaussian(1.3, 3.0), NO_BILATERAL)

    for function, tolerance in ((double, 1e-10), (cpu, 1e-3)):
        for dims in ((2,), (3,), (2, 3)):
            expected = function(images, scores).flip(dims)
            torch.testing.assert_close(function(images.flip(dims), scores.flip(dims)), expected, rtol=0, atol=tolerance)
        expected = function(images, scores).mT
        torch.testing.assert_close(function(images.mT, scores.mT), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dims", [(2,), (3,), (2, 3)])
def test_a_mirrored_photograph_gives_nearly_mirrored_scores(dims: tuple[int, ...], photographs: Tensor) -> None:
    """Not more than nearly: the lattice's cells lie otherwise over a mirrored image."""
    scores = smooth_scores(4, 120, 160, count=len(photographs), cell=16)
    expected = dense_crf(photographs, scores).flip(dims)
    found = dense_crf(photographs.flip(dims), scores.flip(dims))
    assert mean_difference(found, expected) < 1e-2  # 6e-3 measured
    assert same_labels(found, expected) > 0.98  # 0.988


@pytest.mark.parametrize("k", [1, 2, 3, 7, 21])
def test_equal_scores_stay_equal(k: int) -> None:
    scores = torch.full((1, k, 20, 25), 1 / k, dtype=torch.float64)
    torch.testing.assert_close(dense_crf(patches(20, 25), scores), scores, rtol=0, atol=1e-6)
    double = TorchCrf(patches(12, 15).double(), NARROW, WIDE)(scores[..., :12, :15], 10, CLIP)
    torch.testing.assert_close(double, scores[..., :12, :15], rtol=0, atol=1e-12)


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_without_edges_the_labels_stay(level: float) -> None:
    """On an image of one colour, the same scores everywhere keep their order, and a boundary keeps its place."""
    images = torch.full((1, 3, 30, 48), level)
    scores = torch.tensor([0.5, 0.3, 0.2]).view(1, 3, 1, 1).expand(1, 3, 30, 48)
    result = dense_crf(images, scores)
    assert (result[:, 0] > 0.9).all()
    assert (result[:, 1] > result[:, 2]).all()
    ramp = torch.sigmoid((torch.arange(48) - 23.5) / 4).expand(1, 1, 30, 48)
    scores = torch.cat([1 - ramp, ramp], dim=1)
    result = dense_crf(images, scores)
    away = (torch.arange(48) - 23.5).abs() > 2
    assert torch.equal(result.argmax(dim=1)[..., away], scores.argmax(dim=1)[..., away])
    assert result[:, 0, :, :18].min() > 0.9
    assert result[:, 1, :, 30:].min() > 0.9


@pytest.mark.parametrize("winner", [0, 15, 16, 39])
def test_strong_kernels_overflow_nothing(winner: int) -> None:
    """Logits lie hundreds apart, in whichever of the groups of 16 classes the highest is."""
    images, scores = patches(20, 25), torch.full((1, 40, 20, 25), 0.01)
    scores[:, winner] = 0.61
    strong = dense_crf(images, scores, 10, Gaussian(compat=300.0), Bilateral(compat=500.0))
    expected = torch.zeros_like(scores)
    expected[:, winner] = 1
    torch.testing.assert_close(strong, expected, rtol=0, atol=1e-6)


@every_count
def test_without_kernels_or_iterations_only_the_clipping_is_left(k: int) -> None:
    images, scores = patches(20, 25, count=2), smooth_scores(k, 20, 25, count=2) ** 20
    scores = scores / scores.sum(dim=1, keepdim=True)
    assert k == 1 or scores.min() < CLIP
    expected = clipped(scores)
    for result in (
        dense_crf(images, scores, 10, NO_GAUSSIAN, NO_BILATERAL),
        dense_crf(images, scores, 0),
        TorchCrf(images.double(), (1.0, 0.0), (67.0, 3.0, 0.0))(scores, 10, CLIP),
        TorchCrf(images.double(), NARROW, WIDE)(scores, 0, CLIP),
    ):
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("iterations", [0, 1, 5])
def test_absent_classes_get_nothing(iterations: int) -> None:
    """And do not matter, unlike present ones of probability zero."""
    images, scores = patches(20, 25, count=2), smooth_scores(20, 20, 25, count=2)
    present = torch.ones(2, 20, dtype=torch.bool)
    present[0, [1, 4, 18]] = False
    scores = scores * present[..., None, None]
    scores = scores / scores.sum(dim=1, keepdim=True)
    kept, double = scores[:1, present[0]], TorchCrf(images.double(), NARROW, WIDE)
    for result, plain, alone in (
        (
            DenseCrf(images)(scores, iterations, present),
            dense_crf(images, scores, iterations),
            dense_crf(images[:1], kept, iterations),
        ),
        (
            double(scores, iterations, CLIP, present),
            double(scores, iterations, CLIP),
            TorchCrf(images[:1].double(), NARROW, WIDE)(kept, iterations, CLIP),
        ),
    ):
        assert (result[0, ~present[0]] == 0).all()
        torch.testing.assert_close(result[0, present[0]], alone[0], rtol=0, atol=1e-9)
        torch.testing.assert_close(result[1], plain[1], rtol=0, atol=1e-9)
        assert (plain[0] > 0).all()


@every_odd_size
def test_one_class_has_all(size: tuple[int, int]) -> None:
    ones = torch.ones(2, 1, *size)
    assert torch.equal(dense_crf(patches(*size, count=2), ones), ones)
    assert torch.equal(TorchCrf(patches(*size, count=2).float(), NARROW, WIDE)(ones, 3, CLIP), ones)


def test_a_blurred_edge_moves_onto_the_colour_edge() -> None:
    """The score crosses over five columns left of the edge of the photograph."""
    h, w, edge = 24, 40, 22
    column = torch.arange(w)
    noise = 0.02 * torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(0))
    images = torch.where(column < edge, 0.25, 0.75).expand(1, 3, h, w) + noise
    left = torch.sigmoid((edge - 5 - column) / 4.0).expand(1, 1, h, w)
    scores = torch.cat([left, 1 - left], dim=1)
    truth = (column >= edge).long().expand(1, h, w)
    assert (scores.argmax(dim=1) != truth).sum() >= 4 * h
    refined = dense_crf(images, scores)
    assert torch.equal(refined.argmax(dim=1), truth)
    assert torch.equal(TorchCrf(images * 255, NARROW, WIDE)(scores, 10, CLIP).argmax(dim=1), truth)
    assert (dense_crf(images, scores, gaussian=GAUSSIAN, bilateral=NO_BILATERAL).argmax(dim=1) != truth).any()


# What must not matter


def test_threads_do_not_matter(use: Callable[[int], None]) -> None:
    images, scores = patches(97, 131, count=2), smooth_scores(21, 97, 131, count=2)
    use(1)
    expected = dense_crf(images, scores, 3)
    for threads in (2, 3):
        use(threads)
        assert torch.equal(dense_crf(images, scores, 3), expected)


def test_kernels_may_be_used_again() -> None:
    images, scores = patches(20, 25, count=2), smooth_scores(4, 20, 25, count=2)
    crf = DenseCrf(images)
    expected = crf(scores)
    crf(smooth_scores(21, 20, 25, seed=3, count=2), 2)
    crf(smooth_scores(1, 20, 25, seed=4, count=2), 0)
    assert torch.equal(crf(scores), expected)
    assert torch.equal(dense_crf(images, scores), expected)


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_inputs_are_left_alone(iterations: int) -> None:
    for images in (patches(20, 25), patches(20, 25) / 255, patches(20, 25).double() / 255):
        scores = smooth_scores(4, 20, 25).float()
        scores[..., :9] = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(4, 1, 1)  # clipped, but not in place
        copies = images.clone(), scores.clone()
        crf = DenseCrf(images)
        result = crf(scores, iterations)
        expected = result.clone()
        assert torch.equal(images, copies[0])
        assert torch.equal(scores, copies[1])
        images.zero_()
        scores.fill_(0.25)
        assert torch.equal(result, expected)
        assert torch.equal(crf(copies[1], iterations), expected)


def test_each_image_is_refined_alone() -> None:
    images, scores = patches(20, 25, count=3), smooth_scores(5, 20, 25, count=3)
    together = dense_crf(images, scores)
    torches = TorchCrf(images.double(), NARROW, WIDE)(scores, 3, CLIP)
    for index in range(3):
        image, score = images[index : index + 1], scores[index : index + 1]
        assert torch.equal(dense_crf(image, score), together[index : index + 1])
        alone = TorchCrf(image.double(), NARROW, WIDE)(score, 3, CLIP)
        torch.testing.assert_close(alone, torches[index : index + 1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_and_bytes_are_the_same_image(dtype: torch.dtype) -> None:
    images, scores = patches(20, 25), smooth_scores(4, 20, 25)
    images[0, :, 0, :8] = torch.tensor([0, 1, 2, 127, 128, 253, 254, 255], dtype=torch.uint8)
    assert torch.equal(dense_crf(images.to(dtype) / 255, scores), dense_crf(images, scores))
    beyond = images.to(dtype) / 255 * 1.001 - 0.0005  # what resampling leaves is clamped
    assert mean_difference(dense_crf(beyond, scores), dense_crf(images, scores)) < 5e-3


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.flip(2).flip(2),
        lambda x: x.mT.contiguous().mT,
        lambda x: x.movedim(1, 3).contiguous().movedim(3, 1),
        lambda x: x.repeat_interleave(2, 2)[:, :, ::2],
        lambda x: torch.cat([x, x], dim=3)[..., 25:],
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: torch.stack([x, x], dim=1)[:, 1],
    ],
)
@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_strides_do_not_matter(view: Callable[[Tensor], Tensor], kind: str) -> None:
    images, scores = patches(20, 25, count=2), smooth_scores(4, 20, 25, count=2).float()
    images = images if kind == "bytes" else images / 255
    expected = dense_crf(images, scores, 3)
    assert torch.equal(dense_crf(view(images), scores, 3), expected)
    assert torch.equal(dense_crf(images, view(scores), 3), expected)


def test_expanded_scores() -> None:
    images, scores = patches(20, 25), torch.tensor([0.7, 0.3]).view(1, 2, 1, 1).expand(1, 2, 20, 25)
    assert torch.equal(dense_crf(images, scores), dense_crf(images, scores.contiguous()))


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-7), (torch.float32, 0.0), (torch.float16, 5e-4), (torch.bfloat16, 4e-3)],
)
def test_scores_keep_their_type(dtype: torch.dtype, tolerance: float) -> None:
    """And only what that type holds of them counts."""
    images, scores = patches(20, 25), smooth_scores(4, 20, 25).to(dtype).requires_grad_()
    result = dense_crf(images, scores)
    assert result.dtype == dtype
    assert not result.requires_grad
    expected = dense_crf(images, scores.detach().float())
    torch.testing.assert_close(result.float(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_images_of_half_precision(dtype: torch.dtype) -> None:
    images, scores = (patches(20, 25) / 255).to(dtype), smooth_scores(4, 20, 25)
    assert mean_difference(dense_crf(images, scores), dense_crf(patches(20, 25), scores)) < 1e-3


# Bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 4, 5, 6), "must be RGB"),
        (torch.zeros(1, 1, 5, 6), "must be RGB"),
        (torch.zeros(3, 5, 6), "must be RGB"),
        (torch.zeros(0, 3, 5, 6), "not empty"),
        (torch.zeros(1, 3, 0, 6), "not empty"),
        (torch.zeros(1, 3, 5, 0), "not empty"),
        (torch.zeros(1, 3, 5, 6, dtype=torch.int64), "uint8, or floats"),
        (torch.zeros(1, 3, 5, 6, dtype=torch.bool), "uint8, or floats"),
        (torch.full((1, 3, 5, 6), 255.0), "divide by 255"),
        (torch.full((1, 3, 5, 6), -1.0), "clamp them"),
        (torch.full((1, 3, 5, 6), torch.nan), "must lie in 0"),
        (torch.full((1, 3, 5, 6), torch.inf), "must lie in 0"),
    ],
)
def test_bad_images(images: Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message) as caught:
        DenseCrf(images)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, -0.1, 1.1])
def test_one_bad_score_is_enough(value: float) -> None:
    crf, scores = DenseCrf(patches(20, 25)), smooth_scores(3, 20, 25)
    scores[0, 1, 7, 9] = value
    with pytest.raises(ShapeError, match="take their softmax") as caught:
        crf(scores)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("unchecked")
def test_one_bad_colour_is_enough() -> None:
    for value in (torch.nan, 1.1, -0.1):
        images = patches(20, 25) / 255
        images[0, 2, 19, 24] = value
        with pytest.raises(ShapeError, match="must lie in 0"):
            DenseCrf(images)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.full((1, 2, 6, 5), 0.5), "resize the scores"),
        (torch.full((2, 2, 5, 6), 0.5), "resize the scores"),
        (torch.full((2, 5, 6), 0.5), "resize the scores"),
        (torch.ones(1, 0, 5, 6), "hold no class"),
        (torch.ones(1, 1, 5, 6, dtype=torch.int64), "must be floats"),
        (torch.ones(1, 1, 5, 6, dtype=torch.bool), "must be floats"),
        (torch.ones(1, 2, 5, 6), "divide them by their sum"),
        (torch.zeros(1, 2, 5, 6), "divide them by their sum"),
        (torch.full((1, 2, 5, 6), 0.49), "divide them by their sum"),
        (torch.randn(1, 2, 5, 6), "take their softmax"),
        (torch.full((1, 2, 5, 6), 0.5, device="meta"), "move one of them"),
    ],
)
def test_bad_scores(scores: Tensor, message: str) -> None:
    crf = DenseCrf(patches(5, 6))
    with pytest.raises(ShapeError, match=message) as caught:
        crf(scores)
    assert "\n" not in str(caught.value)


def test_sums_may_be_off_by_rounding() -> None:
    scores = smooth_scores(3, 20, 25)
    for factor in (0.995, 1.005):
        result = dense_crf(patches(20, 25), scores * factor)
        assert mean_difference(result, dense_crf(patches(20, 25), scores)) < 1e-6


def test_negative_iterations() -> None:
    with pytest.raises(ConfigError, match="0 or more, got -1"):
        dense_crf(patches(5, 6), smooth_scores(2, 5, 6), iterations=-1)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_widths(value: float) -> None:
    for make in (
        lambda: Gaussian(sxy=value),
        lambda: Bilateral(sxy=value),
        lambda: Bilateral(srgb=value),
    ):
        with pytest.raises(ConfigError, match=r"s(xy|rgb) must be above 0"):
            make()


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [Gaussian, Bilateral])
def test_bad_compatibilities(value: float, kind: type[Gaussian] | type[Bilateral]) -> None:
    with pytest.raises(ConfigError, match="compat must be 0 or more"):
        kind(compat=value)


def test_too_narrow_a_kernel() -> None:
    with pytest.raises(ConfigError, match="widen sxy or srgb"):
        DenseCrf(patches(20, 25), bilateral=Bilateral(sxy=1e-3, srgb=1e-3))


# Memory


@pytest.mark.parametrize("k", [1, 5, 16, 21, 40])
def test_memory_is_bounded_on_noise(k: int) -> None:
    """The worst that an image can show: nearly every pixel has vertices of its own. In bytes a pixel."""
    side = 256
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1, 3, side, side), generator=random, dtype=torch.uint8)
    scores = torch.full((1, k, side, side), 1 / k)
    dense_crf(images[..., :8, :8], scores[..., :8, :8], 1)  # compiled kernels are not counted
    tracemalloc.start()
    try:
        crf = DenseCrf(images)
        kept, making = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        crf(scores, 1)
        refining = tracemalloc.get_traced_memory()[1] - kept
    finally:
        tracemalloc.stop()
    vertices = len(crf._cpu[0].lattice)
    assert 5 * side**2 < vertices <= 6 * side**2
    assert making <= 620 * side**2
    assert kept <= 420 * side**2
    assert refining <= (400 + 20 * k) * side**2


@pytest.mark.parametrize("bilateral", [Bilateral(0.5, 0.1), Bilateral(200.0, 200.0)])
def test_no_lattice_has_more_than_six_vertices_a_pixel(bilateral: Bilateral) -> None:
    crf = DenseCrf(patches(20, 25), bilateral=bilateral)
    assert 0 < len(crf._cpu[0].lattice) <= 6 * 500


# Devices


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_waits_for_the_device(dtype: torch.dtype, no_sync: AbstractContextManager[None]) -> None:
    images, scores = patches(9, 11, count=2).to(dtype), smooth_scores(3, 9, 11, count=2).to(dtype)
    present = torch.tensor([[True, True, False], [True, True, True]])
    with no_sync:
        crf = TorchCrf(images, NARROW, WIDE)
        crf(scores, 2, CLIP)
        crf(scores, 2, CLIP, present)
    with pytest.raises(AssertionError, match="waits for the device"), no_sync:
        scores.sum().item()


@pytest.mark.parametrize("images", [torch.uint8, torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("scores", [torch.float32, torch.float64, torch.bfloat16])
def test_devices_without_values(images: torch.dtype, scores: torch.dtype) -> None:
    """A meta tensor has none that could be looked at: what goes this way waits for no device."""
    pixels = torch.empty(2, 3, 9, 11, dtype=images, device="meta")
    if images.is_floating_point:
        pixels.requires_grad_()
    given_scores = torch.empty(2, 4, 9, 11, dtype=scores, device="meta", requires_grad=True)
    result = dense_crf(pixels, given_scores)
    assert result.device.type == "meta"
    assert result.dtype == scores
    assert result.shape == (2, 4, 9, 11)
    assert not result.requires_grad
    with pytest.raises(ShapeError, match="move one of them"):
        DenseCrf(pixels)(torch.full((2, 4, 9, 11), 0.25))


# Processes


FORK = """
import multiprocessing, sys
import torch
from dhr.ops.crf import DenseCrf, dense_crf

torch.set_num_threads(2)
random = torch.Generator().manual_seed(0)
# Large enough for two threads of ours, too small for torch's own, which no forked child can use.
images = torch.randint(0, 256, (1, 3, 96, 96), generator=random, dtype=torch.uint8)
scores = torch.rand(1, 2, 96, 96, generator=random).softmax(dim=1)
crf = DenseCrf(images)
expected = crf(scores)

def child():
    same = torch.equal(crf(scores), expected) and torch.equal(dense_crf(images, scores), expected)
    sys.exit(0 if same else 3)

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(30)
if process.is_alive():
    process.kill()
assert process.exitcode == 0, process.exitcode
assert torch.equal(dense_crf(images, scores), expected)
"""

TINY = """
import torch
from dhr.ops.crf import dense_crf

dense_crf(torch.zeros(1, 3, 4, 5, dtype=torch.uint8), torch.full((1, 2, 4, 5), 0.5))
dense_crf(torch.zeros(1, 3, 4, 5), torch.full((1, 1, 4, 5), 1.0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_a_forked_child_does_not_hang() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=900)


def test_compiling_is_announced_once(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", TINY], env=environment, check=True, capture_output=True, text=True, timeout=900
        )
        for _ in range(2)
    )
    assert len(first.stderr.splitlines()) == 1
    assert "compiling kernels" in first.stderr
    assert second.stderr == ""
    assert first.stdout == second.stdout == ""
    assert any(tmp_path.rglob("*.nbc"))


def test_lattices_of_ordinary_images_have_short_keys() -> None:
    """So that a sort of packed keys is what nearly always happens."""
    for side in (512, 1024, 4096):
        assert embed_pixels(side, side, 67.0, 3.0).bits + (side**2 - 1).bit_length() <= 63
