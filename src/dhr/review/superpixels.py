"""Superpixels: connected regions of one colour, which the page gives to a class at one click."""

import numpy as np
from jaxtyping import UInt8, UInt16

from dhr.report.panels import shrink_labels, thumbnail

_COUNT = 600
_SIDE = 1000  # larger photographs are segmented at this length of the longest side, which keeps it under a second
_CELL = 16  # pixels of a superpixel, at least


def superpixels(pixels: UInt8[np.ndarray, "h w 3"]) -> UInt16[np.ndarray, "h w"]:
    """Number the superpixels of a photograph from 0, by SLIC: about 600, fewer if it is small."""
    from skimage.segmentation import slic

    small = thumbnail(pixels, _SIDE)
    count = max(1, min(_COUNT, small.shape[0] * small.shape[1] // _CELL))
    found = slic(small, n_segments=count, start_label=0)
    labels: UInt16[np.ndarray, "h2 w2"] = found.astype(np.uint16)
    if small.shape == pixels.shape:
        return labels
    return shrink_labels(labels, *pixels.shape[:2])
