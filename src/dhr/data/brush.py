"""Decode Label Studio's brush strokes: run lengths of bits, and pictures as text."""

import base64
import binascii
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from dhr.data.image_files import MAX_PIXELS, Content, decoding, opened
from dhr.data.outlines import Bitmap, Patch, Runs, Size

_CHANNELS = 4  # red, green, blue and alpha of each pixel, in turn; alpha alone counts
_PREFIX = "data:image/png;base64,"
_HEADER = 44  # characters of base64 in which the header of a PNG is whole


@dataclass(frozen=True)
class Strokes:
    """A brushed region in Label Studio's run lengths.

    The code holds the bytes of a picture, four channels per pixel, row by row. Its bits: 32 for the number of values, 5
    for the bits of a value less one, four times 4 for the bits of a length less one. Then runs: 1 bit (1: one value
    repeated; 0: as many values), 2 bits that choose one of the four, the length less one, and the values.
    """

    code: bytes
    place: str
    """Its place in the file, for messages."""

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint the pixels that are not transparent; see :meth:`~dhr.data.painted.Outline.patch`."""
        return Runs(alpha_runs(self.code, drawn), 0, 0, drawn, by_column=False).patch(drawn, canvas)


def alpha_runs(code: bytes, size: Size) -> Int64[np.ndarray, " n"]:
    """Decode run lengths to those of transparent and other pixels in turn.

    Work and memory grow with the code, not with the size that it claims. Raises ValueError if the code is damaged, or
    is of a picture of another size.
    """
    height, width = size
    bits = _Bits(code)
    total = bits.read(32)
    if total != _CHANNELS * height * width or height * width > MAX_PIXELS:
        raise ValueError(f"its run lengths hold {total // _CHANNELS} pixels, not {width}x{height}")
    word = bits.read(5) + 1
    lengths = [bits.read(4) + 1 for _ in range(4)]
    ends: list[int] = []  # of runs of pixels with one state, in pixels
    states: list[bool] = []
    at = 0
    while at < total:
        repeated = bits.read(1)
        end = at + 1 + bits.read(lengths[bits.read(2)])
        if end > total:
            raise ValueError("its run lengths are damaged: they leave the picture")
        if repeated:
            if end // _CHANNELS > at // _CHANNELS:  # the alpha of one pixel or more
                ends.append(end // _CHANNELS)
                states.append(bits.read(word) > 0)
            else:
                bits.skip(word)
        else:
            values = bits.words(end - at, word)
            alpha = values[(_CHANNELS - 1 - at) % _CHANNELS :: _CHANNELS]
            ends += range(at // _CHANNELS + 1, at // _CHANNELS + 1 + len(alpha))
            states += (alpha > 0).tolist()
        at = end
    return _joined(np.array(ends, np.int64), np.array(states, bool))


def _joined(ends: Int64[np.ndarray, " n"], states: np.ndarray) -> Int64[np.ndarray, " m"]:
    """Return run lengths that begin with transparent pixels (perhaps 0 of them)."""
    if not len(ends):
        return np.zeros(1, np.int64)
    last = np.append(states[1:] != states[:-1], True)
    lengths = np.diff(ends[last], prepend=0)
    return np.concatenate([[0], lengths]) if states[0] else lengths


class _Bits:
    """Reads numbers bit by bit, the highest bit first."""

    def __init__(self, code: bytes) -> None:
        self._code, self._at, self._end = code, 0, 8 * len(code)

    def read(self, count: int) -> int:
        """Return the next number of at most 32 bits."""
        start = self._at
        self.skip(count)
        window = int.from_bytes(self._code[start >> 3 : (self._at + 7) >> 3], "big")
        return window >> (-self._at & 7) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        """Skip bits."""
        self._at += count
        if self._at > self._end:
            raise ValueError("its run lengths are damaged: they end in the middle")

    def words(self, count: int, size: int) -> Int64[np.ndarray, " count"]:
        """Return the next numbers, all of ``size`` bits."""
        start = self._at
        self.skip(count * size)
        coded = np.frombuffer(self._code, np.uint8)[start >> 3 : (self._at + 7) >> 3]
        bits = np.unpackbits(coded)[start & 7 :][: count * size].reshape(count, size)  # (count, size)
        values: Int64[np.ndarray, " count"] = bits.astype(np.int64) @ (1 << np.arange(size - 1, -1, -1, dtype=np.int64))
        return values


@dataclass(frozen=True)
class PictureText:
    """A region as a PNG in a text (``data:image/png;base64,...``): its pixels are those that are not transparent."""

    text: str
    """The code without its prefix."""
    place: str
    """Its place in the file, for messages."""

    def patch(self, drawn: Size, canvas: Size) -> Patch:
        """Paint the pixels that are not transparent; see :meth:`~dhr.data.painted.Outline.patch`."""
        try:
            content = Content(self.place, base64.b64decode(self.text, validate=True))
        except binascii.Error as error:
            raise ValueError("its picture is damaged") from error
        with opened(content, drawn[0] * drawn[1]) as image, decoding(content):
            if (image.height, image.width) != drawn:
                raise ValueError(f"its picture has {image.width}x{image.height} pixels, not {drawn[1]}x{drawn[0]}")
            if not image.has_transparency_data:
                raise ValueError("its picture has no transparent pixels, which all but the region must be")
            alpha: UInt8[np.ndarray, "h w"] = np.asarray(image.convert("RGBA").getchannel("A"))
        return Bitmap(alpha > 0).patch(drawn, canvas)


def picture_text(text: object, place: str) -> PictureText:
    """Check a picture in a text as far as its header; raises ValueError if it is something else, or damaged."""
    if not isinstance(text, str) or not text.startswith(_PREFIX):
        raise ValueError(f"expected a picture as text, {_PREFIX}...")
    code = text[len(_PREFIX) :]
    if not base64.b64decode(code[:_HEADER]).startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"):
        raise ValueError("its picture is not a PNG, or is cut off")
    return PictureText(code, place)
