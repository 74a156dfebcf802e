"""Things of generated scenes: shapes in their own coordinates, and how they are painted.

A thing's box is -1..1 in ``u`` (right) and ``v`` (down). Its shape is a list of parts, each a boolean array and a
colour, later ones over earlier ones; their union is the ground truth.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from dhr.data.scene_stuff import smooth_noise

Colour = tuple[float, float, float]
Parts = list[tuple[np.ndarray, Colour]]
Shape = Callable[[np.ndarray, np.ndarray, Float64[np.ndarray, " knobs"]], Parts]

KNOBS = 8
"""Random numbers in 0..1 that a shape may use for its form and colour."""


@dataclass(frozen=True)
class Kind:
    """A class of things."""

    shape: Shape
    radius: tuple[float, float]
    """Half the length of the box, least and most, in shares of the picture's shorter side."""
    turn: float
    """Most rotation to either side, in radians."""
    grain: float
    """Contrast of the surface."""
    cell: float
    """Size of the surface's spots, in shares of the radius."""
    round: bool
    """Shaded as a ball rather than from above."""


@dataclass(frozen=True)
class Placed:
    """A thing in its place: the pixels of the picture that it covers, if nothing comes before it."""

    name: str
    rows: slice
    columns: slice
    mask: Bool[np.ndarray, "h w"]
    """Of the window ``rows`` x ``columns``."""
    radius: float
    """In pixels."""
    u: Float32[np.ndarray, "h w"]
    v: Float32[np.ndarray, "h w"]
    parts: Parts


def place(rng: np.random.Generator, name: str, shape: tuple[int, int], radius: float) -> Placed:
    """Put a thing somewhere at random; at least its middle is in the picture."""
    kind = THINGS[name]
    reach = radius * 1.25
    y, x = (rng.uniform(min(0.7 * radius, n / 2), max(n - 0.7 * radius, n / 2)) for n in shape)
    angle = rng.uniform(-kind.turn, kind.turn)
    flip = 1.0 if rng.random() < 0.5 else -1.0
    knobs = rng.random(KNOBS)
    rows = slice(max(0, int(y - reach)), min(shape[0], int(y + reach) + 2))
    columns = slice(max(0, int(x - reach)), min(shape[1], int(x + reach) + 2))
    down = ((np.arange(rows.start, rows.stop) - y) / radius).astype(np.float32)[:, None]
    right = ((np.arange(columns.start, columns.stop) - x) / radius).astype(np.float32)[None, :]
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    u, v = np.float32(flip) * (cosine * right + sine * down), cosine * down - sine * right  # (h, w) each
    parts = kind.shape(u, v, knobs)
    mask = np.logical_or.reduce([part for part, _ in parts])
    return Placed(name, rows, columns, mask, radius, u, v, parts)


def paint(rng: np.random.Generator, thing: Placed, picture: Float32[np.ndarray, "h w 3"]) -> None:
    """Paint a thing, and its shadow, into the picture."""
    kind = THINGS[thing.name]
    window = picture[thing.rows, thing.columns]
    shadow = (
        _disc(thing.u + 0.12, (thing.v - np.float32(thing.v[thing.mask].max(initial=0.0))) * 3.0, 1.0) & ~thing.mask
    )
    window[shadow] *= 0.62
    colours = np.zeros_like(window)
    for part, colour in thing.parts:
        colours[part] = colour
    cell = max(1.0, kind.cell * thing.radius)
    colours *= (1 - kind.grain + 2 * kind.grain * smooth_noise(rng, thing.mask.shape, (cell, cell)))[:, :, None]
    if kind.round:
        towards = (thing.u + 0.35) ** 2 + (thing.v + 0.4) ** 2  # distance from where the light falls
        light = 1.18 - 0.42 * towards
        colours += (np.clip(0.10 - towards, 0, None) * 4.0)[:, :, None]
    else:
        light = 1.08 - 0.26 * thing.v
    colours *= np.clip(light, 0.35, 1.4)[:, :, None]
    window[thing.mask] = colours[thing.mask]


def _disc(u: np.ndarray, v: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(u * u + v * v <= radius * radius)


def _box(u: np.ndarray, v: np.ndarray, left: float, right: float, top: float, bottom: float) -> np.ndarray:
    return (u >= left) & (u <= right) & (v >= top) & (v <= bottom)


def _tint(share: float, *colours: Colour) -> Colour:
    """Return the colour at ``share`` 0..1 of the way along some colours."""
    place = share * (len(colours) - 1)
    index = min(int(place), len(colours) - 2)
    low, high = colours[index], colours[index + 1]
    part = place - index
    return (low[0] + (high[0] - low[0]) * part, low[1] + (high[1] - low[1]) * part, low[2] + (high[2] - low[2]) * part)


_GLASS = (0.20, 0.27, 0.34)
_TYRE = (0.08, 0.08, 0.09)
_HUB = (0.62, 0.62, 0.64)


def _paintwork(knobs: Float64[np.ndarray, " knobs"]) -> Colour:
    bright = _tint(
        knobs[0], (0.72, 0.10, 0.10), (0.86, 0.66, 0.12), (0.14, 0.46, 0.24), (0.12, 0.28, 0.66), (0.70, 0.12, 0.3)
    )
    grey = 0.25 + 0.65 * knobs[1]
    share = 0.8 if knobs[2] < 0.65 else 0.1
    return (
        bright[0] * share + grey * (1 - share),
        bright[1] * share + grey * (1 - share),
        bright[2] * share + grey * (1 - share),
    )


def _wheels(u: np.ndarray, v: np.ndarray, at: float, bottom: float, radius: float) -> Parts:
    parts: Parts = []
    for x in (-at, at):
        parts += [(_disc(u - x, v - bottom, radius), _TYRE), (_disc(u - x, v - bottom, radius * 0.45), _HUB)]
    return parts


def _car(u: np.ndarray, v: np.ndarray, knobs: Float64[np.ndarray, " knobs"]) -> Parts:
    body = _paintwork(knobs)
    roof, slope = -0.42 - 0.10 * knobs[3], 0.55 + 0.3 * knobs[4]
    cabin = (np.abs(u + 0.08) <= 0.36 + slope * (v - roof)) & (v >= roof) & (v <= 0.0)
    windows = (
        (np.abs(u + 0.08) <= 0.24 + slope * (v - roof)) & (v >= roof + 0.09) & (v <= -0.06) & (np.abs(u + 0.08) > 0.04)
    )
    hull = _box(u, v, -0.98, 0.98, -0.06, 0.30) & (np.abs(u) + 0.8 * np.abs(v - 0.12) <= 1.05)
    lamp = _box(u, v, 0.84, 0.97, 0.02, 0.12) & hull
    return [
        (cabin, body),
        (hull, body),
        (windows, _GLASS),
        (lamp, (0.98, 0.94, 0.70)),
        *_wheels(u, v, 0.56, 0.30, 0.21),
    ]


def _bus(u: np.ndarray, v: np.ndarray, knobs: Float64[np.ndarray, " knobs"]) -> Parts:
    body = _paintwork(knobs)
    stripe = _tint(knobs[5], (0.9, 0.9, 0.88), (0.2, 0.2, 0.24))
    roof = -0.66 + 0.14 * knobs[3]
    hull = _box(u, v, -1.0, 1.0, roof, 0.44)
    pane = (u + 1.0) * (2.5 + np.floor(knobs[4] * 2)) % 1.0
    windows = _box(u, v, -0.92, 0.92, roof + 0.13, roof + 0.46) & (pane > 0.16)
    band = _box(u, v, -1.0, 1.0, 0.10, 0.22)
    return [(hull, body), (band, stripe), (windows, _GLASS), *_wheels(u, v, 0.62, 0.44, 0.19)]


def _apple(u: np.ndarray, v: np.ndarray, knobs: Float64[np.ndarray, " knobs"]) -> Parts:
    skin = _tint(knobs[0], (0.62, 0.06, 0.08), (0.80, 0.20, 0.12), (0.84, 0.56, 0.18), (0.52, 0.66, 0.16))
    cheek = _tint(knobs[1], skin, (0.78, 0.16, 0.12), (0.80, 0.62, 0.22))
    flesh = _disc(u * (1.0 + 0.12 * v), v - 0.10, 0.86) & ~_disc(u, v + 0.86, 0.26)
    stem = (np.abs(u - 0.10 - 0.25 * (v + 0.6)) <= 0.07) & (v >= -1.0) & (v <= -0.45)
    leaf = _disc((u - 0.40) * 0.9 + (v + 0.86), ((v + 0.86) - (u - 0.40)) * 2.0, 0.36)
    parts: Parts = [(flesh, skin), (flesh & _disc(u - 0.45, v - 0.1, 0.6), cheek), (stem, (0.26, 0.16, 0.08))]
    return [*parts, (leaf, (0.24, 0.46, 0.14))] if knobs[2] < 0.6 else parts


def _orange(u: np.ndarray, v: np.ndarray, knobs: Float64[np.ndarray, " knobs"]) -> Parts:
    skin = _tint(knobs[0], (0.90, 0.36, 0.06), (0.94, 0.52, 0.08), (0.92, 0.62, 0.14))
    return [(_disc(u, v * (1.0 + 0.08 * knobs[1]), 0.90), skin), (_disc(u - 0.2, v + 0.42, 0.10), (0.36, 0.40, 0.12))]


def _lemon(u: np.ndarray, v: np.ndarray, knobs: Float64[np.ndarray, " knobs"]) -> Parts:
    skin = _tint(knobs[0], (0.92, 0.76, 0.16), (0.92, 0.86, 0.30), (0.62, 0.74, 0.20))
    body = _disc(u * 1.12, v * (1.50 + 0.2 * knobs[1]), 0.92)
    tips = (np.abs(v) <= 0.20 * (1.25 - np.abs(u)) / 0.4) & (np.abs(u) <= 1.05) & (np.abs(v) <= 0.22)
    return [(body, skin), (tips, skin)]


def _legs(u: np.ndarray, v: np.ndarray, colour: Colour, thick: float, top: float, bottom: float) -> Parts:
    return [(_box(u, v, x - thick, x + thick, top, bottom), colour) for x in (-0.50, -0.28, 0.24, 0.46)]


def _sheep(u: np.ndarray, v: np.ndarray, knobs: Float64[np.ndarray, " knobs"]) -> Parts:
    wool = _tint(knobs[0], (0.96, 0.94, 0.90), (0.84, 0.82, 0.76), (0.66, 0.60, 0.52))
    face = _tint(knobs[1], (0.08, 0.07, 0.07), (0.16, 0.12, 0.10), (0.42, 0.32, 0.26))
    fleece = _disc(u * 0.95, v * 1.35, 0.62)
    for index in range(9):  # curls around the fleece
        angle = 2 * np.pi * (index + 0.5 * knobs[2]) / 9
        fleece |= _disc(u - np.float32(0.60 * np.cos(angle)), v - np.float32(0.40 * np.sin(angle)), 0.21)
    head = _disc((u - 0.82) * 1.1, (v + 0.22) * 0.85, 0.22)
    ear = _disc((u - 0.68) * 0.8, (v + 0.36) * 2.0, 0.14)
    return [*_legs(u, v, face, 0.06, 0.3, 0.88), (fleece, wool), (head, face), (ear, face)]


def _cow(u: np.ndarray, v: np.ndarray, knobs: Float64[np.ndarray, " knobs"]) -> Parts:
    hide = _tint(knobs[0], (0.90, 0.88, 0.84), (0.66, 0.46, 0.28), (0.36, 0.22, 0.14))
    patch = _tint(knobs[1], (0.10, 0.09, 0.09), (0.44, 0.26, 0.16), (0.86, 0.82, 0.76))
    body = _box(u, v, -0.72, 0.60, -0.42, 0.24) & (np.abs(u + 0.06) ** 3 + np.abs(v * 1.5 + 0.14) ** 3 <= 0.42)
    spots = np.zeros_like(body)
    for index in range(3):
        x, y = -0.55 + 0.42 * index + 0.25 * knobs[2 + index], -0.30 + 0.40 * knobs[5 + (index % 3)]
        spots |= _disc(u - x, (v - y) * 1.2, 0.13 + 0.10 * knobs[4])
    neck = _box(u, v, 0.44, 0.76, -0.46, -0.02)
    head = _disc((u - 0.82) * 0.85, (v + 0.38) * 1.15, 0.23)
    muzzle = _disc(u - 0.97, (v + 0.30) * 1.2, 0.12)
    horns = _box(u, v, 0.64, 0.70, -0.80, -0.5) | _box(u, v, 0.86, 0.92, -0.80, -0.5)
    tail = _box(u, v, -0.80, -0.73, -0.36, 0.30)
    return [
        *_legs(u, v, hide, 0.075, 0.1, 0.86),
        *((part, hide) for part in (neck, body, head)),
        (spots & body, patch),
        (tail, patch),
        (horns, (0.80, 0.76, 0.66)),
        (muzzle, (0.78, 0.58, 0.54)),
    ]


THINGS: dict[str, Kind] = {
    "car": Kind(_car, (0.12, 0.30), 0.18, 0.08, 0.5, False),
    "bus": Kind(_bus, (0.15, 0.36), 0.14, 0.08, 0.5, False),
    "apple": Kind(_apple, (0.075, 0.165), 0.7, 0.10, 0.35, True),
    "orange": Kind(_orange, (0.075, 0.155), 3.14, 0.22, 0.10, True),
    "lemon": Kind(_lemon, (0.09, 0.17), 1.5, 0.14, 0.16, True),
    "sheep": Kind(_sheep, (0.14, 0.30), 0.14, 0.20, 0.16, False),
    "cow": Kind(_cow, (0.16, 0.36), 0.12, 0.10, 0.25, False),
}
"""Kinds by class."""
