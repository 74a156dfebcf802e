"""The narrow Gaussian kernel of the dense CRF, as a separable convolution."""

import math

_TAIL = 3.0  # standard deviations after which the kernel is cut off: 0.3 % of its weight


def gaussian_taps(height: int, width: int, sxy: float, compat: float) -> tuple[list[float], list[float], list[float]]:
    """Taps of one pass, and the symmetric normalisation 1 / sqrt(K 1) of rows and of columns.

    The compatibility is part of the taps: both passes multiply by them, so each takes its root. No taps at all stand
    for a compatibility of zero.
    """
    if compat == 0:
        return [], [1.0] * height, [1.0] * width
    radius = min(math.ceil(_TAIL * sxy), max(height, width))
    taps = [math.exp(-0.5 * (offset / sxy) ** 2) for offset in range(-radius, radius + 1)]
    sums = [0.0]
    for tap in taps:
        sums.append(sums[-1] + tap)

    def norms(length: int) -> list[float]:
        # What the filter makes of ones: the taps that fall on the image.
        return [
            (sums[min(2 * radius, radius + length - 1 - i) + 1] - sums[max(0, radius - i)]) ** -0.5
            for i in range(length)
        ]

    root = math.sqrt(compat)
    return [root * tap for tap in taps], norms(height), norms(width)
