"""Surfaces of generated scenes: what fills the picture behind the things.

Each function takes a random generator, the picture's shape and the number of pixels that stand for one of a 128-pixel
picture, and returns RGB in about 0..1.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

Paint = Callable[[np.random.Generator, tuple[int, int], float], Float32[np.ndarray, "h w 3"]]


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]
) -> Float32[np.ndarray, "h w"]:
    """Return random values in 0..1 on a grid of ``cell`` = (height, width) pixels, interpolated between."""
    (rows, y), (columns, x) = (_grid(length, size) for length, size in zip(shape, cell, strict=True))
    grid = rng.random((rows[-1] + 2, columns[-1] + 2), dtype=np.float32)
    lines = grid[rows] + (grid[rows + 1] - grid[rows]) * y[:, None]  # (h, columns of the grid)
    left = lines[:, columns]
    return np.asarray(left + (lines[:, columns + 1] - left) * x, dtype=np.float32)


def mix(
    low: Float32[np.ndarray, "3"], high: Float32[np.ndarray, "3"], share: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """Return colours between ``low`` (share 0) and ``high`` (share 1)."""
    return np.asarray(low + (high - low) * share[:, :, None], dtype=np.float32)


def between(rng: np.random.Generator, *colours: tuple[float, float, float]) -> Float32[np.ndarray, "3"]:
    """Return a random mean of some colours, a little off."""
    weights = rng.random(len(colours), dtype=np.float32) ** 2 + np.float32(1e-3)
    mean = (np.array(colours, dtype=np.float32) * weights[:, None]).sum(axis=0) / weights.sum()
    return np.asarray(mean + rng.uniform(-0.04, 0.04, 3), dtype=np.float32)


def _grid(length: int, size: float) -> tuple[np.ndarray, Float32[np.ndarray, " n"]]:
    place = np.arange(length, dtype=np.float32) / np.float32(max(size, 1.0))
    whole = place.astype(np.int64)
    part = place - whole
    return whole, np.asarray(part * part * (3 - 2 * part), dtype=np.float32)


def _grass(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Float32[np.ndarray, "h w 3"]:
    blades = smooth_noise(rng, shape, (6 * unit, 1.6 * unit)) * 0.7 + smooth_noise(rng, shape, (3 * unit, unit)) * 0.3
    patches = smooth_noise(rng, shape, (30 * unit, 40 * unit))
    dark = between(rng, (0.10, 0.26, 0.06), (0.20, 0.30, 0.08), (0.08, 0.22, 0.12))
    light = between(rng, (0.42, 0.60, 0.20), (0.62, 0.62, 0.30), (0.34, 0.56, 0.28))
    return mix(dark, light, 0.75 * blades + 0.3 * patches)


def _sand(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Float32[np.ndarray, "h w 3"]:
    ripples = smooth_noise(rng, shape, (5 * unit, 45 * unit))
    grains = rng.random(shape, dtype=np.float32)
    dunes = smooth_noise(rng, shape, (40 * unit, 60 * unit))
    dark = between(rng, (0.62, 0.50, 0.32), (0.58, 0.52, 0.42), (0.66, 0.46, 0.30))
    light = between(rng, (0.92, 0.82, 0.62), (0.86, 0.80, 0.72), (0.94, 0.78, 0.52))
    return mix(dark, light, 0.35 * ripples + 0.35 * grains + 0.35 * dunes)


def _water(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Float32[np.ndarray, "h w 3"]:
    waves = (
        smooth_noise(rng, shape, (2.5 * unit, 14 * unit)) * 0.6 + smooth_noise(rng, shape, (5 * unit, 30 * unit)) * 0.4
    )
    depth = smooth_noise(rng, shape, (50 * unit, 70 * unit))
    dark = between(rng, (0.06, 0.22, 0.42), (0.08, 0.30, 0.36), (0.14, 0.26, 0.30))
    light = between(rng, (0.36, 0.62, 0.84), (0.40, 0.68, 0.70), (0.52, 0.62, 0.66))
    glints = np.clip(waves - 0.72, 0, None) * 2.5
    return mix(dark, light, 0.8 * waves + 0.3 * depth - 0.1) + glints[:, :, None]


def _brick(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Float32[np.ndarray, "h w 3"]:
    height, width = rng.uniform(7, 11) * unit, rng.uniform(16, 24) * unit
    y = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(rng.uniform(0, height))
    x = np.arange(shape[1], dtype=np.float32)[None, :] + np.float32(rng.uniform(0, width))
    row = np.floor(y / height).astype(np.int64)  # (h, 1)
    along = x + (row % 2) * (width / 2)  # (h, w)
    column = np.floor(along / width).astype(np.int64)
    mortar = (y - row * height < 1.6 * unit) | (along - column * width < 1.6 * unit)
    shades = rng.random((int(row[-1, 0]) + 1, int(column.max()) + 1), dtype=np.float32)
    dark = between(rng, (0.36, 0.14, 0.10), (0.42, 0.24, 0.16), (0.30, 0.22, 0.20))
    light = between(rng, (0.70, 0.34, 0.24), (0.76, 0.52, 0.34), (0.62, 0.46, 0.40))
    bricks = mix(dark, light, 0.65 * shades[row, column] + 0.35 * smooth_noise(rng, shape, (2 * unit, 3 * unit)))
    return np.where(mortar[:, :, None], between(rng, (0.70, 0.68, 0.64), (0.50, 0.48, 0.46)), bricks)


def _planks(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Float32[np.ndarray, "h w 3"]:
    width = rng.uniform(11, 19) * unit
    x = np.arange(shape[1], dtype=np.float32) + np.float32(rng.uniform(0, width))
    board = np.floor(x / width).astype(np.int64)  # (w,)
    gap = x - board * width < 1.3 * unit
    shades = rng.random(int(board[-1]) + 1, dtype=np.float32)[board]
    grain = smooth_noise(rng, shape, (28 * unit, 1.8 * unit)) * 0.7 + smooth_noise(rng, shape, (9 * unit, unit)) * 0.3
    dark = between(rng, (0.28, 0.17, 0.09), (0.34, 0.26, 0.20), (0.36, 0.18, 0.10))
    light = between(rng, (0.74, 0.54, 0.34), (0.66, 0.58, 0.50), (0.72, 0.44, 0.26))
    return mix(dark, light, np.where(gap, np.float32(0.0), 0.6 * grain + 0.45 * shades))


STUFF: dict[str, Paint] = {"grass": _grass, "sand": _sand, "water": _water, "brick": _brick, "planks": _planks}
"""Painters by class."""
