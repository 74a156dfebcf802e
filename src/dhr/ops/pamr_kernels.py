"""numba kernels of PAMR on the CPU.

Maps (K, h + 2 margin, W + 2 margin) have their borders repeated; W is the image's width, rounded up to :data:`LANES`.
Weights (h, W / LANES, n, LANES) lie as they are read: those of all neighbours of some pixels together. Each kernel
works on rows y0..y1 of the image.
"""

import numpy as np

from dhr.ops.compiled import kernel
from dhr.ops.simd import (
    absolute,
    add,
    divide,
    exp,
    full,
    larger,
    load_at,
    multiply,
    root,
    scale,
    store_at,
    subtract,
)

LANES = 16  # pixels at a time
_LANES = (0,) * LANES


@kernel
def weigh(image, offsets, margin, contrast, weights, y0, y1):
    """Weights of the neighbours, summing to one over them."""
    _, blocks, count, _ = weights.shape
    stride = image.shape[2]
    plane = image.shape[1] * stride
    few = np.float32(1) / np.float32(count)
    for y in range(y0, y1):
        for block in range(blocks):
            here = (y + margin) * stride + margin + block * len(_LANES)
            first = (y * blocks + block) * count * len(_LANES)
            top = full(_LANES, np.float32(-1e30))
            for c in range(3):
                own = load_at(_LANES, image, c * plane + here)
                sums = full(_LANES, np.float32(0))
                squares = full(_LANES, np.float32(0))
                for n in range(count):
                    there = here + offsets[n, 0] * stride + offsets[n, 1]
                    # Relative to the pixel itself: a variance from raw moments loses digits far from zero.
                    step = subtract(load_at(_LANES, image, c * plane + there), own)
                    sums = add(sums, step)
                    squares = add(squares, multiply(step, step))
                spread = scale(
                    np.float32(1) / np.float32(count - 1), subtract(squares, scale(few, multiply(sums, sums)))
                )
                sigma = root(larger(spread, full(_LANES, np.float32(0))))
                strength = divide(
                    full(_LANES, np.float32(-1 / 3)), add(scale(contrast, sigma), full(_LANES, np.float32(1e-8)))
                )
                for n in range(count):
                    there = here + offsets[n, 0] * stride + offsets[n, 1]
                    step = absolute(subtract(load_at(_LANES, image, c * plane + there), own))
                    at = first + n * len(_LANES)
                    logit = multiply(step, strength)
                    if c > 0:
                        logit = add(logit, load_at(_LANES, weights, at))
                    store_at(weights, at, logit)
                    if c == 2:
                        top = larger(top, logit)
            total = full(_LANES, np.float32(0))
            for n in range(count):
                at = first + n * len(_LANES)
                chance = exp(subtract(load_at(_LANES, weights, at), top))
                store_at(weights, at, chance)
                total = add(total, chance)
            part = divide(full(_LANES, np.float32(1)), total)
            for n in range(count):
                at = first + n * len(_LANES)
                store_at(weights, at, multiply(load_at(_LANES, weights, at), part))


@kernel
def average(maps, weights, offsets, margin, width, averaged, y0, y1):
    """Weighted mean of the neighbours of each pixel; the ends of its rows are repeated."""
    _, blocks, count, _ = weights.shape
    stride = maps.shape[2]
    plane = maps.shape[1] * stride
    for y in range(y0, y1):
        for block in range(blocks):
            here = (y + margin) * stride + margin + block * len(_LANES)
            first = (y * blocks + block) * count * len(_LANES)
            for k in range(len(maps)):
                mean = full(_LANES, np.float32(0))
                for n in range(count):
                    there = here + offsets[n, 0] * stride + offsets[n, 1]
                    weight = load_at(_LANES, weights, first + n * len(_LANES))
                    mean = add(mean, multiply(weight, load_at(_LANES, maps, k * plane + there)))
                store_at(averaged, k * plane + here, mean)
        for k in range(len(maps)):
            row = averaged[k, y + margin]
            row[:margin] = row[margin]
            row[margin + width :] = row[margin + width - 1]
