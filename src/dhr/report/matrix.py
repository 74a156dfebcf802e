"""Pictures of class pairs: a square matrix with names, and lines between super-classes."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from dhr.files import write_output
from dhr.report.panels import heat_colours

_CELL, _SMALLEST_CELL = 30, 12  # pixels of a cell; the least, where there are many classes
_NAME = 24  # characters of a name
_INK, _SOFT, _BACK, _EMPTY = "#16191f", "#5b6472", "#ffffff", "#f0f2f5"
_MARGIN = 24


def draw_matrix(
    values: Float[np.ndarray, "n n"],
    names: Sequence[str],
    groups: Sequence[str] | None,
    title: str,
    note: str,
) -> Image.Image:
    """Draw cells of ``values`` 0..1, in percent; 0 and NaN are empty. Row and column i bear ``names[i]``.

    With ``groups``, lines separate the groups; their members must be neighbours.
    """
    count = len(names)
    cell = _CELL if count <= 30 else max(_SMALLEST_CELL, _CELL * 30 // count)
    font, small, large = (ImageFont.load_default(size) for size in (min(15, cell - 1), max(8, cell * 2 // 5), 20))
    short = [name if len(name) <= _NAME else name[: _NAME - 1] + "…" for name in names]
    left = _MARGIN + max(round(font.getlength(name)) for name in short) + 10
    top = _MARGIN + 64 + left - _MARGIN
    width = max(left + cell * count + _MARGIN, round(large.getlength(title)) + 2 * _MARGIN)
    image = Image.new("RGB", (max(width, 560), top + cell * count + _MARGIN), _BACK)
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, _MARGIN - 6), title, _INK, large)
    draw.text((_MARGIN, _MARGIN + 22), note, _SOFT, ImageFont.load_default(13))
    scale = float(np.nanmax(np.where(np.eye(count, dtype=bool), 0, values), initial=0.0)) or 1.0
    for i, name in enumerate(short):
        y = top + i * cell
        draw.text((left - 8, y + cell // 2), name, _INK, font, anchor="rm")
        _upright(image, name, (left + i * cell + cell // 2, top - 8), font)
        for j in range(count):
            x, value = left + j * cell, float(np.nan_to_num(values[i, j]))
            box = (x, y, x + cell - 2, y + cell - 2)
            if i == j or value <= 0:
                draw.rectangle(box, _BACK if i == j else _EMPTY)
                continue
            level = 0.08 + 0.84 * (value / scale) ** 0.5  # most pairs are rare: the root keeps them apart
            red, green, blue = (int(part) for part in heat_colours(np.array(1 - level)))
            draw.rectangle(box, (red, green, blue))
            light = 0.3 * red + 0.59 * green + 0.11 * blue
            if cell >= 20 and value >= 0.005:
                text = f"{100 * value:.0f}"
                draw.text((x + cell / 2 - 1, y + cell / 2 - 1), text, _INK if light > 130 else _BACK, small, "mm")
    if groups is not None:
        for i in range(1, count):
            if groups[i] != groups[i - 1]:
                at = i * cell - 1
                draw.line((left, top + at, left + cell * count, top + at), _SOFT, 1)
                draw.line((left + at, top, left + at, top + cell * count), _SOFT, 1)
    return image


def write_picture(path: Path, image: Image.Image) -> None:
    """Write a PNG, atomically.

    Raises:
        OutputError: the folder or the disk refuses.
    """
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    write_output(path, lambda file: file.write(buffer.getvalue()))


def _upright(
    image: Image.Image, text: str, at: tuple[int, int], font: "ImageFont.FreeTypeFont | ImageFont.ImageFont"
) -> None:
    """Write text that reads from below, centred on ``at`` and ending there."""
    box = font.getbbox(text)
    tile = Image.new("RGB", (max(1, round(box[2]) + 2), max(1, round(box[3]) + 2)), _BACK)
    ImageDraw.Draw(tile).text((0, 0), text, _INK, font)
    turned = tile.rotate(90, expand=True)
    image.paste(turned, (at[0] - turned.width // 2, at[1] - turned.height))
