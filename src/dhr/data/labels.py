"""Read masks as people and programs store them: numbers, or the colours of the classes.

Numbers count. Colours count if they are more reliable: in RGB, and in indexed PNGs whose palette a program sorted or
reduced, so that the numbers are no longer class ids. Ambiguous masks are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int16, Int64, UInt8, UInt32
from PIL.PngImagePlugin import PngImageFile

from dhr.data.image_files import Content, decoding, png_kind
from dhr.data.images import CONVERT, opened_mask
from dhr.data.palette import class_palettes
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ItemError

_STRIP = 4_000_000  # pixels whose colours are looked up at once
_BLACK = 0
_SAVE = "save it as an indexed or 8-bit greyscale PNG whose pixel values are the class ids"


@dataclass(frozen=True)
class Storage:
    """The way in which the masks of a data set store its classes."""

    classes: ClassTable
    stored: tuple[int, ...]
    """Number of each class."""
    void: tuple[int, ...] = (VOID,)
    """Numbers of pixels that carry no class."""
    own_palette: bool = False
    """Whether the colours of its masks are known, so that they can overrule the numbers of an indexed PNG."""

    @cached_property
    def ids(self) -> Int16[np.ndarray, "256"]:
        """Return the class id of each number; -1 for a number without meaning."""
        ids = np.full(256, -1, np.int16)
        ids[list(self.void)] = VOID
        ids[list(self.stored)] = np.arange(len(self.stored))
        return ids

    @cached_property
    def palettes(self) -> "tuple[Palette, ...]":
        """The palettes in which its masks may come."""
        return tuple(_palette(codes, len(self.classes.names)) for codes in map(_codes, class_palettes(self.classes)))

    def palette_of(self, codes: Int64[np.ndarray, " n"]) -> "Palette":
        """Return the palette that has most of these colours (0xRRGGBB), black aside; the first of equals."""
        return max(self.palettes, key=lambda one: int(np.isin(codes[codes != _BLACK], one.codes).sum()))

    def __getstate__(self) -> dict[str, object]:  # the tables are made again where they are needed
        return {"classes": self.classes, "stored": self.stored, "void": self.void, "own_palette": self.own_palette}


@dataclass(frozen=True)
class Palette:
    """The colours of masks, as 0xRRGGBB."""

    codes: Int64[np.ndarray, "256"]
    """Colour of each class id, and the rest of the palette from which they are taken."""
    ids: dict[int, int]
    """Class id of each colour; -1 where two classes share it."""


def _palette(codes: UInt32[np.ndarray, "256"], classes: int) -> Palette:
    ids: dict[int, int] = {}
    for index, code in enumerate(codes[:classes].tolist()):
        ids[code] = -1 if code in ids else index
    for code in (_BLACK, int(codes[VOID])):  # black only where it is no class
        ids.setdefault(code, VOID)
    return Palette(codes.astype(np.int64), ids)


def plain(classes: ClassTable) -> Storage:
    """Describe masks that store class ids, and 255 for void."""
    return Storage(classes, tuple(range(len(classes.names))))


def read_labels(
    path: Path | Content, storage: Storage, shape: tuple[int, int] | None = None, note: str = "classes.txt"
) -> UInt8[np.ndarray, "h w"]:
    """Read a mask in PNG as class ids and :data:`~dhr.data.samples.VOID`.

    ===================================  ==========================================================================
    indexed, any depth                   by number; by colour where the palette was sorted or reduced
    greyscale, 8 bits                    by number
    greyscale, 16 bits                   by number: stored as it is, or scaled to 0..65535
    greyscale with alpha, RGB, RGBA      by colour; grey pixels whose levels are class ids, by level
    greyscale of 1, 2, 4 bits; 16-bit    refused
    colour; pixels that are transparent
    ===================================  ==========================================================================

    ``shape`` is the height and width that it must have; ``note`` is the place that explains the class ids, for
    messages. Raises ItemError if the mask is missing, damaged, not a PNG, of another size, has numbers or colours of no
    class, or has numbers and colours that stand for different classes and can both be meant.
    """
    with opened_mask(path, shape) as image, decoding(path):
        depth, colour = png_kind(path)
        if colour == 3:
            return _of_indices(path, image, storage, note)
        if colour == 0 and depth == 8:
            labels: UInt8[np.ndarray, "h w"] = np.array(image, dtype=np.uint8)
            return _by_number(path, labels, np.array(image.histogram()), storage, note)
        if colour == 0 and depth == 16:
            labels = _of_16_bits(path, np.asarray(image))
            return _by_number(path, labels, np.bincount(labels.ravel(), minlength=256), storage, note)
        if depth == 8:
            return _of_colours(path, image, storage)
        kind = {0: "greyscale", 2: "RGB", 4: "greyscale with alpha", 6: "RGB with alpha"}.get(colour, "unknown")
        raise ItemError(f"{path}: expected a mask of class ids, got a {depth}-bit {kind} PNG; {CONVERT}")


def _by_number(
    path: Path | Content,
    labels: UInt8[np.ndarray, "h w"],
    pixels: Int64[np.ndarray, "256"],
    storage: Storage,
    note: str,
) -> UInt8[np.ndarray, "h w"]:
    unknown = np.flatnonzero((pixels > 0) & (storage.ids < 0))
    if unknown.size:
        low, high = min(storage.stored), max(storage.stored)
        void = " or ".join(str(number) for number in storage.void)
        raise ItemError(
            f"{path}: expected class ids {low}..{high} ({note}) and {void} for void, got {unknown[0]} in "
            f"{pixels[unknown[0]]} pixels; correct the mask or {note}"
        )
    if (storage.ids[: len(storage.stored)] == np.arange(len(storage.stored))).all() and storage.void == (VOID,):
        return labels
    found: UInt8[np.ndarray, "h w"] = storage.ids.astype(np.uint8)[labels]
    return found


def _of_16_bits(path: Path | Content, values: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """Read numbers as they are, or times 257 (programs scale 0..255 to 0..65535); no mask is both."""
    used = np.unique(values)
    if (used % 257 == 0).all():
        values = values // 257
    elif (wide := used[(used > VOID) & (used != 65535)]).size:  # void may be the largest value
        raise ItemError(f"{path}: expected a mask of class ids, got the 16-bit value {wide[0]}; {CONVERT}")
    labels: UInt8[np.ndarray, "h w"] = np.minimum(values, VOID).astype(np.uint8)
    return labels


def _of_indices(path: Path | Content, image: PngImageFile, storage: Storage, note: str) -> UInt8[np.ndarray, "h w"]:
    labels: UInt8[np.ndarray, "h w"] = np.array(image, dtype=np.uint8)
    pixels = np.array(image.histogram())  # faster than numpy's
    if storage.own_palette:
        table = table_of_colours(path, palette_codes(image), pixels, storage)
        if table is not None:
            _refuse_transparent(path, int(pixels[_transparent(image) & (pixels > 0)].sum()))
            by_colour: UInt8[np.ndarray, "h w"] = table[labels]
            return by_colour
    return _by_number(path, labels, pixels, storage, note)


def palette_codes(image: PngImageFile) -> Int64[np.ndarray, " n"]:
    """Return the colours of a palette, 0xRRGGBB."""
    return _codes(np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)).astype(np.int64)


def table_of_colours(
    path: Path | Content, codes: Int64[np.ndarray, " n"], pixels: Int64[np.ndarray, "256"], storage: Storage
) -> UInt8[np.ndarray, "256"] | None:
    """Return the class of each index of a palette; None if the numbers are the class ids.

    The palette must come from the classes' own: most coloured pixels, and most of its other colours, are in that.
    """
    used = np.flatnonzero(pixels)
    if used[-1] >= len(codes) or len(set(codes[used].tolist())) < len(used):
        return None  # indices without a colour, or several with the same: numbers are all there is
    colours = storage.palette_of(codes)
    by_number = storage.ids[used]
    of_number = colours.codes[np.maximum(by_number, 0)]
    if (by_number >= 0).all() and (codes[used] == of_number).all():
        return None
    coloured = codes[used] != _BLACK
    grey = (codes[used] == (codes[used] & 255) * 0x010101).all()
    if grey and not np.isin(codes[used][coloured], list(colours.ids)).any():
        return _table_of_greys(path, codes, used, storage)
    unused = np.setdiff1d(np.delete(codes, used), [_BLACK])
    if 2 * np.isin(unused, colours.codes).sum() < len(unused):
        return None
    by_colour = np.array([colours.ids.get(int(code), -1) for code in codes[used]])
    agrees = (by_number >= 0) & ((codes[used] == of_number) | ((by_number == VOID) & (by_colour < 0)))
    known = coloured & (agrees | (by_colour >= 0))
    if 2 * pixels[used][known].sum() <= pixels[used][coloured].sum():
        return None
    conflict, foreign = (by_colour >= 0) & ~agrees, (by_colour < 0) & ~agrees
    if foreign.any() and (conflict.any() or not unused.size):
        raise ItemError(_strange_colours(path, codes[used][foreign], pixels[used][foreign], colours))
    if not conflict.any():
        return None
    table = np.full(256, VOID, np.uint8)
    table[used] = np.where(agrees, by_number, by_colour)
    return table


def _table_of_greys(
    path: Path | Content, codes: Int64[np.ndarray, " n"], used: Int64[np.ndarray, " k"], storage: Storage
) -> UInt8[np.ndarray, "256"] | None:
    """Read a palette of greys: a greyscale mask that a program has indexed, or numbers with greys to look at."""
    levels = codes[used] & 255
    ramp = np.array_equal(codes & 255, np.round(np.linspace(0, 255, len(codes))).astype(np.int64))
    inverted = levels.tolist() == [255, 0]
    if ramp or (levels == used).all() or (storage.ids[levels] < 0).any():
        return None
    if not inverted and np.isin(levels, (0, 255)).all():
        return None  # black and white, to look at
    if (storage.ids[used] >= 0).all():
        raise ItemError(
            f"{path}: expected numbers and grey levels of the palette to be the same, got number {used[-1]} with level "
            f"{levels[-1]}, and both are class ids; save it as an 8-bit greyscale PNG"
        )
    table = np.full(256, VOID, np.uint8)
    table[used] = storage.ids[levels]
    return table


def _of_colours(path: Path | Content, image: PngImageFile, storage: Storage) -> UInt8[np.ndarray, "h w"]:
    """Read an image of colours, one strip at a time, so that codes need little memory."""
    found: dict[int, int] = {}  # pixels of each colour
    clear = 0
    for codes, opaque in _strips(image):
        clear += opaque.size - int(opaque.sum())
        values, counts = np.unique(codes, return_counts=True)
        for code, count in zip(values.tolist(), counts.tolist(), strict=True):
            found[code] = found.get(code, 0) + count
    _refuse_transparent(path, clear)
    colours = storage.palette_of(np.array(list(found)))
    by_colour = {code: colours.ids.get(code, -1) for code in found}
    if min(by_colour.values()) < 0:
        levels = {code: int(storage.ids[code & 255]) for code in found if code == (code & 255) * 0x010101}
        coloured = any(code in colours.ids for code in found if code != _BLACK)
        if coloured or len(levels) < len(found) or min(levels.values()) < 0:
            strange = [code for code, index in by_colour.items() if index < 0]
            pixels = np.array([found[code] for code in strange])
            raise ItemError(_strange_colours(path, np.array(strange), pixels, colours))
        by_colour = levels
    keys = np.array(sorted(by_colour), np.uint32)
    ids = np.array([by_colour[int(key)] for key in keys], np.uint8)
    return np.concatenate([ids[np.searchsorted(keys, codes)] for codes, _ in _strips(image)])


def _strips(image: PngImageFile) -> Iterator[tuple[UInt32[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]]:
    """Yield colours, and where they are opaque."""
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgba = np.asarray(strip.convert("RGBA"))
        yield _codes(rgba[..., :3]), rgba[..., 3] == 255


def _transparent(image: PngImageFile) -> Bool[np.ndarray, "256"]:
    """Tell which indices of a palette are transparent, wholly or in part."""
    found, value = np.zeros(256, bool), image.info.get("transparency")
    if isinstance(value, bytes):
        found[: len(value)] = np.frombuffer(value, np.uint8) < 255
    elif isinstance(value, int):
        found[value] = True
    return found


def _refuse_transparent(path: Path | Content, pixels: int) -> None:
    if pixels:
        raise ItemError(
            f"{path}: expected colours of classes, got {pixels} transparent pixels, which have no class; flatten the "
            "image onto the colour of the background, or of void (224, 224, 192), and save it without transparency"
        )


def _strange_colours(
    path: Path | Content, codes: Int64[np.ndarray, " k"], pixels: Int64[np.ndarray, " k"], colours: Palette
) -> str:
    """Describe colours that cannot be read; the one with the most pixels is named."""
    most = int(np.argmax(pixels))
    code = int(codes[most])
    of = "of two classes" if code in colours.ids else "of no class"
    more, remedy = "", ""
    if len(codes) > 1:
        more = f" and {len(codes) - 1} more ({int(pixels.sum())} pixels in all)"
        remedy = "paint with hard edges (no antialiasing), or "
    return (
        f"{path}: expected class ids, or the colours of the data set's palette; got the colour "
        f"({code >> 16}, {code >> 8 & 255}, {code & 255}) {of} in {int(pixels[most])} pixels{more}; {remedy}{_SAVE}"
    )


def _codes(rgb: UInt8[np.ndarray, "*size 3"]) -> UInt32[np.ndarray, "*size"]:
    wide = rgb.astype(np.uint32)
    codes: UInt32[np.ndarray, "*size"] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return codes
