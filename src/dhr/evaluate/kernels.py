"""numba kernels for one photograph: they count pixels by true and predicted class, and edges. 255 is void."""

from dhr.ops.compiled import kernel


@kernel
def count_pixels(pred, truth, matrix, seen):
    """Add to ``matrix`` (C, C + 1), whose last column is "no class", and to ``seen`` (256,), labels of ``pred``."""
    classes = matrix.shape[0]
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            seen[pred[y, x]] += 1
            if truth[y, x] < classes:
                matrix[truth[y, x], min(pred[y, x], classes)] += 1


@kernel
def settle(labels, rings, places, ring, taken):
    """Fill void in ``labels`` in place from its border, one pixel a ring, at most ``rings``.

    A pixel takes the label of its neighbours (above, below, left, right) that had one before the ring, the least of
    them if they differ, so that the order of pixels does not matter. ``places``, ``ring``, ``taken`` (void pixels,) are
    buffers.
    """
    height, width = labels.shape
    count = 0
    for y in range(height):
        for x in range(width):
            if labels[y, x] == 255:
                places[count] = y * width + x
                count += 1
    for _ in range(rings):
        left, filled = 0, 0
        for index in range(count):
            place = places[index]
            y, x = place // width, place % width
            least = 255
            if y > 0:
                least = min(least, labels[y - 1, x])
            if y + 1 < height:
                least = min(least, labels[y + 1, x])
            if x > 0:
                least = min(least, labels[y, x - 1])
            if x + 1 < width:
                least = min(least, labels[y, x + 1])
            if least == 255:
                places[left] = place
                left += 1
            else:
                ring[filled], taken[filled] = place, least
                filled += 1
        if filled == 0:
            break
        for index in range(filled):
            labels[ring[index] // width, ring[index] % width] = taken[index]
        count = left


@kernel
def find_edges(labels, truth, edges):
    """Write ``edges`` (h, w): labels of pixels beside another label, 255 elsewhere and where ``truth`` is void."""
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            own = labels[y, x]
            edges[y, x] = 255
            if own == 255 or truth[y, x] == 255:
                continue
            edge = False
            if y > 0 and truth[y - 1, x] != 255:
                edge = labels[y - 1, x] != own and labels[y - 1, x] != 255
            if y + 1 < height and truth[y + 1, x] != 255:
                edge = edge or (labels[y + 1, x] != own and labels[y + 1, x] != 255)
            if x > 0 and truth[y, x - 1] != 255:
                edge = edge or (labels[y, x - 1] != own and labels[y, x - 1] != 255)
            if x + 1 < width and truth[y, x + 1] != 255:
                edge = edge or (labels[y, x + 1] != own and labels[y, x + 1] != 255)
            if edge:
                edges[y, x] = own


@kernel
def match_edges(own, other, away, found, column):
    """Add, for each class, its pixels in ``own`` to ``found[:, column]`` and those that meet ``other`` to the next.

    ``away`` (n, 2) holds the steps (down, right) that count as meeting, the shortest first.
    """
    height, width = own.shape
    classes = found.shape[0]
    for y in range(height):
        for x in range(width):
            label = own[y, x]
            if label >= classes:
                continue
            found[label, column] += 1
            for step in range(away.shape[0]):
                v, u = y + away[step, 0], x + away[step, 1]
                if 0 <= v < height and 0 <= u < width and other[v, u] == label:
                    found[label, column + 1] += 1
                    break
