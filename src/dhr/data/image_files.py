"""Open image files from outside, with limits on the bytes that are read.

Pillow is used through its format classes, not through ``Image.open``, whose check against decompression bombs is a
global of the whole process; here it is an argument. Only the formats of :data:`_FORMATS` are read.
"""

import errno
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ImageFile, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dhr.errors import ItemError
from dhr.files import IrregularFileError, digest_regular, open_regular
from dhr.words import one_line

MAX_PIXELS = 250_000_000
"""Photographs with more pixels are refused before they are decoded."""

MAX_BYTES = 8_000_000_000
"""Larger image files are refused before they are opened."""

MAX_HEADER = 64_000_000
"""Bytes of an image file that may be read besides its pixels: profiles, texts, previews."""

MAX_CONTENT = 500_000_000
"""Largest image that is kept in another file, which is held in memory: bytes."""


@dataclass(frozen=True)
class Content:
    """An image file that is kept in another file: its name for messages, and its bytes."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


def suffix_of(content: Content) -> str:
    """Return the suffix of files with such content; raises ItemError if it is no image that is read."""
    found = next((_SUFFIXES[opener] for pattern, opener in _FORMATS if pattern.match(content.data[:32])), None)
    if found is None:
        raise ItemError(f"{content}: expected PNG, JPEG, WebP, BMP, TIFF or GIF, got something else; convert it")
    return found


def digest_image(path: Path) -> str:
    """Return the SHA-256 of an image file, in hex.

    Raises ItemError if it cannot be read, or is too large for an image.
    """
    try:
        return digest_regular(path, MAX_BYTES)
    except OSError as error:
        raise ItemError(f"{path}: cannot be read: {error.strerror or error}; check the file") from error


_FORMATS: tuple[tuple[re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
    (re.compile(rb"BM"), BmpImageFile),
)
_SUFFIXES = {PngImageFile: ".png", JpegImageFile: ".jpg", GifImageFile: ".gif", WebPImageFile: ".webp",
             TiffImageFile: ".tif", BmpImageFile: ".bmp"}  # fmt: skip
_GIF_HEADER = 1_000_000  # bytes; Pillow joins comments one by one, which takes their square of time
_MOST_BYTES = 16  # a pixel: four channels of 32 bits
_STRIP_BYTES, _TILE_BYTES, _TILE_WIDTH, _TILE_LENGTH = 279, 325, 322, 323  # TIFF tags
_TILES = 16  # times that tiles may be larger than the picture, which need not fill them


@contextmanager
def opened(path: Path | Content, max_pixels: int) -> Iterator[ImageFile.ImageFile]:
    """Open an image and parse its header; raise ItemError if it cannot be read."""
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
    """An image file with a limit on the bytes that are read; the limit depends on the size of its picture.

    Pillow reads a WebP as a whole, and every chunk before the picture, each of any size. A sparse file of gigabytes
    takes only some bytes on disk.
    """

    def __init__(self, raw: Any) -> None:
        super().__init__(raw)
        self.left = MAX_HEADER
        """Bytes that may still be read."""

    def read(self, size: int | None = -1) -> bytes:
        """Read at most ``size`` bytes; raise ValueError if that would be more than the picture can need."""
        wanted = self.left + 1 if size is None or size < 0 else min(size, self.left + 1)
        content = super().read(wanted)
        self.left -= len(content)
        if self.left < 0:
            raise ValueError("the file is far larger than its picture can be")
        return content


def _refuse_parts(image: ImageFile.ImageFile, file: _Metered) -> None:
    """Refuse parts that are larger than the picture; the rest of the file may then be read."""
    width, height = image.size
    most = MAX_HEADER + _MOST_BYTES * width * height
    if isinstance(image, TiffImageFile):  # libtiff reads the file itself, without our reader
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
    """Return width times height from the header of a WebP; 0 if they are not in it."""
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
    """Turn Pillow's many exceptions into one clear error."""
    try:
        yield
    except ItemError:
        raise
    except (UnidentifiedImageError, SyntaxError) as error:
        raise ItemError(f"{path}: the image is damaged ({one_line(error)}); copy or save it again") from error
    except MemoryError as error:
        raise ItemError(f"{path}: not enough memory to decode the image; make it smaller") from error
    except Exception as error:
        # Damaged headers make decoders fail with nearly any exception: OSError, KeyError, struct.error...
        raise ItemError(
            f"{path}: cannot decode the image ({one_line(error)}); copy it again, or save it as PNG"
        ) from error


def png_kind(path: Path | Content) -> tuple[int, int]:
    """Return bit depth and colour type from the header: Pillow stretches greyscale ids of 2 and 4 bits."""
    with _binary(path) as file:
        header = file.read(26)
    return header[24], header[25]
