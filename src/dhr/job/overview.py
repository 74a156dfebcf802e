"""Photographs beside their masks, as one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dhr.data.images import read_mask, read_rgb
from dhr.files import write_atomic

SHOWN = 24
"""Photographs of the picture."""
_TILE = 240  # pixels of its longer sides


def write_overview(path: Path, made: Sequence[tuple[Path, Path]], colours: UInt8[np.ndarray, "256 3"]) -> None:
    """Draw the photographs ``made`` beside their masks; without any, nothing is written.

    Raises:
        OutputError: it cannot be written.
    """
    tiles = []
    for photograph, mask in made:
        rgb = Image.fromarray(read_rgb(photograph))
        labels = Image.fromarray(colours[read_mask(mask)])
        scale = _TILE / max(rgb.size)
        size = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        pair = Image.new("RGB", (2 * _TILE + 4, _TILE + 4), "white")
        pair.paste(rgb.resize(size), (0, 0))
        pair.paste(Image.blend(rgb.resize(size), labels.resize(size, Image.Resampling.NEAREST), 0.65), (size[0] + 2, 0))
        tiles.append(np.asarray(pair))
    if tiles:
        while len(tiles) % 3:
            tiles.append(np.full_like(tiles[0], 255))
        rows = [np.hstack(tiles[at : at + 3]) for at in range(0, len(tiles), 3)]
        picture = Image.fromarray(np.vstack(rows))
        write_atomic(path, lambda file: picture.save(file, "PNG"))
