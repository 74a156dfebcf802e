"""Working images, decoded once and kept in memory up to a limit."""

from threading import Lock

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import working_pixels

BUDGET = 512 * 2**20
"""Bytes of working images that one training keeps: about 500 photographs of 640x480 pixels."""


class KeptPixels:
    """Reads working images; those that fit into ``budget`` bytes are kept. Several threads may call it."""

    def __init__(self, data: DataSet, long_side: int, budget: int = BUDGET) -> None:
        self.data, self.long_side = data, long_side
        self._left = budget
        self._kept: dict[str, UInt8[np.ndarray, "h w 3"]] = {}
        self._lock = Lock()

    def __call__(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Return RGB in 0..255.

        Raises:
            ItemError: the photograph cannot be read.
        """
        kept = self._kept.get(sample.name)
        if kept is not None:
            return kept
        pixels = working_pixels(self.data.read_image(sample), self.long_side)
        with self._lock:
            if sample.name not in self._kept and pixels.nbytes <= self._left:
                self._left -= pixels.nbytes
                self._kept[sample.name] = pixels
        return pixels
