"""numba kernels of the dense CRF on the CPU; :mod:`dhr.ops.crf_cpu` calls them.

Each works on a range of its loop and releases the interpreter's lock, so that several threads share the work. Results
do not depend on how it is shared. All arrays are C-contiguous; P is the number of pixels, V that of the lattice's
vertices, W a width of rows.
"""

import math

import numpy as np

from dhr.ops.compiled import kernel
from dhr.ops.simd import add, exp, fma, full, highest, load, load_at, multiply, scale, store, store_at, total

_D = 5
# A blur along each of the six axes sums to one here; the lattice's filter needs twice that, and this part of it.
_ALPHA = np.float32(2.0 ** (_D + 1) / (1 + 2.0**-_D))
_QUARTER = np.float32(0.25)
_HALF = np.float32(0.5)
_ONE = np.float32(1)
_SIXTH = np.float32(1 / 6)
LANES = 16  # numbers that are taken at a time where classes do not matter
_LANES = (0,) * LANES


@kernel
def embed(rgb, width, y0, y1, inverse_sxy, inverse_srgb, scales, low, strides, keys, weights):
    """Key and barycentric weight (6, P) of the six vertices around each pixel of rows y0..y1, by remainder."""
    position = np.empty(6, np.float32)
    quotient = np.empty(6, np.int64)
    rank = np.empty(6, np.int64)
    at = np.empty(6, np.int64)
    feature = np.empty(5, np.float32)
    for y in range(y0, y1):
        for x in range(width):
            p = y * width + x
            feature[0] = x * inverse_sxy
            feature[1] = y * inverse_sxy
            for c in range(3):
                feature[2 + c] = rgb[c, p] * inverse_srgb
            later = np.float32(0)
            for i in range(5, 0, -1):
                scaled = feature[i - 1] * scales[i - 1]
                position[i] = later - i * scaled
                later += scaled
            position[0] = later
            # The nearest vertex of remainder 0, and what is left, sorted; if the quotients do not sum to zero, the
            # coordinates with the most or least left move on by one.
            excess = 0
            for i in range(6):
                quotient[i] = np.int64(math.floor(position[i] * _SIXTH + _HALF))
                position[i] -= np.float32(6 * quotient[i])
                excess += quotient[i]
                rank[i] = 0
            for i in range(5):
                for j in range(i + 1, 6):
                    less = np.int64(position[i] < position[j])
                    rank[i] += less
                    rank[j] += 1 - less
            for i in range(6):
                place = rank[i] + excess
                if place < 0:
                    place += 6
                    quotient[i] += 1
                    position[i] -= np.float32(6)
                elif place > 5:
                    place -= 6
                    quotient[i] -= 1
                    position[i] += np.float32(6)
                at[place] = i
            key = np.int64(0)
            for i in range(5):
                key += (quotient[i] - low[i]) * strides[i]
            keys[0, p] = key
            weights[0, p] = _ONE + (position[at[5]] - position[at[0]]) * _SIXTH
            for r in range(1, 6):
                i = at[6 - r]
                if i < 5:
                    key -= strides[i]
                keys[r, p] = key
                weights[r, p] = (position[at[5 - r]] - position[i]) * _SIXTH


@kernel
def pack(keys, bits):
    """Put the index of each pixel below its key, so that sorting the numbers sorts the pixels."""
    for p in range(len(keys)):
        keys[p] = (keys[p] << bits) | p


@kernel
def number(keys, bits, vertices, pixels, starts):
    """Number the distinct keys among sorted packed ones, and list the pixels of each; how many there are.

    Writes the vertex of each pixel, the pixels by vertex, where those of each vertex start, and, over the first packed
    keys, the distinct keys.
    """
    mask = (np.int64(1) << bits) - 1
    count, last = -1, np.int64(-1)
    for e in range(len(keys)):
        key = keys[e] >> bits
        p = keys[e] & mask
        if key != last:
            count += 1
            keys[count] = key
            starts[count] = e
            last = key
        vertices[p] = count
        pixels[e] = p
    return count + 1


@kernel
def link(keys, others, shift, first, first_other, before, after):
    """Neighbours along an axis: which of the sorted ``others`` is each of the sorted ``keys`` plus ``shift``."""
    j = 0
    for i in range(len(keys)):
        wanted = keys[i] + shift
        while j < len(others) and others[j] < wanted:
            j += 1
        if j < len(others) and others[j] == wanted:
            before[first + i] = first_other + j
            after[first_other + j] = first + i


@kernel
def pick(corners, norms, pixels, weights):
    """Barycentric weight of each pixel in the order of ``pixels``, times its norm."""
    for e in range(len(pixels)):
        weights[e] = corners[pixels[e]] * norms[pixels[e]]


@kernel
def splat(width, q, starts, pixels, weights, values, v0, v1):
    """Vertices v0..v1: weighted sum of the rows of their pixels."""
    for v in range(v0, v1):
        row = full(width, np.float32(0))
        for e in range(starts[v], starts[v + 1]):
            row = fma(weights[e], load(width, q, pixels[e]), row)
        store(values, v, row)


@kernel
def blur(width, values, before, after, blurred, v0, v1):
    """Vertices v0..v1: half their row and a quarter of the rows of both neighbours along an axis."""
    for v in range(v0, v1):
        sides = add(load(width, values, before[v]), load(width, values, after[v]))
        store(blurred, v, fma(_QUARTER, sides, scale(_HALF, load(width, values, v))))


@kernel
def reach(width, vertices, corners, values, norms, p0, p1):
    """Pixels p0..p1: 1 / sqrt of what the lattice holds there in all classes alike."""
    for p in range(p0, p1):
        row = full(width, np.float32(0))
        for r in range(6):
            row = fma(corners[r, p], load(width, values, vertices[r, p]), row)
        norms[p] = _ONE / math.sqrt(_ALPHA * highest(row) + np.float32(1e-20))


@kernel
def message(
    width, q, taps, norms_y, norms_x, bilateral, vertices, corners, values, norms, unary, logits, top, first, y0, y1
):  # fmt: skip
    """Rows y0..y1 of the image: logits = unary + Gaussian message + bilateral message, and their maximum so far.

    The Gaussian is separable: each row is first summed over its neighbours above and below, then along itself, all
    classes of all its pixels in a row of numbers that is taken 16 at a time; ``q`` has 15 more behind its end.
    ``taps`` includes the compatibility; without taps the Gaussian is left out. ``norms_x`` is repeated for each class,
    zeros behind it. ``bilateral`` is the lattice's compatibility.
    """
    classes, h, radius = len(width), len(norms_y), len(taps) // 2
    w = len(unary) // h
    length, margin = w * classes, radius * classes
    line = np.zeros(length + 2 * margin + len(_LANES), np.float32)
    near = np.zeros((w + len(_LANES), classes), np.float32)
    for y in range(y0, y1):
        if len(taps) > 0:
            up, down = max(0, y - radius), min(h, y + radius + 1)
            for i in range(0, length, len(_LANES)):
                part = full(_LANES, np.float32(0))
                for v in range(up, down):
                    part = fma(taps[v - y + radius] * norms_y[v], load_at(_LANES, q, v * length + i), part)
                store_at(line, margin + i, multiply(load_at(_LANES, norms_x, i), part))
            for i in range(0, length, len(_LANES)):
                part = full(_LANES, np.float32(0))
                for t in range(len(taps)):
                    part = fma(taps[t], load_at(_LANES, line, i + t * classes), part)
                store_at(near, i, multiply(load_at(_LANES, norms_x, i), part))
        for x in range(w):
            p = y * w + x
            row = fma(norms_y[y], load(width, near, x), load(width, unary, p))
            if bilateral != 0:
                alike = full(width, np.float32(0))
                for r in range(6):
                    alike = fma(corners[r, p], load(width, values, vertices[r, p]), alike)
                row = fma(bilateral * _ALPHA * norms[p], alike, row)
            store(logits, p, row)
            best = highest(row)
            top[p] = best if first else max(top[p], best)


@kernel
def exponentiate(width, logits, top, sums, first, p0, p1):
    """Pixels p0..p1: exp(logits - top) in their place, and its sum over the classes so far."""
    for p in range(p0, p1):
        row = exp(add(load(width, logits, p), full(width, -top[p])))
        store(logits, p, row)
        sums[p] = total(row) if first else sums[p] + total(row)


@kernel
def normalise(width, logits, sums, q, p0, p1):
    """Pixels p0..p1: Q, the exponentials over their sum."""
    for p in range(p0, p1):
        store(q, p, scale(_ONE / sums[p], load(width, logits, p)))


@kernel
def read_scores(scores, clip, unary, logits, sums, first, p0, p1):
    """Rows from planes (K, P): the clipped probabilities in ``logits``, their logarithms, and their sum so far.

    Classes beyond K, which fill up the rows, get a logarithm that no other comes near.
    """
    for p in range(p0, p1):
        if first:
            sums[p] = 0
        for c in range(unary.shape[1]):
            if c < len(scores):
                value = max(scores[c, p], clip)
                logits[p, c] = value
                unary[p, c] = math.log(value)
                sums[p] += value
            else:
                logits[p, c] = 0
                unary[p, c] = -1e30


@kernel
def write_scores(logits, sums, scores, p0, p1):
    """Planes (K, P) of Q from rows of exponentials."""
    for p in range(p0, p1):
        for c in range(len(scores)):
            scores[c, p] = logits[p, c] / sums[p]
