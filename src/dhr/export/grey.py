"""Masks as greyscale images of numbers, for programs in which 0 is nothing: they show 0 as empty, and erase to 0."""

import io
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dhr.data.background import BACKGROUND
from dhr.data.images import PNG_CODING
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ConfigError


def with_nothing(classes: ClassTable) -> ClassTable:
    """Return the class table of masks in which 0 is nothing: a background comes first, even where there is none.

    Raises:
        ConfigError: there are too many classes.

    >>> with_nothing(ClassTable(("sky", "sea"), background=False)).names
    ('background', 'sky', 'sea')
    """
    if classes.background:
        return classes
    if len(classes.names) >= VOID:
        raise ConfigError(
            f"this format holds {VOID - 1} classes without a background, got {len(classes.names)}; merge some"
        )
    return replace(classes, names=(BACKGROUND, *classes.names), background=True, supers=None, colours=None)


def numbers(labels: UInt8[np.ndarray, "h w"], classes: ClassTable) -> UInt8[np.ndarray, "h w"]:
    """Return the ids of :func:`with_nothing`; void stays void."""
    return labels if classes.background else np.where(labels == VOID, VOID, labels + np.uint8(1)).astype(np.uint8)


def grey_png(labels: UInt8[np.ndarray, "h w"]) -> bytes:
    """Return an 8-bit greyscale PNG; OpenCV and others read an indexed one as colours."""
    return _bytes(labels, "PNG", **PNG_CODING)


def grey_tiff(labels: UInt8[np.ndarray, "h w"]) -> bytes:
    """Return an 8-bit greyscale TIFF."""
    return _bytes(labels, "TIFF", compression="tiff_adobe_deflate")


def _bytes(labels: UInt8[np.ndarray, "h w"], kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(labels).save(file, format=kind, **options)
    return file.getvalue()
