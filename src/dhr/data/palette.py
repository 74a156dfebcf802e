"""The colours in which masks are stored."""

import numpy as np
from jaxtyping import UInt8

from dhr.data.samples import VOID, ClassTable


def palette(n: int = 256) -> UInt8[np.ndarray, "n 3"]:
    """The first ``n`` colours of the PASCAL VOC colour map: RGB, 0..255, a new array at each call.

    The bits of a class id are dealt out to red, green and blue in turn, the lowest to the highest bit, so that
    neighbouring ids get unlike colours. Entry 0 is black; entry 255 (void) is light: (224, 224, 192).

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


def class_palette(classes: ClassTable) -> UInt8[np.ndarray, "256 3"]:
    """The colours in which masks of these classes are stored: the data set's own, else those of PASCAL VOC.

    >>> class_palette(ClassTable(("wall", "sky"), False, colours=((120, 120, 120), (6, 230, 230))))[1].tolist()
    [6, 230, 230]
    """
    colours = palette()
    if classes.colours is not None:
        colours[:VOID] = 0  # none of the others may pass for a class
        colours[: len(classes.colours)] = classes.colours
    return colours
