"""PAMR on the CPU in float32: numba kernels on all threads, 16 pixels at a time, so that memory is the limit."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from dhr.ops import pamr_kernels as kernels
from dhr.ops.parallel import run_parallel, split


def pamr_cpu(
    image: Float32[np.ndarray, "3 h w"],
    scores: Float32[np.ndarray, "k h w"],
    iterations: int,
    offsets: Sequence[tuple[int, int]],
    contrast: float,
) -> Float32[np.ndarray, "k h w"]:
    """:func:`dhr.ops.pamr.pamr` of one image."""
    _, height, width = image.shape
    steps = np.array(offsets)
    margin = int(np.abs(steps).max())
    lines = split(height, width)
    whole = -(-width // kernels.LANES) * kernels.LANES  # rows end on a full register
    weights = np.empty((height, whole // kernels.LANES, len(steps), kernels.LANES), np.float32)
    surrounded = _surround(image, margin, whole)
    run_parallel(kernels.weigh, ((surrounded, steps, margin, np.float32(contrast), weights, *part) for part in lines))
    now = _surround(scores, margin, whole)
    after = np.empty_like(now)
    for _ in range(iterations):
        run_parallel(kernels.average, ((now, weights, steps, margin, width, after, *part) for part in lines))
        after[:, :margin] = after[:, margin : margin + 1]
        after[:, margin + height :] = after[:, margin + height - 1 : margin + height]
        now, after = after, now
    return np.ascontiguousarray(now[:, margin : margin + height, margin : margin + width])


def _surround(maps: Float32[np.ndarray, "k h w"], margin: int, whole: int) -> Float32[np.ndarray, "k _ _"]:
    """Repeat the borders of maps."""
    right = margin + whole - maps.shape[2]
    return np.pad(maps, ((0, 0), (margin, margin), (margin, right)), mode="edge")
