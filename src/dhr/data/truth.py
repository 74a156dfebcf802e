"""Truth masks: from the numbers or colours that a data set stores to class ids."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int16, Int64, UInt8

from dhr.data.images import Content, decoding, opened_mask, png_kind, read_mask
from dhr.data.palette import class_palette, palette
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ItemError

_REMEDY = "save it as an indexed or 8-bit greyscale PNG whose pixel values are the class ids"


@runtime_checkable
class Truth(Protocol):
    """Where the truth mask of one photograph comes from."""

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`, of the height and width ``shape``.

        Raises:
            ItemError: it cannot be read, or is of another size.
        """
        ...


@dataclass(frozen=True)
class NoTruth:
    """Why a photograph has no ground truth, though its annotations hold some of it."""

    reason: str

    def read(self, shape: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
        """There is none, so this raises ItemError."""
        raise ItemError(f"{self.reason}; draw it, or score without this photograph")


@dataclass(frozen=True)
class Storage:
    """How the masks of a data set store its classes."""

    classes: ClassTable
    stored: tuple[int, ...]
    """Number of each class."""
    void: tuple[int, ...] = (VOID,)
    """Numbers of pixels that carry no class."""
    own_palette: bool = False
    """Whether the colours of its masks are known, so that they can overrule the numbers of an indexed PNG."""

    @cached_property
    def ids(self) -> Int16[np.ndarray, "256"]:
        """Class id of each number; -1 where it has no meaning."""
        ids = np.full(256, -1, np.int16)
        ids[list(self.void)] = VOID
        ids[list(self.stored)] = np.arange(len(self.stored))
        return ids

    @cached_property
    def colours(self) -> dict[int, int]:
        """Class id of each colour (0xRRGGBB); -1 where two classes share it."""
        found: dict[int, int] = {}
        for index, code in enumerate(_codes(class_palette(self.classes)[: len(self.classes.names)])):
            found[int(code)] = -1 if int(code) in found else index
        for code in (0x000000, int(_codes(palette()[VOID:])[0])):  # black only where it is no class
            found.setdefault(code, VOID)
        return found

    def __getstate__(self) -> dict[str, object]:  # the tables are made anew where they are needed
        return {"classes": self.classes, "stored": self.stored, "void": self.void, "own_palette": self.own_palette}


def plain(classes: ClassTable) -> Storage:
    """Masks that store class ids, and 255 for void."""
    return Storage(classes, tuple(range(len(classes.names))))


@dataclass(frozen=True)
class MaskFile:
    """A mask in a PNG file: stored numbers, or the colours of the data set's palette.

    Numbers count, whatever their colours, with one exception: where the data set has a palette, and all colours of an
    indexed PNG are in it, but for other classes than the numbers say, a program has sorted the colours anew, and they
    count.
    """

    path: Path | Content
    storage: Storage
    note: str = field(default="classes.txt")
    """Where the class ids stand, for messages."""

    def read(self, shape: tuple[int, int] | None) -> UInt8[np.ndarray, "h w"]:
        """Class ids and :data:`~dhr.data.samples.VOID`.

        Raises:
            ItemError: it cannot be read, is not of ``shape``, or holds numbers or colours of no class.
        """
        with opened_mask(self.path, shape) as image, decoding(self.path):
            if png_kind(self.path) == (8, 2):
                return self._of_colours(_codes(np.asarray(image.convert("RGB"))))
            colours = image.getpalette("RGB") if image.mode == "P" else None
        labels = read_mask(self.path, shape)
        pixels = np.bincount(labels.ravel(), minlength=256)
        if colours is not None and self.storage.own_palette:
            sorted_anew = self._sorted_anew(np.asarray(colours, np.uint8).reshape(-1, 3), pixels)
            if sorted_anew is not None:
                mended: UInt8[np.ndarray, "h w"] = sorted_anew[labels]
                return mended
        unknown = np.flatnonzero((pixels > 0) & (self.storage.ids < 0))
        if unknown.size:
            raise ItemError(
                f"{self.path}: expected {self._expected()}, got {unknown[0]} in {pixels[unknown[0]]} pixels; "
                f"correct the mask or {self.note}"
            )
        known: UInt8[np.ndarray, "h w"] = self.storage.ids.astype(np.uint8)[labels]
        return known

    def _sorted_anew(
        self, colours: UInt8[np.ndarray, "n 3"], pixels: Int64[np.ndarray, "256"]
    ) -> UInt8[np.ndarray, "256"] | None:
        used = np.flatnonzero(pixels)
        if used[-1] >= len(colours) or (colours == np.arange(len(colours))[:, None]).all():  # a ramp of greys
            return None
        by_colour = np.array([self.storage.colours.get(int(code), -1) for code in _codes(colours[used])])
        if (by_colour < 0).any() or (by_colour == self.storage.ids[used]).all():
            return None
        ids = np.full(256, VOID, np.uint8)
        ids[used] = by_colour
        return ids

    def _of_colours(self, codes: Int64[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
        found, where = np.unique(codes, return_inverse=True)
        ids = np.array([self.storage.colours.get(int(code), -1) for code in found])
        if (ids < 0).any():
            code = int(found[int(np.argmin(ids))])
            count = int((codes == code).sum())
            what = "of two classes" if code in self.storage.colours else "of no class"
            raise ItemError(
                f"{self.path}: expected class ids, or the colours of the data set's palette; got the colour "
                f"({code >> 16}, {code >> 8 & 255}, {code & 255}) {what} in {count} pixels; {_REMEDY}"
            )
        labels: UInt8[np.ndarray, "h w"] = ids.astype(np.uint8)[where.reshape(codes.shape)]
        return labels

    def _expected(self) -> str:
        low, high = min(self.storage.stored), max(self.storage.stored)
        void = " or ".join(str(number) for number in self.storage.void)
        return f"class ids {low}..{high} ({self.note}) and {void} for void"


def _codes(rgb: UInt8[np.ndarray, "*size 3"]) -> Int64[np.ndarray, "*size"]:
    wide = rgb.astype(np.int64)
    codes: Int64[np.ndarray, "*size"] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes
