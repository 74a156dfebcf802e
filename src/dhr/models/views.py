"""Averages of dense maps over scales, flips and windows."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

_SMALLEST = 32  # least side of a view in pixels; smaller views are enlarged to it

Run = Callable[[Tensor], tuple[Tensor, ...]]
"""From images (b, 3, h, w) to a fixed number of maps (b, _, u, v), on any grid."""


def average_views(
    run: Run,
    image: Float[Tensor, "1 3 h w"],
    grids: Sequence[tuple[int, int]],
    scales: Sequence[float],
    flip: bool,
    window: int = 0,
    overlap: float = 0.5,
) -> tuple[Float[Tensor, "1 _ _ _"], ...]:
    """Average the maps of ``image`` over several sizes, mirrored views and windows.

    Args:
        run: from images (b, 3, h', w') to a fixed number of maps (b, _, u', v'), on any grid.
        image: one RGB image in 0..1.
        grids: height and width of the first results; further ones keep the grid of the first view.
        scales: sizes relative to ``image``.
        flip: whether each size is also run mirrored, its maps mirrored back.
        window: side in pixels of windows; larger views are run window by window; 0 runs each view as a whole.
        overlap: share of a window, 0..1, that overlaps its neighbour.
    """
    sums: list[Tensor] = []
    for scale in scales:
        size = [max(_SMALLEST, round(side * scale)) for side in image.shape[-2:]]
        view = image
        if size != list(image.shape[-2:]):
            view = interpolate(image, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        if window and max(size) > window:
            maps = _in_windows(lambda part: _mirrored(run, part, flip), view, grids, max(window, _SMALLEST), overlap)
        else:
            maps = _mirrored(run, view, flip)
        grids = [*grids, *((one.shape[-2], one.shape[-1]) for one in maps[len(grids) :])]
        maps = tuple(
            interpolate(one, grid, mode="bilinear", align_corners=False) for one, grid in zip(maps, grids, strict=True)
        )
        sums = [total + one for total, one in zip(sums, maps, strict=True)] if sums else list(maps)
    return tuple(total / len(scales) for total in sums)


def window_starts(side: int, window: int, overlap: float) -> list[int]:
    """Return where windows start that cover ``side`` pixels; neighbours overlap by ``overlap`` of a window or more.

    >>> window_starts(100, 40, 0.5), window_starts(30, 40, 0.5)
    ([0, 20, 40, 60], [0])
    """
    if side <= window:
        return [0]
    step = max(1, math.floor(window * (1 - overlap)))
    count = math.ceil((side - window) / step) + 1
    return [round(index * (side - window) / (count - 1)) for index in range(count)]


def _mirrored(run: Run, view: Tensor, flip: bool) -> tuple[Tensor, ...]:
    if not flip:
        return run(view)
    return tuple((one[:1] + one[1:].flip(-1)) / 2 for one in run(torch.cat([view, view.flip(-1)])))


def _in_windows(
    run: Run, view: Tensor, grids: Sequence[tuple[int, int]], window: int, overlap: float
) -> tuple[Tensor, ...]:
    """Compute maps of the whole view as weighted means of windows, on ``grids``, else at the windows' resolution.

    The weight of a window falls towards its inner borders, where it lacks context.
    """
    height, width = view.shape[-2:]
    tall, wide = min(window, height), min(window, width)
    sums: list[Tensor] = []
    weights: list[Tensor] = []
    for top in window_starts(height, window, overlap):
        for left in window_starts(width, window, overlap):
            maps = run(view[..., top : top + tall, left : left + wide])
            if not sums:
                own = [
                    (max(1, round(one.shape[-2] * height / tall)), max(1, round(one.shape[-1] * width / wide)))
                    for one in maps
                ]
                grids = [*grids, *own[len(grids) :]]
                sums = [one.new_zeros(1, one.shape[1], *grid) for one, grid in zip(maps, grids, strict=True)]
                weights = [one.new_zeros(grid) for one, grid in zip(maps, grids, strict=True)]
            for one, total, weight in zip(maps, sums, weights, strict=True):
                rows, down, y = _within(total.shape[-2], height, top, tall, overlap, one)
                columns, across, x = _within(total.shape[-1], width, left, wide, overlap, one)
                places = torch.stack([x.expand(len(y), -1), y.unsqueeze(1).expand(-1, len(x))], dim=-1)
                found = grid_sample(one, places[None], mode="bilinear", padding_mode="border", align_corners=False)
                share = down.unsqueeze(1) * across
                total[..., rows, columns] += share * found
                weight[rows, columns] += share
    return tuple(total / weight for total, weight in zip(sums, weights, strict=True))


def _within(
    cells: int, side: int, start: int, length: int, overlap: float, like: Tensor
) -> tuple[slice, Tensor, Tensor]:
    """Find the cells whose centres lie in a window, along one axis, with their weights and places (-1..1)."""
    centres = (torch.arange(cells, dtype=torch.float64) + 0.5) * (side / cells)
    inside = ((centres >= start) & (centres <= start + length)).nonzero().flatten()
    seen = slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
    place = centres[seen] - start
    ramp = max(overlap * length, 1e-6)
    weight = torch.ones_like(place)
    if start > 0:
        weight = weight.minimum(place / ramp)
    if start + length < side:
        weight = weight.minimum((length - place) / ramp)
    weight = weight.clamp_min(1e-3)
    return seen, weight.to(like.device, like.dtype), (place / length * 2 - 1).to(like.device, like.dtype)
