"""numba kernels that pool features to centroids and compare them with these, in one pass over the features.

Both need all positions of a channel, and no other channel: four channels are read, pooled, and while they lie in the
cache what they add to the products of centroids and features is added. Weights and products (b, K, W) hold K classes, a
multiple of :data:`CLASSES`, and whole registers of :data:`LANES` positions; the last register overlaps the one before
it, as the features end with their last position. Weights are changes of masks: what is pooled already comes as sums,
and registers where nothing has changed are passed over.
"""
# mypy: ignore-errors

import numpy as np

from dhr.ops.compiled import kernel
from dhr.ops.simd import add, full, load_at, multiply, prefetch, store_at, total

LANES = 16  # positions at a time
CLASSES = 4  # classes at a time, and channels
CHANNELS = 512  # of one unit of work
LEAST = np.float32(1e-8)  # length below which a feature or a centroid has no direction
_LANES = (0,) * LANES


@kernel
def pool_and_compare(features, changes, before, kept, scale, centroids, products, first, last):
    """Units of work first..last: ``centroids`` (b, K, d) of their channels are ``scale`` (b, K) times the sum of what
    ``changes`` pool and of ``kept`` (b, K) times the centroids ``before`` (b, k, d); products (b, units per
    image, K, W) are theirs with the features.
    """
    _, depth, n = features.shape
    _, classes, width = changes.shape
    units = products.shape[1]
    where = np.empty((classes // CLASSES, width // LANES), np.int64)  # positions of the registers that hold changes
    counts = np.empty(classes // CLASSES, np.int64)
    for unit in range(first, last):
        image = unit // units
        start = unit % units * CHANNELS
        end = min(start + CHANNELS, depth)
        for block in range(classes // CLASSES):
            counts[block] = _changed(changes, image, block, where)
        for channel in range(start, end, 4):
            # The last channel stands in for missing ones, with weight 0.
            rows = (
                (image * depth + channel) * n,
                (image * depth + min(channel + 1, end - 1)) * n,
                (image * depth + min(channel + 2, end - 1)) * n,
                (image * depth + min(channel + 3, end - 1)) * n,
            )
            left = end - channel
            for block in range(classes // CLASSES):
                k = block * CLASSES
                mask = (image * classes + k) * width
                zero = full(_LANES, np.float32(0))
                zeros = (zero, zero, zero, zero)
                a, b, c, d = zeros, zeros, zeros, zeros
                for index in range(counts[block]):
                    at = where[block, index]
                    values = _read(features, rows, min(at, n - LANES))
                    a = _add(a, load_at(_LANES, changes, mask + at), values)
                    b = _add(b, load_at(_LANES, changes, mask + width + at), values)
                    c = _add(c, load_at(_LANES, changes, mask + 2 * width + at), values)
                    d = _add(d, load_at(_LANES, changes, mask + 3 * width + at), values)
                a = _keep(a, left, before, kept, scale, centroids, image, k, channel)
                b = _keep(b, left, before, kept, scale, centroids, image, k + 1, channel)
                c = _keep(c, left, before, kept, scale, centroids, image, k + 2, channel)
                d = _keep(d, left, before, kept, scale, centroids, image, k + 3, channel)
                product = (unit * classes + k) * width
                for at in range(0, width, LANES):
                    values = _read(features, rows, min(at, n - LANES))
                    _add_to(products, product + at, a, values)
                    _add_to(products, product + width + at, b, values)
                    _add_to(products, product + 2 * width + at, c, values)
                    _add_to(products, product + 3 * width + at, d, values)
                    for index in range(4):
                        prefetch(features, rows[index] + 4 * n + at)


@kernel
def heatmaps(products, centroids, seen, norms, centring, maps, first, last):
    """Images first..last: ``maps`` (b, k, n) of the products of their centroids (b, k, d) with the features.

    ``seen`` (b, k) is 1 for classes with a centroid, ``norms`` (b, 1, n) the lengths of the features.
    """
    _, units, _, width = products.shape
    _, k, n = maps.shape
    whole = n // LANES * LANES
    gram = np.empty((k, k), np.float32)
    shift, across, lengths = np.empty((3, k), np.float32)
    along = np.empty(n, np.float32)
    for image in range(first, last):
        count = np.float32(0)
        for c in range(k):
            count += seen[image, c]
            for other in range(c + 1):
                gram[c, other] = gram[other, c] = _dot(centroids[image, c], centroids[image, other])
        for c in range(k):
            shift[c] = centring * seen[image, c] / max(count, np.float32(1))  # times the centroids: c V-bar
        own = np.float32(0)
        for c in range(k):
            across[c] = _dot(gram[c], shift)
            own += across[c] * shift[c]
        for c in range(k):
            lengths[c] = np.sqrt(max(gram[c, c] - 2 * across[c] + own, np.float32(0)))
        along[:] = 0
        for c in range(k):
            row = maps[image, c]
            row[:] = 0
            for unit in range(units):
                part = products[image, unit, c]
                row[:whole] += part[:whole]
                row[whole:] += part[width - (n - whole) :]
            row /= norms[image, 0]
            along += shift[c] * row
        for c in range(k):
            row = maps[image, c]
            for at in range(n):
                spread = np.sqrt(max(1 - 2 * along[at] + own, np.float32(0))) * lengths[c]
                value = (row[at] - along[at] - across[c] + own) / max(spread, LEAST)
                real = seen[image, c] if norms[image, 0, at] > LEAST else np.float32(0)
                row[at] = min(max(value, np.float32(0)), np.float32(1)) * real


@kernel
def _dot(a, b):
    found = np.float32(0)
    for index in range(len(a)):
        found += a[index] * b[index]
    return found


@kernel
def sum_squares(features, sums, first, last):
    """Units of work first..last: sums (b, units per image, n) of the squares of their channels."""
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
def _changed(changes, image, block, where):
    """Write down the positions of a block's registers that are not all 0; how many there are."""
    count = 0
    for at in range(0, changes.shape[2], LANES):
        some = False
        for k in range(block * CLASSES, (block + 1) * CLASSES):
            for lane in range(LANES):
                some |= changes[image, k, at + lane] != 0
        if some:
            where[block, count] = at
            count += 1
    return count


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
def _keep(found, left, before, kept, scale, centroids, image, k, channel):
    """Write four channels of a centroid; they come back with each number all over its register."""
    values = (total(found[0]), total(found[1]), total(found[2]), total(found[3]))
    factor = kept[image, k]
    for index in range(4):
        if index < left:
            value = values[index]
            if factor > 0:
                value += factor * before[image, k, channel + index]
            centroids[image, k, channel + index] = scale[image, k] * value
    none = np.float32(0)
    return (
        full(_LANES, centroids[image, k, channel]),
        full(_LANES, centroids[image, k, channel + 1] if left > 1 else none),
        full(_LANES, centroids[image, k, channel + 2] if left > 2 else none),
        full(_LANES, centroids[image, k, channel + 3] if left > 3 else none),
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
