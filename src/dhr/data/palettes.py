"""Decide whether indexed masks are read by number or by colour, if the two differ.

A program that sorts or reduces a palette leaves the colours right and the numbers wrong. If the masks of a folder have
a palette of their own, in which the classes' colours stand for other classes, the numbers are right. A single mask
looks the same in both cases; the tags of a few photographs, or else their palettes, tell the cases apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from dhr.data.image_files import Content, decoding, png_kind
from dhr.data.images import opened_mask
from dhr.data.labels import Storage, palette_codes, table_of_colours
from dhr.data.palette import palette
from dhr.data.samples import VOID
from dhr.errors import ItemError
from dhr.files import open_regular

MOST = 24
"""Masks of a folder that are looked at."""
_SEVERAL = 3  # masks with the same palette that make it the folder's own

Evidence = tuple[Path | Content, frozenset[int] | None]
"""A mask, and the classes with which its photograph is tagged, numbered as in the mask; None if that is unknown."""


@dataclass(frozen=True)
class Reading:
    """The way to read masks of a folder whose numbers and colours stand for different classes."""

    colours: bool
    """Whether colours count."""
    conflicts: int
    """Masks, of those looked at, in which the two differ."""
    by_tags: bool
    """Whether the tags decided it."""

    def note(self, folder: Path) -> str | None:
        """Return a note for the user."""
        if not self.conflicts or (self.by_tags and not self.colours):
            return None
        if self.colours:
            return f"{folder}: masks whose palette a program has sorted or reduced are read by their colours"
        return (
            f"{folder}: the colours of its masks stand for other classes than their pixel values, in all masks alike; "
            "the pixel values count. If a program has sorted the palette, save the masks as RGB"
        )


def reading(evidence: Sequence[Evidence], storage: Storage) -> Reading:
    """Decide whether colours overrule numbers in the masks of a folder.

    The reading that fits the tags better counts. If both fit equally, one palette in all masks is the folder's own, and
    numbers count.
    """
    by_number = by_colour = conflicts = 0
    palettes = set[bytes]()
    for path, tags in evidence[:MOST]:
        found = _two_readings(path, storage)
        if found is None:
            continue
        conflicts += 1
        palettes.add(found[2])
        if tags is not None:
            by_number += _fit(found[0], tags, storage)
            by_colour += _fit(found[1], tags, storage)
    if by_number != by_colour:
        return Reading(by_colour > by_number, conflicts, by_tags=True)
    return Reading(not (conflicts >= _SEVERAL and len(palettes) == 1), conflicts, by_tags=False)


def _fit(found: frozenset[int], tags: frozenset[int], storage: Storage) -> int:
    """Count tagged classes that a mask shows, less others."""
    shown = found & frozenset(storage.classes.foreground)
    return len(shown & tags) - len(found - tags - {VOID, *range(storage.classes.foreground.start)})


def _two_readings(path: Path | Content, storage: Storage) -> tuple[frozenset[int], frozenset[int], bytes] | None:
    """Return the classes of a mask by number and by colour, and its palette; None if they are equal, or it has no
    palette.
    """
    try:
        with opened_mask(path, None) as image, decoding(path):
            if png_kind(path)[1] != 3:
                return None
            pixels, codes = np.bincount(np.asarray(image).ravel(), minlength=256), palette_codes(image)
    except ItemError:
        return None  # it is named when it is read
    used = np.flatnonzero(pixels)
    numbers = frozenset(storage.ids[used].tolist())
    try:
        table = table_of_colours(path, codes, pixels, storage)
    except ItemError:
        return numbers, frozenset({-1}), codes.tobytes()
    return None if table is None else (numbers, frozenset(table[used].tolist()), codes.tobytes())


def looks_like_voc(masks: Sequence[Path], most: int = 10) -> bool:
    """Tell whether the first readable masks are indexed PNGs in VOC's palette, with ids 0..20 and 255 only."""
    colours, seen = palette(21).tobytes(), 0
    for path in masks[:most]:
        try:
            with open_regular(path) as file, PngImageFile(file) as image:
                if image.mode != "P" or bytes(image.getpalette("RGB") or ())[: len(colours)] != colours:
                    return False
                used = [label for label, count in enumerate(image.histogram()) if count]
        except Exception:  # noqa: S112 - damaged: nearly any exception; it is named when it is read
            continue
        if not all(label <= 20 or label == 255 for label in used):
            return False
        seen += 1
    return seen > 0
