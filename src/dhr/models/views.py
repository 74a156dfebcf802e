"""Averages of dense maps over scales and flips."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate


def average_views(
    run: Callable[[Tensor], tuple[Tensor, ...]],
    image: Float[Tensor, "1 3 h w"],
    grids: Sequence[tuple[int, int]],
    scales: Sequence[float],
    flip: bool,
    smallest: int = 32,
) -> tuple[Float[Tensor, "1 _ _ _"], ...]:
    """Mean of the maps that ``run`` gives for ``image`` at several sizes, and mirrored.

    Args:
        run: from images (b, 3, h', w') to a fixed number of maps (b, _, u', v'), on any grid.
        image: one RGB image in 0..1.
        grids: height and width of each of the results; further ones keep the grid that they have in the first view.
        scales: sizes relative to ``image``.
        flip: whether each size is also run mirrored, its maps mirrored back.
        smallest: least side in pixels that ``run`` is given; smaller views are enlarged to it.
    """
    sums: list[Tensor] = []
    for scale in scales:
        size = [max(smallest, round(side * scale)) for side in image.shape[-2:]]
        view = image
        if size != list(image.shape[-2:]):
            view = interpolate(image, size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        maps = run(torch.cat([view, view.flip(-1)]) if flip else view)
        if flip:
            maps = tuple((one[:1] + one[1:].flip(-1)) / 2 for one in maps)
        grids = [*grids, *((one.shape[-2], one.shape[-1]) for one in maps[len(grids) :])]
        maps = tuple(
            interpolate(one, grid, mode="bilinear", align_corners=False) for one, grid in zip(maps, grids, strict=True)
        )
        sums = [total + one for total, one in zip(sums, maps, strict=True)] if sums else list(maps)
    return tuple(total / len(scales) for total in sums)
