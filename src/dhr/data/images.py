"""Read and write photographs and masks."""

import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from dhr.data.image_files import MAX_PIXELS, Content, decoding, opened, png_kind
from dhr.data.palette import palette as voc_palette
from dhr.errors import ItemError, ShapeError
from dhr.files import write_bytes

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
"""Suffixes of photographs, in lower case."""

PNG_CODING = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""Pillow's options for masks. Most rows are runs of equal labels: with them alone, files are a sixth smaller than at
zlib's level 3, in the same time; still smaller files take twice as long (docs/measurements.md)."""


_STRIP = 4_000_000  # pixels converted at once: conversion then needs little memory beside the photograph itself
_ORIENTATION = 0x0112  # EXIF tag
_HUGE = 16_000_000  # pixels; of larger photographs one is decoded at a time, whatever the number of threads
_ONE_HUGE = threading.Lock()


def read_rgb(path: Path | Content, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photograph as RGB, 0..255, upright by its EXIF orientation.

    The content decides on the format, not the suffix. Transparent parts become white. Of several frames the first is
    read. 16-bit greyscale is scaled from 0..65535; 32-bit integers from the smaller of 0..255 and 0..65535 that holds
    all values, floats from the smallest of 0..1, 0..255 and 0..65535, and others from their own minimum to maximum (NaN
    is black). Colour profiles are not applied.

    Raises ItemError if the file is missing, damaged, not a photograph, of an unsupported kind, or over ``max_pixels``.
    """
    with opened(path, max_pixels) as image, _turn(image), decoding(path):
        image.load()
        orientation = _orientation(image)  # after load(): Pillow turns TIFFs upright itself
        width, height = image.size
        shape = (width, height) if orientation >= 5 else (height, width)
        pixels = np.empty((*shape, 3), np.uint8)
        stored = as_stored(pixels, orientation)  # (height, width, 3), a view
        low, high = _value_range(image)
        for top, strip in _strips(image):
            stored[top : top + strip.height] = _strip_rgb(strip, low, high)
    return pixels


def read_size(path: Path | Content, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the height and width that :func:`read_rgb` would give, from the header if the format allows it.

    Raises ItemError as :func:`read_rgb`, except for damage that only decoding shows.
    """
    with opened(path, max_pixels) as image, decoding(path):
        width, height = image.size
        turned = not isinstance(image, TiffImageFile) and _orientation(image) >= 5
    return (width, height) if turned else (height, width)


def read_orientation(path: Path | Content, max_pixels: int = MAX_PIXELS) -> int:
    """Return EXIF's orientation 1..8, which turns the stored photograph upright; 1 without EXIF. Raises as
    :func:`read_size`.
    """
    with opened(path, max_pixels) as image, decoding(path):
        return _orientation(image)


def read_mask(path: Path | Content, shape: tuple[int, int] | None = None) -> UInt8[np.ndarray, "h w"]:
    """Read a mask: a PNG, indexed (any palette) or 8-bit greyscale, whose stored numbers are class ids.

    Raises ItemError if it is missing, damaged, of another kind (colour, 16 bits, alpha), or not of the height and width
    ``shape``.
    """
    with opened_mask(path, shape) as image, decoding(path):
        depth, colour = png_kind(path)
        if colour != 3 and (depth, colour) != (8, 0):
            kind = {0: "greyscale", 2: "RGB", 4: "greyscale with alpha", 6: "RGB with alpha"}.get(colour, "unknown")
            raise ItemError(f"{path}: expected a mask of class ids, got a {depth}-bit {kind} PNG; {CONVERT}")
        labels: UInt8[np.ndarray, "h w"] = np.array(image, dtype=np.uint8)
    return labels


def write_mask(path: Path, labels: UInt8[np.ndarray, "h w"], palette: UInt8[np.ndarray, "256 3"] | None = None) -> None:
    """Write class ids as an indexed PNG, atomically; see :func:`mask_bytes`.

    Parent folders are made. Raises also OutputError if they cannot be written.
    """
    write_bytes(path, mask_bytes(labels, palette))


def mask_bytes(labels: UInt8[np.ndarray, "h w"], palette: UInt8[np.ndarray, "256 3"] | None = None) -> bytes:
    """Return class ids as an indexed PNG; the same labels give the same bytes (with the same zlib).

    ``palette`` holds the RGB colour of each id, by default those of PASCAL VOC. Raises ShapeError if the labels are
    not (h, w) of uint8, or empty.
    """
    if labels.dtype != np.uint8 or labels.ndim != 2 or labels.size == 0:
        raise ShapeError(f"expected labels (h, w) of uint8 with h, w >= 1, got {labels.shape} of {labels.dtype}")
    image = Image.fromarray(labels)
    image.putpalette((voc_palette() if palette is None else palette).tobytes())  # makes it mode P
    file = io.BytesIO()
    image.save(file, format="PNG", **PNG_CODING)
    return file.getvalue()


CONVERT = (
    "save it as an indexed (mode P) or 8-bit greyscale (mode L) PNG whose pixel values are class ids 0..254, 255 = void"
)
"""The remedy for a mask that cannot be read."""

_LOSSY = ("JPEG", "WEBP")


@contextmanager
def opened_mask(path: Path | Content, shape: tuple[int, int] | None) -> Iterator[PngImageFile]:
    """Open a mask and parse its header; raise ItemError before decoding if it is not a PNG, or not of ``shape``."""
    with opened(path, MAX_PIXELS) as image:
        if not isinstance(image, PngImageFile):
            lossy = ", which may change pixel values" if image.format in _LOSSY else ""
            raise ItemError(f"{path}: expected a mask in PNG, got {image.format}{lossy}; {CONVERT}")
        if shape is not None and (image.height, image.width) != shape:
            raise ItemError(
                f"{path}: expected a mask of {shape[1]}x{shape[0]} pixels (width x height) as its photograph, got "
                f"{image.width}x{image.height}; resize it without interpolation, or check that it is the right one"
            )
        yield image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF: viewers show such a photograph as it is stored, and so do we
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def as_stored(upright: Shaped[np.ndarray, "h w *c"], orientation: int) -> Shaped[np.ndarray, "h2 w2 *c"]:
    """Return a view of the upright array in which rows and columns run as in the file."""
    if orientation >= 5:
        upright = upright.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 6, 7) else 1
    columns = -1 if orientation in (2, 3, 7, 8) else 1
    return upright[::rows, ::columns]


def _turn(image: Image.Image) -> AbstractContextManager[object]:
    return _ONE_HUGE if image.width * image.height > _HUGE else nullcontext()


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _value_range(image: Image.Image) -> tuple[float, float]:
    """Return the values shown as black and as white, for images of more than 8 bits."""
    if image.mode.startswith("I;16"):
        return 0.0, 65535.0
    if image.mode not in ("I", "F"):
        return 0.0, 255.0
    low, high = np.inf, -np.inf
    for _, strip in _strips(image):
        values = np.asarray(strip)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    for white in (255.0, 65535.0) if image.mode == "I" else (1.0, 255.0, 65535.0):
        if low >= 0 and high <= white:  # also when nothing is finite
            return 0.0, white
    return low, high if high > low else low + 1.0


def _strip_rgb(strip: Image.Image, low: float, high: float) -> UInt8[np.ndarray, "h w 3"]:
    if strip.mode.startswith("I") or strip.mode == "F":
        values = np.asarray(strip).astype(np.float64)
        shares: Shaped[np.ndarray, "h w"] = np.clip((values - low) / (high - low), 0.0, 1.0)
        grey = np.rint(np.nan_to_num(shares) * 255.0).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)  # (h, w, 3)
    if strip.has_transparency_data:
        layered = strip.convert("RGBA")
        white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, layered).convert("RGB"))
    return np.asarray(strip.convert("RGB"))
