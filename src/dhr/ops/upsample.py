"""Masks, scores, and labels of scores at another resolution."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, grid_sample, interpolate

from dhr.ops.parallel import run_parallel, split


def resize(maps: Float[Tensor, "b k u v"], size: tuple[int, int]) -> Float[Tensor, "b k h w"]:
    """Resample scores bilinearly."""
    if maps.shape[-2:] == size:
        return maps
    return interpolate(maps, size, mode="bilinear", align_corners=False)


def area_average(masks: Float[Tensor, "b k h w"], grid: tuple[int, int]) -> Float[Tensor, "b k u v"]:
    """Resample masks to a grid, each cell the mean of what lies under it.

    A class smaller than a cell keeps its share of it; a majority vote, as in the authors' program, would erase it.

    >>> masks = torch.zeros(1, 1, 4, 4); masks[..., 0, 0] = 1
    >>> area_average(masks, (2, 2))[0, 0, 0, 0].item()
    0.25
    """
    return masks if masks.shape[-2:] == grid else adaptive_avg_pool2d(masks, grid)


def upsampled_labels(
    scores: Float[Tensor, "k u v"], ids: UInt8[Tensor, " k"], size: tuple[int, int], band: int = 1 << 20
) -> UInt8[Tensor, "h w"]:
    """Id of the class of the highest bilinearly resampled score at each pixel.

    Rows are made ``band`` pixels at a time, so that a photograph of 100 megapixels needs no more memory for its
    scores than a small one.

    Args:
        scores: one map per class.
        ids: what the result calls each class.
        size: height and width of the result.
    """
    if scores.device.type == "cpu" and scores.dtype == torch.float32:
        return _labels_cpu(scores, ids, size)
    height, width = size
    x = (torch.arange(width, device=scores.device, dtype=scores.dtype) * 2 + 1) / width - 1
    y = (torch.arange(height, device=scores.device, dtype=scores.dtype) * 2 + 1) / height - 1
    rows = max(1, band // width)
    parts = []
    for start in range(0, height, rows):
        ys = y[start : start + rows]
        places = torch.stack([x.expand(len(ys), -1), ys.unsqueeze(1).expand(-1, width)], dim=-1)  # (rows, w, 2)
        fine = grid_sample(scores[None], places[None], mode="bilinear", padding_mode="border", align_corners=False)
        parts.append(ids[fine[0].argmax(dim=0)])
    return torch.cat(parts)


def _labels_cpu(
    scores: Float[Tensor, "k u v"], ids: UInt8[Tensor, " k"], size: tuple[int, int]
) -> UInt8[Tensor, "h w"]:
    from dhr.ops.upsample_kernels import label_rows

    cells = np.ascontiguousarray(scores.detach().permute(1, 2, 0).numpy())  # (u, v, k)
    best = scores.argmax(dim=0).numpy()
    labels = np.empty(size, np.uint8)
    places = (*_between(cells.shape[0], size[0]), *_between(cells.shape[1], size[1]))
    parts = split(size[0], size[1])
    run_parallel(label_rows, ((cells, best, *places, ids.numpy(), labels, *part) for part in parts))
    return torch.from_numpy(labels)


def _between(cells: int, side: int) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Return, for each pixel along a side, the cell before its centre, and how far it is to the next cell, 0..1."""
    centres = ((np.arange(side) * 2 + 1) * (cells / (2 * side)) - 0.5).clip(0, cells - 1)
    before = np.floor(centres).astype(np.int64)
    return before, (centres - before).astype(np.float32)
