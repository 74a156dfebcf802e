"""Averages of dense maps over scales, flips and windows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.models.windows import Layout, Windows, layout

_SMALLEST = 32  # least side of a view in pixels; smaller views are enlarged to it
_PIXELS, _PIXELS_GPU = 1 << 19, 1 << 22
"""Pixels that go through a network at once. More gain nothing, and memory is bounded by them."""

Run = Callable[[Tensor], tuple[Tensor, ...]]
"""From images (n, 3, h, w) to a fixed number of maps (n, _, u, v), on any grid."""


def average_views(
    run: Run,
    images: Float[Tensor, "b 3 h w"],
    grids: Sequence[tuple[int, int]],
    scales: Sequence[float],
    flip: bool,
    windows: Windows | None = None,
) -> tuple[Float[Tensor, "b _ _ _"], ...]:
    """Average the maps of each of ``images`` over several sizes, mirrored views and windows, in float32.

    Args:
        run: from images (n, 3, h', w') to a fixed number of maps (n, _, u', v'), on any grid. An image's maps do not
            depend on the other images.
        images: RGB in 0..1, all of one size.
        grids: height and width of the first results; further ones keep the grid of the first view.
        scales: sizes relative to ``images``.
        flip: whether each size is also run mirrored, its maps mirrored back.
        windows: how larger views are seen window by window; None runs each view as a whole.
    """
    sums: list[Tensor] = []
    for scale in scales:
        size = (max(_SMALLEST, round(images.shape[-2] * scale)), max(_SMALLEST, round(images.shape[-1] * scale)))
        parts = layout(size, windows if windows is not None and scale > windows.above else None)
        view = images
        if parts.size != images.shape[-2:]:
            view = interpolate(images, parts.size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)
        maps = _maps(run, view, parts, flip)
        grids = [*grids, *((one.shape[-2], one.shape[-1]) for one in maps[len(grids) :])]
        maps = tuple(
            interpolate(one, grid, mode="bilinear", align_corners=False) for one, grid in zip(maps, grids, strict=True)
        )
        sums = [total + one for total, one in zip(sums, maps, strict=True)] if sums else list(maps)
    return tuple(total / len(scales) for total in sums)


def images_at_once(pixels: int, device: torch.device) -> int:
    """Return how many images of so many pixels each go through a network at once."""
    return max(1, (_PIXELS if device.type == "cpu" else _PIXELS_GPU) // pixels)


def _maps(run: Run, view: Tensor, parts: Layout, flip: bool) -> tuple[Tensor, ...]:
    """Compute the maps of a view, as weighted means of its windows, at the network's own resolution."""
    chunks = _in_chunks(run, view, parts, flip)
    if parts.count == 1:
        return tuple(torch.cat(one) for one in zip(*(found for _, found in chunks), strict=True))
    sums: list[Tensor] = []
    for some, found in chunks:
        for index, maps in enumerate(found):
            grid = parts.grid((maps.shape[-2], maps.shape[-1]))
            if index == len(sums):
                sums.append(maps.new_zeros(len(view), maps.shape[1], *grid.size))
            for one in some:
                place = (one.images, slice(None), *grid.slices(one.window))
                sums[index][place] += maps[one.found] * grid.weight(one.window, maps.device)
    return tuple(sums)


@dataclass(frozen=True)
class _Part:
    """A window of some images, and where its maps are among those of a chunk."""

    window: int
    images: slice
    found: slice


def _in_chunks(
    run: Run, view: Tensor, parts: Layout, flip: bool
) -> Iterator[tuple[Sequence[_Part], tuple[Tensor, ...]]]:
    """Run all windows of all images, several at a time; yield some of them with their maps."""
    count, (tall, wide) = len(view), parts.window
    most = images_at_once(tall * wide * (1 + flip), view.device)
    for start in range(0, count * parts.count, most):
        stop = min(start + most, count * parts.count)
        some = []
        for window in range(start // count, (stop - 1) // count + 1):
            first, last = max(start, window * count), min(stop, (window + 1) * count)
            images = slice(first - window * count, last - window * count)
            some.append(_Part(window, images, slice(first - start, last - start)))
        crops = torch.cat([view[one.images, :, *parts.pixels(one.window)] for one in some])
        crops = torch.cat([crops, crops.flip(-1)]) if flip else crops
        # Convolutions in 16 bits gain by this layout only.
        maps = tuple(one.float() for one in run(crops.contiguous(memory_format=torch.channels_last)))
        if flip:
            maps = tuple((one[: stop - start] + one[stop - start :].flip(-1)) / 2 for one in maps)
        yield some, maps
