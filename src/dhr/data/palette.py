"""The colours in which masks are stored."""

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import VOID, ClassTable

# tests/data/test_palette.py describes how they were made.
_DISTINCT = (
    "3fafff 6f0f8f cf7f0f 0f4f0f afff0f 3f5fff 3f3f3f bf9faf 8f6f4f 8faf7f cfdfff 0f0fef 4f5f6f 1f8faf dfcf7f "
    "af5f0f 1f6f9f 5f0f4f dfaf0f 5f5f4f af0f2f 7f8f7f ffbfcf 0faf4f cf0f8f af9fcf 9f0f5f 3f8fff 9f7f8f 3f4fcf "
    "cfbfff 7fdfcf 6fbf9f ffef8f bf6fcf 8f0f0f 7f0f3f dfefaf 9fcf9f 8f8f6f bfbfdf 7f6f5f 8f7f3f 5f4f2f 3f2f1f "
    "2f5f7f 5f0fbf bfdf4f afbf7f 5f6fbf efdfef ff3f8f 2f4f5f 6f5f3f 9f4f0f 3f3fff bfbf5f 4f0f6f df8f5f bf6f0f "
    "df5faf 7f2f9f afffdf 6f7f6f df3f5f dfafaf af8f9f 5f2f6f ef7f3f 3f4f4f 4f6f6f 1f7fef 5f6f7f cf0f3f cf7fdf "
    "6f9f8f bf8faf 4f2f2f cf9fbf 9f0fbf bfcfdf 9fffff 3f5f5f 7f9f2f df0fdf 0f0faf 7f2f4f bf3f9f 4f1f3f afafef "
    "cfafbf dfcfbf 9fdf9f 9faf6f 5f2f4f dfdfdf 7f7f5f af2f6f df9f8f 6f8f9f 7faf9f 7fff6f 9f8fbf 6f6f3f 6f2f2f "
    "6f3f1f 3f7f9f ef8f9f cfbfbf bfafdf 9f1f7f 8fffcf 6f5f8f efbf1f 3f9fff ffaf8f df6f7f 5f8f8f 2f2f4f afbfcf "
    "efdf8f 2fcfaf cf9f0f 5f3f6f 8f0f3f 8f5f4f 6f5f5f cfcfff 9f7f2f ff0f6f 1f7f5f cfcfcf 9f6f7f 3f3f1f 8f7fbf "
    "6f4f1f af4fbf af4f7f 5f5f2f 9f3f4f 3f2f5f df0faf 9f9f6f 3f4f7f bf0faf 2f1fff afafcf afdfaf ff9f4f efefef "
    "cfef4f 8f1fdf 6f0f2f df3faf 3f0f8f ffafbf 0f2fcf 7f4f6f ef6f4f cfff9f 8f2f3f cf8fdf 9f1f0f 3f2f9f bf0f2f "
    "5f2f7f 2fdf6f cfbfef 7fefdf bf4f2f cf8fbf 8fcf8f 1f9f6f df7f8f 0f8fcf 3fcf4f 1f6fdf 9fdfef 9f3f9f 5f9f9f "
    "ef3fef 5f0f7f ff3fcf cfff5f afefef bfffbf 5f1f0f cf0f5f 6f8f5f 7faf5f 6f2f8f 4f8f6f 3f8f3f df5f8f 0fff9f "
    "bfcfaf cf5fbf 9f7fdf 9fbfaf bfaf3f cfdf0f 5f2faf 0faf9f 6fbfff 9f3f0f efefff 5f1f6f df2f1f 8fbf6f 1f4f3f "
    "7f7f9f efcfdf 7fdf5f afaf8f 4f9f4f 7f9f7f 3f4fff 9f9fef ffbf6f ff0f0f 0f5f3f 2f7f2f 6f3f8f 9f8fcf ffbfef "
    "ef7f7f 8f5fcf 1f5fbf afefcf 3f4f1f af6f4f 0fafdf 5f1fdf df7faf 2f0f9f 8f7fef 0f0fcf 5f2f5f 5f7f3f 8fcfbf "
    "9f9fbf af3f8f af5f8f 4faf3f ff5f0f dfafcf 1f4f9f 1f3fcf 6f9f3f 4f7f7f 0f2faf 6fdf8f 1f4fdf afbf9f 8f4f1f"
)


def palette(n: int = 256) -> UInt8[np.ndarray, "n 3"]:
    """Return the first ``n`` colours of the PASCAL VOC colour map: RGB, 0..255, a new array at each call.

    The bits of a class id are dealt out to red, green and blue in turn, the lowest to the highest bit. Entry 0 is
    black; entry 255 (void) is light: (224, 224, 192). People who are colour-blind cannot tell many of the first 21
    apart, so only VOC's own masks are stored in them.

    >>> palette(3).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    >>> palette()[255].tolist()
    [224, 224, 192]
    """
    if not 0 <= n <= 256:
        raise ValueError(f"a palette has 0 to 256 colours, not {n}")
    ids = np.arange(n)[:, None]
    channel = np.arange(3)
    colours = np.zeros((n, 3), dtype=np.int64)
    for step in range(3):  # a channel gets bits 0, 3, 6 (red), 1, 4, 7 (green) or 2, 5 (blue) of the id
        bit = (ids >> (3 * step + channel)) & 1  # (n, 3)
        colours |= bit << (7 - step)
    return colours.astype(np.uint8)


def voc_colours(n: int) -> tuple[tuple[int, int, int], ...]:
    """Return the first ``n`` colours of :func:`palette`, as a class table holds them."""
    return tuple((int(red), int(green), int(blue)) for red, green, blue in palette(n))


def distinct_palette(background: bool) -> UInt8[np.ndarray, "256 3"]:
    """Return colours that differ for people with and without colour blindness: RGB, 0..255.

    Each colour was chosen to lie as far as possible from those before it, from black, white, grey and the colour of
    void: far for normal sight, protanopia, deuteranopia and tritanopia alike. The first colours differ most. Apart from
    black (the ``background``, class 0) and void they share no colour with :func:`palette`.

    >>> distinct_palette(True)[:2].tolist(), distinct_palette(False)[0].tolist()
    ([[0, 0, 0], [63, 175, 255]], [63, 175, 255])
    """
    distinct = np.frombuffer(bytes.fromhex(_DISTINCT), np.uint8).reshape(VOID, 3)
    colours = palette()  # entry 0 is black, and void has the same colour in all palettes
    colours[background:VOID] = distinct[: VOID - background]
    return colours


def class_palette(classes: ClassTable) -> UInt8[np.ndarray, "256 3"]:
    """Return the colours in which masks of these classes are stored: the data set's own, else distinct ones.

    >>> class_palette(ClassTable(("wall", "sky"), False, colours=((120, 120, 120), (6, 230, 230))))[1].tolist()
    [6, 230, 230]
    """
    return class_palettes(classes)[-1]


def class_palettes(classes: ClassTable) -> tuple[UInt8[np.ndarray, "256 3"], ...]:
    """Return the palettes in which masks of these classes may come, the one in which they are stored last.

    Where the data set has no colours of its own, masks of other programs are often in those of VOC.
    """
    voc = palette()
    if classes.colours is None:
        return voc, distinct_palette(classes.background)
    if np.array_equal(classes.colours, voc[: len(classes.colours)]):
        return (voc,)
    colours = np.zeros_like(voc)  # none of the others may pass for a class
    colours[: len(classes.colours)], colours[VOID] = classes.colours, voc[VOID]
    return (colours,)
