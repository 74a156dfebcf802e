"""The little pictures of the report: photographs, heat maps and label maps, as numpy arrays and as data URIs."""

import base64
import io

import numpy as np
from jaxtyping import Bool, Float, UInt, UInt8
from PIL import Image

from dhr.data.samples import VOID

SIDE = 200
"""Longest side of a picture, pixels."""

_TINT = 0.55  # weight of the class colour over the photograph
_DIM = 0.45  # weight of black over the background, which then recedes behind the classes
_HATCH = 6  # period of the lines over void, pixels
_QUALITY = 75  # of JPEG
_FEW = 256  # colours; pictures with more are photographs, which are never smaller as PNG

# Anchors of the "inferno" colour map: its lightness grows evenly, so it reads without hue as well.
_HEAT = np.array(
    [
        (0, 0, 4),
        (40, 11, 84),
        (101, 21, 110),
        (159, 42, 99),
        (212, 72, 66),
        (245, 125, 21),
        (250, 193, 39),
        (252, 255, 164),
    ],
    dtype=np.float64,
)


def thumbnail(image: UInt8[np.ndarray, "h w 3"], side: int = SIDE) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Shrink a photograph so that its longest side is at most ``side``; smaller ones stay as they are."""
    height, width = shrunk(image.shape[0], image.shape[1], side)
    if (height, width) == image.shape[:2]:
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    # reducing_gap averages blocks first, which keeps a photograph of 100 megapixels well under a second.
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0))


def shrunk(height: int, width: int, side: int = SIDE) -> tuple[int, int]:
    """Return height and width, at least 1, with the longest at most ``side`` and the same ratio."""
    scale = min(1.0, side / max(height, width, 1))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_labels(labels: UInt[np.ndarray, "h w"], height: int, width: int) -> UInt[np.ndarray, "h2 w2"]:
    """Resize a label map by the nearest pixel."""
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(np.intp)
    small: UInt[np.ndarray, "h2 w2"] = labels[rows[:, None], columns[None, :]]
    return small


def contours(labels: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels whose right or lower neighbour has another label: lines of one pixel.

    >>> contours(np.array([[1, 1, 2, 2]], dtype=np.uint8)).tolist()
    [[False, True, False, False]]
    """
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def overlay(
    photograph: UInt8[np.ndarray, "h w 3"],
    labels: UInt8[np.ndarray, "h w"],
    colours: UInt8[np.ndarray, "256 3"],
    background: bool,
) -> UInt8[np.ndarray, "h w 3"]:
    """Blend a label map over its photograph, with white contours.

    Classes are tinted by their colour, class 0 is darkened instead where it is the ``background``, and void is hatched.
    """
    grey = photograph.mean(axis=2, keepdims=True)  # (h, w, 1): under a tint, the photograph's own colours would mislead
    base = 0.5 * photograph + 0.5 * grey
    blend = (1 - _TINT) * base + _TINT * colours[labels]
    if background:
        blend = np.where((labels == 0)[..., None], (1 - _DIM) * photograph, blend)
    diagonal = np.add.outer(np.arange(labels.shape[0]), np.arange(labels.shape[1]))
    line = diagonal % _HATCH < _HATCH // 3
    blend = np.where((labels == VOID)[..., None], 0.45 * grey + np.where(line, 140.0, 95.0)[..., None], blend)
    blend = np.where(contours(labels)[..., None], 0.1 * blend + 0.9 * 255, blend)
    return _picture(blend)


def heat_map(photograph: UInt8[np.ndarray, "h w 3"], cam: Float[np.ndarray, "h2 w2"]) -> UInt8[np.ndarray, "h w 3"]:
    """Blend a class activation map, 0..1, over its photograph in grey; the hotter, the less of it shows through."""
    height, width = photograph.shape[:2]
    clean = np.clip(np.nan_to_num(cam.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    heat: Float[np.ndarray, "h w"] = np.asarray(
        Image.fromarray(clean).resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64
    )
    colour = heat_colours(heat)
    weight = (0.35 + 0.45 * heat)[..., None]
    return _picture((1 - weight) * photograph.mean(axis=2, keepdims=True) + weight * colour)


def heat_colours(values: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s 3"]:
    """Return RGB, 0..255, for values in 0..1: black to yellow."""
    stops = np.linspace(0, 1, len(_HEAT))
    return np.stack([np.interp(values, stops, channel) for channel in _HEAT.T], axis=-1)


def data_uri(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """Return the picture as a ``data:`` URI: JPEG, or PNG if it has few colours and is smaller as PNG."""
    image = Image.fromarray(picture)
    kind, best = "jpeg", _encoded(image, "jpeg", quality=_QUALITY)
    if image.getcolors(_FEW) is not None and len(png := _encoded(image, "png", compress_level=6)) < len(best):
        kind, best = "png", png
    return f"data:image/{kind};base64,{base64.b64encode(best).decode('ascii')}"


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _picture(values: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
