"""A numba kernel that resamples scores and takes the best class of each pixel.

Most pixels lie between four cells with the same best class. That class is then the best in between, too, because
bilinear weights are shares. So only pixels near borders need the scores of all classes.
"""

from dhr.ops.compiled import kernel


@kernel
def label_rows(scores, best, rows, downs, columns, acrosses, ids, labels, y0, y1):
    """Write rows y0..y1 of the labels.

    ``scores`` are (u, v, K), ``best`` (u, v) their best class. ``rows`` and ``downs`` have, for each row of the labels,
    the cell above and the share of the cell below; ``columns`` and ``acrosses`` the same for columns.
    """
    height, width, count = scores.shape
    for y in range(y0, y1):
        top = rows[y]
        below = min(top + 1, height - 1)
        down = downs[y]
        for x in range(labels.shape[1]):
            left = columns[x]
            right = min(left + 1, width - 1)
            found = best[top, left]
            if found != best[top, right] or found != best[below, left] or found != best[below, right]:
                across = acrosses[x]
                highest = scores[top, left, 0] - scores[top, left, 0]
                for k in range(count):
                    upper = scores[top, left, k] + across * (scores[top, right, k] - scores[top, left, k])
                    lower = scores[below, left, k] + across * (scores[below, right, k] - scores[below, left, k])
                    score = upper + down * (lower - upper)
                    if k == 0 or score > highest:
                        highest = score
                        found = k
            labels[y, x] = ids[found]
