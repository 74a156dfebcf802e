"""Pictures for the browser: photographs, and thumbnails with their masks."""

import io

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image

from dhr.report.panels import overlay, shrink_labels, shrunk, thumbnail
from dhr.review.answers import RefusedError
from dhr.review.kept import Kept
from dhr.review.photographs import Photograph, Photographs
from dhr.review.superpixels import superpixels

MOST_SIDE = 4096
"""Longest side of a photograph in the browser, pixels; canvases have limits."""
_THUMB_SIDE = 240
_QUALITY, _THUMB_QUALITY = 90, 80
_IMAGE_BYTES, _THUMB_BYTES, _SUPERPIXEL_BYTES = 64_000_000, 32_000_000, 64_000_000


class Pictures:
    """Encodes pictures, and keeps the last ones.

    Args:
        photographs: those of the run.
    """

    def __init__(self, photographs: Photographs) -> None:
        self._photographs = photographs
        self._images = Kept[bytes](_IMAGE_BYTES, len)
        self._thumbs = Kept[bytes](_THUMB_BYTES, len)
        self._superpixels = Kept[UInt16[np.ndarray, "h w"]](_SUPERPIXEL_BYTES, lambda one: one.nbytes)

    def image(self, photograph: Photograph) -> bytes:
        """Return a photograph as JPEG, upright, with the longest side at most :data:`MOST_SIDE`."""
        return self._images.get(
            photograph.item.digest, lambda: _jpeg(thumbnail(self._read(photograph), MOST_SIDE), _QUALITY)
        )

    def thumb(self, photograph: Photograph, key: str) -> bytes:
        """Return a small JPEG of the photograph under its mask; ``key`` names the content of the mask."""
        return self._thumbs.get((photograph.number, photograph.item.digest, key), lambda: self._small(photograph))

    def superpixels(self, photograph: Photograph) -> UInt16[np.ndarray, "h w"]:
        """Return the superpixels of a photograph."""
        return self._superpixels.get(photograph.item.digest, lambda: superpixels(self._read(photograph)))

    def _small(self, photograph: Photograph) -> bytes:
        small = thumbnail(self._read(photograph), _THUMB_SIDE)
        labels = shrink_labels(self._photographs.mask(photograph), *small.shape[:2])
        classes, palette = self._photographs.classes, self._photographs.palette
        return _jpeg(overlay(small, labels, palette, classes.background), _THUMB_QUALITY)

    def _read(self, photograph: Photograph) -> UInt8[np.ndarray, "h w 3"]:
        pixels = self._photographs.run.data.read_image(photograph.sample)
        if pixels.shape[:2] != photograph.size:
            raise RefusedError(409, f"{photograph.sample.name} has another size than its mask; run `dhr run` again")
        return pixels


def scale(photograph: Photograph) -> float:
    """Return the length of the picture in the browser divided by that of the photograph."""
    return max(shrunk(*photograph.size, MOST_SIDE)) / max(photograph.size)


def _jpeg(pixels: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()
