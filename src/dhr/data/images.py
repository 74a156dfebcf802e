"""Photographs and masks, from files and to files.

Pillow is used through its format classes, not through ``Image.open``: the check against decompression bombs of the
latter is a global of the whole process, ours is an argument. Only the formats of :data:`SUFFIXES` are read.
"""

import errno
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dhr.data.palette import palette as voc_palette
from dhr.errors import ItemError, ShapeError
from dhr.files import IrregularFileError, open_regular, write_atomic

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
"""Suffixes of photographs, in lower case."""

MAX_PIXELS = 250_000_000
"""Photographs with more pixels are refused before they are decoded."""

MAX_BYTES = 8_000_000_000
"""Larger image files are refused before they are opened."""

MAX_HEADER = 64_000_000
"""Bytes of an image file that may be read besides its pixels: profiles, texts, previews."""

PNG_LEVEL = 3
"""Of zlib: for masks hardly slower than 1, and smaller; higher levels take several times as long."""


MAX_CONTENT = 500_000_000
"""Largest image that is kept in another file, which is held in memory: bytes."""


@dataclass(frozen=True)
class Content:
    """An image file that is kept in another file: what to call it, and its bytes."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


_FORMATS: tuple[tuple[re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
    (re.compile(rb"BM"), BmpImageFile),
)
_STRIP = 4_000_000  # pixels converted at once: conversion then needs little memory beside the photograph itself
_ORIENTATION = 0x0112  # EXIF tag
_GIF_HEADER = 1_000_000  # bytes; Pillow joins comments one by one, which takes their square of time
_MOST_BYTES = 16  # a pixel: four channels of 32 bits
_STRIP_BYTES, _TILE_BYTES, _TILE_WIDTH, _TILE_LENGTH = 279, 325, 322, 323  # TIFF tags
_TILES = 16  # times that tiles may be larger than the picture, which need not fill them


def read_rgb(path: Path | Content, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photograph as a person sees it: RGB, 0..255, turned upright as its EXIF orientation says.

    The content decides on the format, not the suffix. Transparent parts are shown on white. Of several frames the
    first is read. 16-bit greyscale is scaled from 0..65535; 32-bit integers from the least of 0..255 and 0..65535
    that holds all values, floats from the least of 0..1, 0..255 and 0..65535, and either from its own minimum to its
    own maximum where none does (NaN is black). Colour profiles are not applied.

    Raises:
        ItemError: the file is missing, damaged, no photograph, of an unsupported kind, or has over ``max_pixels``.
    """
    with opened(path, max_pixels) as image, decoding(path):
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
    """Height and width that :func:`read_rgb` would return, from the header where the format allows it.

    Raises:
        ItemError: as :func:`read_rgb`, except for damage that only decoding shows.
    """
    with opened(path, max_pixels) as image, decoding(path):
        width, height = image.size
        turned = not isinstance(image, TiffImageFile) and _orientation(image) >= 5
    return (width, height) if turned else (height, width)


def read_orientation(path: Path | Content, max_pixels: int = MAX_PIXELS) -> int:
    """Read how the stored photograph is turned upright: EXIF's orientation 1..8, 1 where there is none.

    Raises:
        ItemError: as :func:`read_size`.
    """
    with opened(path, max_pixels) as image, decoding(path):
        return _orientation(image)


def read_mask(path: Path | Content, shape: tuple[int, int] | None = None) -> UInt8[np.ndarray, "h w"]:
    """Read a mask: a PNG, indexed (any palette) or 8-bit greyscale, whose stored numbers are class ids.

    ``shape`` is the height and width that it must have.

    Raises:
        ItemError: it is missing, damaged, of another kind (colour, 16 bits, alpha) or of another size.
    """
    with opened_mask(path, shape) as image, decoding(path):
        depth, colour = png_kind(path)
        if colour != 3 and (depth, colour) != (8, 0):
            kind = {0: "greyscale", 2: "RGB", 4: "greyscale with alpha", 6: "RGB with alpha"}.get(colour, "unknown")
            raise ItemError(f"{path}: expected a mask of class ids, got a {depth}-bit {kind} PNG; {CONVERT}")
        labels: UInt8[np.ndarray, "h w"] = np.array(image, dtype=np.uint8)
    return labels


def write_mask(path: Path, labels: UInt8[np.ndarray, "h w"], palette: UInt8[np.ndarray, "256 3"] | None = None) -> None:
    """Write class ids as an indexed PNG, atomically; the same labels give the same bytes (with the same zlib).

    ``palette`` holds the RGB colour of each id, by default those of PASCAL VOC. Parent folders are made.

    Raises:
        ShapeError: the labels are not (h, w) of uint8, or empty.
        OutputError: the folder or the disk refuses.
    """
    if labels.dtype != np.uint8 or labels.ndim != 2 or labels.size == 0:
        raise ShapeError(f"expected labels (h, w) of uint8 with h, w >= 1, got {labels.shape} of {labels.dtype}")
    image = Image.fromarray(labels, mode="L")
    image.putpalette((voc_palette() if palette is None else palette).tobytes())  # makes it mode P
    write_atomic(path, lambda file: image.save(file, format="PNG", compress_level=PNG_LEVEL))


CONVERT = (
    "save it as an indexed (mode P) or 8-bit greyscale (mode L) PNG whose pixel values are class ids 0..254, 255 = void"
)
"""What to do with a mask that cannot be read."""

_LOSSY = ("JPEG", "WEBP")


@contextmanager
def opened_mask(path: Path | Content, shape: tuple[int, int] | None) -> Iterator[PngImageFile]:
    """A mask with its header parsed; ``ItemError`` if it is no PNG, or not of ``shape``, before anything is decoded."""
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


@contextmanager
def opened(path: Path | Content, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """The image with its header parsed; ``ItemError`` for whatever keeps it from being one of ours."""
    try:
        file = _binary(path)
    except FileNotFoundError as error:
        raise ItemError(f"{path}: expected an image file, found none; check the name") from error
    except IrregularFileError as error:
        if error.errno == errno.EFBIG:
            raise ItemError(f"{path}: {error.strerror}; make it smaller") from error
        kind = "folder" if isinstance(path, Path) and path.is_dir() else "special file"
        raise ItemError(f"{path}: expected an image file, got a {kind}; name the file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ItemError(f"{path}: cannot be opened: {reason}; check the name and the permissions") from error
    with file:
        with decoding(path):
            image = _identify(path, file)
        width, height = image.size
        if width * height > max_pixels:
            raise ItemError(
                f"{path}: {width}x{height} is {width * height / 1e6:.0f} megapixels, over the limit of "
                f"{max_pixels / 1e6:.0f}; make it smaller or raise the limit"
            )
        with decoding(path):
            _refuse_parts(image, file)
        yield image


def _binary(path: Path | Content) -> "_Metered":
    raw = io.BytesIO(path.data) if isinstance(path, Content) else open_regular(path, MAX_BYTES).detach()
    return _Metered(raw)


class _Metered(io.BufferedReader):
    """An image file of which only as much is read as its picture can need, whatever its header says.

    Pillow reads a WebP as a whole, and every chunk before the picture, each of any size: a sparse file of gigabytes
    has no more than some bytes on the disk.
    """

    def __init__(self, raw: Any) -> None:
        super().__init__(raw)
        self.left = MAX_HEADER
        """Bytes that may still be read."""

    def read(self, size: int | None = -1) -> bytes:
        """At most ``size`` bytes; ValueError if that would be more than the picture can need."""
        wanted = self.left + 1 if size is None or size < 0 else min(size, self.left + 1)
        content = super().read(wanted)
        self.left -= len(content)
        if self.left < 0:
            raise ValueError("the file is far larger than its picture can be")
        return content


def _refuse_parts(image: ImageFile.ImageFile, file: _Metered) -> None:
    """Refuse parts that are larger than the picture; what is left of the file may then be read."""
    width, height = image.size
    most = MAX_HEADER + _MOST_BYTES * width * height
    if isinstance(image, TiffImageFile):  # libtiff reads by itself: it is given the file, and not our reader
        tags = image.tag_v2
        sizes = [_largest(tags.get(tag, 0)) for tag in (_STRIP_BYTES, _TILE_BYTES)]
        tile = _largest(tags.get(_TILE_WIDTH, 0)) * _largest(tags.get(_TILE_LENGTH, 0))
        if max(sizes) > most or tile > _TILES * (width * height + _TILES * 65536):
            raise ValueError("its strips or tiles are far larger than its picture")
    file.left = most


def _largest(value: Any) -> int:
    numbers = value if isinstance(value, tuple | list) else (value,)
    return max((int(one) for one in numbers), default=0)


def _identify(path: Path | Content, file: _Metered) -> ImageFile.ImageFile:
    head = file.read(32)
    if not head:
        raise ItemError(f"{path}: expected an image, got an empty file; copy it again")
    file.seek(0)
    for pattern, opener in _FORMATS:
        if pattern.match(head):
            if opener is WebPImageFile:  # which is read as a whole before its size is known
                file.left = MAX_HEADER + _MOST_BYTES * min(_webp_pixels(head), MAX_PIXELS)
            elif opener is GifImageFile:
                file.left = _GIF_HEADER
            return opener(file)
    raise ItemError(f"{path}: expected PNG, JPEG, WebP, BMP, TIFF or GIF, got something else; convert it or remove it")


def _webp_pixels(head: bytes) -> int:
    """Width times height as the header of a WebP says it; 0 where it says nothing."""
    kind = head[12:16]
    if kind == b"VP8X":
        return (int.from_bytes(head[24:27], "little") + 1) * (int.from_bytes(head[27:30], "little") + 1)
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        return (int.from_bytes(head[26:28], "little") & 0x3FFF) * (int.from_bytes(head[28:30], "little") & 0x3FFF)
    return 0


@contextmanager
def decoding(path: Path | Content) -> Iterator[None]:
    """Make one clear error of what Pillow throws."""
    try:
        yield
    except ItemError:
        raise
    except (UnidentifiedImageError, SyntaxError) as error:
        raise ItemError(f"{path}: the image is damaged ({_one_line(error)}); copy or save it again") from error
    except MemoryError as error:
        raise ItemError(f"{path}: not enough memory to decode the image; make it smaller") from error
    except Exception as error:
        # Damaged headers make decoders fail with nearly any exception: OSError, KeyError, struct.error...
        raise ItemError(
            f"{path}: cannot decode the image ({_one_line(error)}); copy it again, or save it as PNG"
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(top + rows, height)))


def _value_range(image: Image.Image) -> tuple[float, float]:
    """The values shown as black and as white, for images of more than 8 bits."""
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


def png_kind(path: Path | Content) -> tuple[int, int]:
    """Bit depth and colour type, as stored in the header: Pillow stretches ids of 2 and 4 bits in greyscale."""
    with _binary(path) as file:
        header = file.read(26)
    return header[24], header[25]
