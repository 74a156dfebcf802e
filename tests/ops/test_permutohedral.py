"""The lattice: numbering of vertices, and parity with one that is a dictionary of vertices and loops over pixels."""

import itertools
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dhr.errors import ConfigError
from dhr.ops import crf_cpu
from dhr.ops import crf_kernels as kernels
from dhr.ops.crf import CLIP, Bilateral, Gaussian, dense_crf
from dhr.ops.crf_cpu import CpuCrf
from dhr.ops.crf_torch import TorchCrf
from dhr.ops.lattice_torch import embed
from dhr.ops.permutohedral import Embedding, embed_pixels, embedding

Vertex = tuple[int, ...]


def embedded(point: tuple[float, ...]) -> list[float]:
    """The point in the hyperplane of R^(d+1), by the triangular basis of the paper (its equation 5)."""
    d = len(point)
    scaled = [(d + 1) * math.sqrt(2 / 3 / ((i + 1) * (i + 2))) * value for i, value in enumerate(point)]
    return [sum(scaled[i:]) - (i * scaled[i - 1] if i else 0) for i in range(d + 1)]


def simplex(point: tuple[float, ...]) -> dict[Vertex, float]:
    """Vertices around a point and their barycentric weights.

    The lattice is the grid of step d + 1, seen along (1, ..., 1): so the simplex is the one of the grid's cubes, cut by
    the order of what is left of each coordinate.
    """
    d = len(point)
    cells = [value / (d + 1) for value in embedded(point)]
    floors = [math.floor(cell) for cell in cells]
    left = [cell - floor for cell, floor in zip(cells, floors, strict=True)]
    falling = sorted(range(d + 1), key=lambda i: -left[i])
    found = {}
    for m in range(d + 1):
        corner = [floors[i] + (i in falling[:m]) for i in range(d + 1)]
        high = left[falling[m - 1]] if m > 0 else 1 + left[falling[-1]]
        found[tuple((d + 1) * one - sum(corner) for one in corner)] = high - left[falling[m]]
    return found


def neighbour(vertex: Vertex, axis: int, sign: int) -> Vertex:
    """One step along an axis: d up there, and one down everywhere else; or back."""
    return tuple(c + sign * (len(vertex) - 1 if i == axis else -1) for i, c in enumerate(vertex))


def dict_filter(points: list[tuple[float, ...]], rows: np.ndarray) -> np.ndarray:
    """Splat rows (n, k), blur, slice."""
    d = len(points[0])
    around = [simplex(point) for point in points]
    values: dict[Vertex, np.ndarray] = defaultdict(lambda: np.zeros(rows.shape[1]))
    for weights, row in zip(around, rows, strict=True):
        for vertex, weight in weights.items():
            values[vertex] = values[vertex] + weight * row
    none = np.zeros(rows.shape[1])
    for axis in range(d + 1):
        values = {
            vertex: row
            + (values.get(neighbour(vertex, axis, 1), none) + values.get(neighbour(vertex, axis, -1), none)) / 2
            for vertex, row in values.items()
        }
    return np.array([sum(w * values[v] for v, w in weights.items()) for weights in around]) / (1 + 2.0**-d)


def dict_crf(image: Tensor, scores: Tensor, iterations: int, sxy: float, srgb: float, compat: float) -> Tensor:
    """Mean field with the bilateral kernel alone, for one image (3, h, w) and its scores (k, h, w), in float64."""
    _, h, w = image.shape
    colours = image.double().numpy()
    points = [(x / sxy, y / sxy, *(colours[:, y, x] / srgb)) for y in range(h) for x in range(w)]
    norms = dict_filter(points, np.ones((h * w, 1))) ** -0.5
    p = scores.double().flatten(1).T.numpy().clip(CLIP)
    q = p / p.sum(axis=1, keepdims=True)
    for _ in range(iterations):
        logits = np.log(p) + compat * norms * dict_filter(points, norms * q)
        q = np.exp(logits - logits.max(axis=1, keepdims=True))
        q /= q.sum(axis=1, keepdims=True)
    return torch.from_numpy(q.T.reshape(scores.shape))


def patches(h: int, w: int, seed: int = 0) -> Tensor:
    """Image (3, h, w) of small flat patches with a little noise, uint8."""
    random = torch.Generator().manual_seed(seed)
    flat = torch.randint(0, 256, (3, -(-h // 3), -(-w // 3)), generator=random)
    flat = flat.repeat_interleave(3, 1).repeat_interleave(3, 2)[:, :h, :w]
    return (flat + torch.randint(-6, 7, (3, h, w), generator=random)).clamp(0, 255).to(torch.uint8)


def some_scores(k: int, h: int, w: int, seed: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(k, h, w, generator=random, dtype=torch.float64).softmax(dim=0)


def vertex_of(key: int, remainder: int, shape: Embedding) -> Vertex:
    """The coordinates that a key stands for."""
    d, first = shape.dim, []
    for low, stride in zip(shape.low, shape.strides, strict=True):
        quotient, key = divmod(key, stride)
        first.append((d + 1) * (quotient + low) + remainder)
    return (*first, -sum(first))


def key_of(vertex: Vertex, shape: Embedding) -> tuple[int, int]:
    """Remainder and key of a vertex, as the module's docstring has it."""
    remainder = vertex[0] % len(vertex)
    quotients = [(c - remainder) // len(vertex) for c in vertex[:-1]]
    return remainder, sum(
        (q - low) * stride for q, low, stride in zip(quotients, shape.low, shape.strides, strict=True)
    )


# No width is a whole number, and no ratio of pixels or colours to one: points on the border between two simplices may
# go to either, and so decide which vertices there are.
widths = st.floats(0.9, 90).map(lambda width: width * 1.00071234)
colour_widths = st.floats(2, 90).map(lambda width: width * 1.00073456)


@st.composite
def clouds(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[tuple[float, ...]]]:
    """Bounds of 1 to 5 dimensions, and points within them: corners and others."""
    d = draw(st.integers(1, 5))
    lows = draw(st.lists(st.floats(-50, 50), min_size=d, max_size=d))
    spans = draw(st.lists(st.floats(0, 100), min_size=d, max_size=d))
    bounds = [(low, low + span) for low, span in zip(lows, spans, strict=True)]
    shares = draw(st.lists(st.lists(st.floats(0, 1), min_size=d, max_size=d), max_size=5))
    inner = [tuple(a + share * (b - a) for share, (a, b) in zip(one, bounds, strict=True)) for one in shares]
    return bounds, [*itertools.product(*bounds), *inner]


# Numbering


@settings(deadline=None, max_examples=60)
@given(clouds())
def test_keys_tell_vertices_apart_and_shifts_lead_to_neighbours(
    cloud: tuple[list[tuple[float, float]], list[tuple[float, ...]]],
) -> None:
    bounds, points = cloud
    shape, d = embedding(bounds), len(bounds)
    vertices = {vertex for point in points for vertex in simplex(point)}
    near = {neighbour(vertex, axis, sign) for vertex in vertices for axis in range(d + 1) for sign in (-1, 1)}
    keys = {vertex: key_of(vertex, shape) for vertex in vertices | near}
    assert len(set(keys.values())) == len(keys)
    assert all(0 <= key < 2**shape.bits <= 2**63 for _, key in keys.values())
    for vertex in vertices:
        remainder, key = keys[vertex]
        assert vertex_of(key, remainder, shape) == vertex
        for axis in range(d + 1):
            before, after = keys[neighbour(vertex, axis, 1)], keys[neighbour(vertex, axis, -1)]
            other, shift = shape.shift(remainder, axis)
            assert (other, key + shift) == before
            back, shift = shape.shift(after[0], axis)
            assert (back, after[1] + shift) == (remainder, key)


@pytest.mark.parametrize(("sxy", "srgb"), [(1e-4, 3.0), (67.0, 1e-3), (0.01, 0.01), (1e-300, 1.0)])
def test_too_narrow_a_kernel_is_refused(sxy: float, srgb: float) -> None:
    with pytest.raises(ConfigError, match="widen sxy or srgb"):
        embed_pixels(500, 500, sxy, srgb)


def test_all_63_bits_are_used_and_no_more() -> None:
    bits = 0
    with pytest.raises(ConfigError, match="needs numbers of 64 bits, 63 are there"):
        for srgb in np.geomspace(1, 0.01, 500):
            bits = embed_pixels(9, 11, 5.3, float(srgb)).bits
    assert bits == 63


# Embedding


@settings(deadline=None, max_examples=40)
@given(clouds())
def test_points_are_embedded_as_by_the_plain_lattice(
    cloud: tuple[list[tuple[float, float]], list[tuple[float, ...]]],
) -> None:
    bounds, points = cloud
    d, shape = len(bounds), embedding(bounds)
    keys, weights = embed(torch.tensor(points, dtype=torch.float64).T[None], shape)
    for index, point in enumerate(points):
        found = {vertex_of(int(keys[0, r, index]), r, shape): float(weights[0, r, index]) for r in range(d + 1)}
        assert len(found) == d + 1
        assert abs(sum(found.values()) - 1) < 1e-9
        assert min(found.values()) > -1e-9
        middle = [sum(weight * vertex[i] for vertex, weight in found.items()) for i in range(d + 1)]
        np.testing.assert_allclose(middle, embedded(point), rtol=0, atol=1e-9)
        expected = simplex(point)
        for vertex in {*found, *expected}:  # those that only one has lie on the other side of a border
            assert abs(found.get(vertex, 0.0) - expected.get(vertex, 0.0)) < 1e-9


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 6), widths, colour_widths, st.integers(0, 999))
def test_pixels_are_embedded_as_by_the_plain_lattice(h: int, w: int, sxy: float, srgb: float, seed: int) -> None:
    """The kernel for the CPU, in float32."""
    image, shape = patches(h, w, seed).numpy(), embed_pixels(h, w, sxy, srgb)
    keys, weights = np.empty((6, h * w), np.int64), np.empty((6, h * w), np.float32)
    table = np.array(shape.scales, np.float32), np.array(shape.low, np.int64), np.array(shape.strides, np.int64)
    inverses = np.float32(1 / sxy), np.float32(1 / srgb)
    kernels.embed(image.reshape(3, -1), w, 0, h, *inverses, *table, keys, weights)
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=0, atol=1e-5)
    assert weights.min() > -1e-4
    for y, x in itertools.product(range(h), range(w)):
        expected = simplex((x / sxy, y / sxy, *(image[:, y, x] / srgb)))
        found = {vertex_of(int(keys[r, y * w + x]), r, shape): float(weights[r, y * w + x]) for r in range(6)}
        for vertex in {*found, *expected}:
            assert abs(found.get(vertex, 0.0) - expected.get(vertex, 0.0)) < 1e-4


# Filtering


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), widths, colour_widths, st.integers(0, 999))
def test_the_crf_in_torch_equals_the_plain_lattice(h: int, w: int, k: int, sxy: float, srgb: float, seed: int) -> None:
    images = torch.stack([patches(h, w, seed), patches(h, w, seed + 1)])
    scores = torch.stack([some_scores(k, h, w, seed), some_scores(k, h, w, seed + 1)])
    crf = TorchCrf(images.double(), (1.0, 0.0), (sxy, srgb, 4.0))
    for iterations in (1, 3):
        expected = torch.stack(
            [dict_crf(*pair, iterations, sxy, srgb, 4.0) for pair in zip(images, scores, strict=True)]
        )
        torch.testing.assert_close(crf(scores, iterations, CLIP), expected, rtol=0, atol=1e-8)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4), widths, colour_widths, st.integers(0, 999))
def test_the_crf_on_the_cpu_equals_the_plain_lattice(
    h: int, w: int, k: int, sxy: float, srgb: float, seed: int
) -> None:
    """To half precision: measured 7e-4 at most over 2000 problems."""
    image, scores = patches(h, w, seed), some_scores(k, h, w, seed)
    found = dense_crf(image[None], scores[None], 1, Gaussian(compat=0.0), Bilateral(sxy, srgb, 4.0))
    expected = dict_crf(image, scores, 1, sxy, srgb, 4.0)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("axis", range(5))
def test_the_kernel_is_as_wide_as_it_is_asked_to_be(axis: int) -> None:
    """One dimension at a time: its second moment, over all positions that the lattice's cells can have."""
    count, width = 240, 20.7
    images = torch.zeros(1, 3, *((count, 1) if axis == 1 else (1, count)), dtype=torch.float64)
    if axis >= 2:
        images[:, axis - 2] = torch.arange(count)
    crf = TorchCrf(images, (1.0, 0.0), (width if axis < 2 else 1e6, width, 1.0))
    response = crf.lattice(torch.eye(count, dtype=torch.float64))
    middle = torch.arange(80, 160)
    distance = (torch.arange(count) - middle.view(-1, 1)).double()
    deviation = ((response[middle] * distance**2).sum() / response[middle].sum()).sqrt()
    assert abs(float(deviation) / width - 1) < 0.05


# Keys too long to be packed with pixels


def narrow(bits: int) -> float:
    """srgb with which the keys of an image of 9 x 11 pixels have so many bits."""
    for srgb in np.geomspace(0.01, 30, 2000):
        try:
            if embed_pixels(9, 11, 5.3, float(srgb)).bits == bits:
                return float(srgb)
        except ConfigError:
            continue
    raise AssertionError(f"no kernel has keys of {bits} bits")


def close_colours(srgb: float) -> Tensor:
    """Image (3, 9, 11) with colours so alike that a narrow kernel joins them, on both sides of the range."""
    random = torch.Generator().manual_seed(0)
    base = torch.where(torch.arange(11) < 4, 250.0, 3.0).double()
    return (base + 2 * srgb * torch.rand(3, 9, 11, generator=random, dtype=torch.float64)).clamp(0, 255)


@pytest.mark.parametrize("bits", [56, 57, 62, 63])
def test_long_keys(bits: int) -> None:
    """99 pixels take 7 bits: 56 is the most that is packed."""
    srgb = narrow(bits)
    image, scores = close_colours(srgb), some_scores(3, 9, 11)
    expected = dict_crf(image, scores, 1, 5.3, srgb, 4.0)
    alone = dict_crf(image, scores, 1, 1e-3, srgb, 4.0)
    assert (expected - alone).abs().max() > 0.1, "no pixel is near to another one"
    found = TorchCrf(image[None], (1.0, 0.0), (5.3, srgb, 4.0))(scores[None], 1, CLIP)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-8)
    # float32 knows colours of 250 to 2e-5, which is 1e-3 of the narrowest of these widths.
    found = dense_crf(image[None] / 255, scores[None], 1, Gaussian(compat=0.0), Bilateral(5.3, srgb, 4.0))
    torch.testing.assert_close(found[0], expected, rtol=0, atol=2e-2)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (9, 11), (40, 50)])
def test_keys_that_are_not_packed_give_the_same(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    image, scores = patches(*size).numpy(), some_scores(3, *size).float().numpy()
    packed = CpuCrf(image, (1.0, 3.0), (13.1, 7.3, 4.0))
    calls = []

    def long_keys(*args: float) -> Embedding:
        calls.append(args)
        return replace(embed_pixels(*args), bits=63)

    monkeypatch.setattr(crf_cpu, "embed_pixels", long_keys)
    ranked = CpuCrf(image, (1.0, 3.0), (13.1, 7.3, 4.0))
    assert len(calls) == 1
    for name in ("vertices", "corners", "starts", "pixels", "weights", "before", "after", "norms"):
        np.testing.assert_array_equal(getattr(packed.lattice, name), getattr(ranked.lattice, name))
    np.testing.assert_array_equal(packed(scores, 4, CLIP), ranked(scores, 4, CLIP))
