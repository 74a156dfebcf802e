"""numba kernel that pools features to centroids and compares them with these, in one pass over the features.

Both need all positions of a channel, and no other channel: four channels are read, pooled, and while they lie in the
cache what they add to the products of centroids and features is added. Masks and products (b, K, W) hold K classes, a
multiple of :data:`CLASSES`, and whole registers of :data:`LANES` positions; the last register overlaps the one before
it, as the features end with their last position.
"""
# mypy: ignore-errors

import numpy as np

from dhr.ops.compiled import kernel
from dhr.ops.simd import add, full, load_at, multiply, store_at, total

LANES = 16  # positions at a time
CLASSES = 4  # classes at a time, and channels
CHANNELS = 512  # of one unit of work
_LANES = (0,) * LANES


@kernel
def pool_and_compare(features, weights, centroids, products, first, last):
    """Units of work first..last: centroids (b, K, d) of their channels, products (b, units an image, K, W)."""
    _, depth, n = features.shape
    _, classes, width = weights.shape
    units = products.shape[1]
    for unit in range(first, last):
        image = unit // units
        start = unit % units * CHANNELS
        end = min(start + CHANNELS, depth)
        for channel in range(start, end, 4):
            # The last channel stands in for those that are missing, and counts nothing.
            rows = (
                (image * depth + channel) * n,
                (image * depth + min(channel + 1, end - 1)) * n,
                (image * depth + min(channel + 2, end - 1)) * n,
                (image * depth + min(channel + 3, end - 1)) * n,
            )
            for k in range(0, classes, CLASSES):
                mask = (image * classes + k) * width
                zero = full(_LANES, np.float32(0))
                zeros = (zero, zero, zero, zero)
                a, b, c, d = zeros, zeros, zeros, zeros
                for at in range(0, width, LANES):
                    values = _read(features, rows, min(at, n - LANES))
                    a = _add(a, load_at(_LANES, weights, mask + at), values)
                    b = _add(b, load_at(_LANES, weights, mask + width + at), values)
                    c = _add(c, load_at(_LANES, weights, mask + 2 * width + at), values)
                    d = _add(d, load_at(_LANES, weights, mask + 3 * width + at), values)
                left = end - channel
                a = _keep(a, left, centroids, image, k, channel)
                b = _keep(b, left, centroids, image, k + 1, channel)
                c = _keep(c, left, centroids, image, k + 2, channel)
                d = _keep(d, left, centroids, image, k + 3, channel)
                product = (unit * classes + k) * width
                for at in range(0, width, LANES):
                    values = _read(features, rows, min(at, n - LANES))
                    _add_to(products, product + at, a, values)
                    _add_to(products, product + width + at, b, values)
                    _add_to(products, product + 2 * width + at, c, values)
                    _add_to(products, product + 3 * width + at, d, values)


@kernel
def sum_squares(features, sums, first, last):
    """Units of work first..last: sums (b, units an image, n) of the squares of their channels."""
    _, depth, n = features.shape
    units = sums.shape[1]
    for unit in range(first, last):
        image = unit // units
        start = unit % units * CHANNELS
        end = min(start + CHANNELS, depth)
        whole = n // LANES * LANES
        for channel in range(start, end):
            row = (image * depth + channel) * n
            for at in range(0, whole, LANES):
                values = load_at(_LANES, features, row + at)
                place = unit * n + at
                store_at(sums, place, add(load_at(_LANES, sums, place), multiply(values, values)))
            for at in range(whole, n):
                value = features[image, channel, at]
                sums[image, unit % units, at] += value * value


@kernel
def _read(features, rows, at):
    """Four channels at some positions."""
    return (
        load_at(_LANES, features, rows[0] + at),
        load_at(_LANES, features, rows[1] + at),
        load_at(_LANES, features, rows[2] + at),
        load_at(_LANES, features, rows[3] + at),
    )


@kernel
def _add(sums, weights, values):
    """Sums of four channels, plus their values there by weight."""
    return (
        add(sums[0], multiply(weights, values[0])),
        add(sums[1], multiply(weights, values[1])),
        add(sums[2], multiply(weights, values[2])),
        add(sums[3], multiply(weights, values[3])),
    )


@kernel
def _keep(sums, left, centroids, image, k, channel):
    """Write four channels of a centroid; they come back with each number all over its register."""
    values = (total(sums[0]), total(sums[1]), total(sums[2]), total(sums[3]))
    for index in range(4):
        if index < left:
            centroids[image, k, channel + index] = values[index]
    none = np.float32(0)
    return (
        full(_LANES, values[0]),
        full(_LANES, values[1] if left > 1 else none),
        full(_LANES, values[2] if left > 2 else none),
        full(_LANES, values[3] if left > 3 else none),
    )


@kernel
def _add_to(products, at, centroid, values):
    """Add what four channels give to the products of a class."""
    row = load_at(_LANES, products, at)
    row = add(row, multiply(centroid[0], values[0]))
    row = add(row, multiply(centroid[1], values[1]))
    row = add(row, multiply(centroid[2], values[2]))
    row = add(row, multiply(centroid[3], values[3]))
    store_at(products, at, row)
