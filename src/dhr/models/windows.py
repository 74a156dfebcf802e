"""Where the windows of a view lie, and how their maps join into one."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Windows:
    """Overlapping windows of large views."""

    side: int
    """Side in pixels; views with a longer side are cut into windows."""
    overlap: float
    """Least share of a window, 0..1, that it has in common with its neighbour."""
    cell: int = 1
    """Pixels per cell of the network's maps. Views and windows end at multiples of it, so that the cells of all windows
    lie on one grid."""
    above: float = 0.0
    """Views of this scale or a smaller one stay whole."""


@dataclass(frozen=True)
class Axis:
    """The windows along one side of a view, in pixels."""

    side: int
    length: int
    starts: tuple[int, ...]

    @property
    def ramp(self) -> float:
        """Pixels from an inner border over which the weight of a window grows to 1; near borders it lacks context."""
        shared = self.length - max((late - early for early, late in pairwise(self.starts)), default=0)
        return float(max(shared, 1e-6))


@dataclass(frozen=True)
class Layout:
    """The windows of a view: a grid of rows and columns. A whole view is one window."""

    down: Axis
    across: Axis

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the view."""
        return self.down.side, self.across.side

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of each window."""
        return self.down.length, self.across.length

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.down.starts) * len(self.across.starts)

    def pixels(self, index: int) -> tuple[slice, slice]:
        """Return the rows and columns of the view that a window covers."""
        row, column = divmod(index, len(self.across.starts))
        top, left = self.down.starts[row], self.across.starts[column]
        return slice(top, top + self.down.length), slice(left, left + self.across.length)

    def grid(self, cells: tuple[int, int]) -> "Grid":
        """Return the grid of the maps of the view, if those of a window have this size.

        Raises:
            ValueError: the windows' cells do not lie on one grid.
        """
        return Grid(self, cells)


@dataclass(frozen=True)
class Grid:
    """The cells of a view."""

    layout: Layout
    cells: tuple[int, int]
    """Rows and columns of a window's maps."""

    def __post_init__(self) -> None:
        for axis, cells in zip((self.layout.down, self.layout.across), self.cells, strict=True):
            if len(axis.starts) > 1 and any(place * cells % axis.length for place in (*axis.starts, axis.side)):
                raise ValueError(
                    f"windows of {axis.length} pixels, {cells} cells each, at {axis.starts} do not share a grid"
                )

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the whole view's maps."""
        down, across = self.layout.down, self.layout.across
        return self.cells[0] * down.side // down.length, self.cells[1] * across.side // across.length

    def slices(self, index: int) -> tuple[slice, slice]:
        """Return the rows and columns of cells of a window."""
        rows, columns = self.layout.pixels(index)
        top = rows.start * self.cells[0] // self.layout.down.length
        left = columns.start * self.cells[1] // self.layout.across.length
        return slice(top, top + self.cells[0]), slice(left, left + self.cells[1])

    def weight(self, index: int, device: torch.device) -> Float[Tensor, "u v"]:
        """Return the weight of each cell of a window. Those of all windows sum to 1 in each cell of the view."""
        row, column = divmod(index, len(self.layout.across.starts))
        return (
            weights(self.layout.down, self.cells[0], device)[row].unsqueeze(1)
            * weights(self.layout.across, self.cells[1], device)[column]
        )


def layout(size: tuple[int, int], windows: Windows | None) -> Layout:
    """Lay windows over a view of about ``size``; it is rounded to whole cells if there is more than one window.

    >>> layout((100, 300), Windows(64, 0.5, 16)).size, layout((60, 50), Windows(64, 0.5, 16)).size
    ((96, 304), (60, 50))
    """
    if windows is None or max(size) <= windows.side:
        return Layout(*(Axis(side, side, (0,)) for side in size))
    cell, most = windows.cell, max(1, windows.side // windows.cell)
    axes = []
    for side in size:
        cells = max(1, round(side / cell))
        starts = tuple(cell * start for start in window_starts(cells, most, windows.overlap))
        axes.append(Axis(cell * cells, cell * min(most, cells), starts))
    return Layout(*axes)


def window_starts(side: int, window: int, overlap: float) -> list[int]:
    """Return where windows start that cover ``side`` cells; neighbours overlap by ``overlap`` of a window or more.

    >>> window_starts(100, 40, 0.5), window_starts(30, 40, 0.5)
    ([0, 20, 40, 60], [0])
    """
    if side <= window:
        return [0]
    step = max(1, math.floor(window * (1 - overlap)))
    count = math.ceil((side - window) / step) + 1
    return [round(index * (side - window) / (count - 1)) for index in range(count)]


@lru_cache(maxsize=256)
def weights(axis: Axis, cells: int, device: torch.device) -> Float[Tensor, "n u"]:
    """Return the weights of the cells of all windows along one axis; those of one cell of the view sum to 1."""
    places = (torch.arange(cells, dtype=torch.float64) + 0.5) * (axis.length / cells)
    found = torch.ones(len(axis.starts), cells, dtype=torch.float64)
    for weight, start in zip(found, axis.starts, strict=True):
        if start > 0:
            weight.copy_(weight.minimum(places / axis.ramp))
        if start + axis.length < axis.side:
            weight.copy_(weight.minimum((axis.length - places) / axis.ramp))
    total = torch.zeros(cells * axis.side // axis.length, dtype=torch.float64)
    spans = [slice(start * cells // axis.length, start * cells // axis.length + cells) for start in axis.starts]
    for weight, span in zip(found, spans, strict=True):
        total[span] += weight
    for weight, span in zip(found, spans, strict=True):
        weight /= total[span]
    return found.float().to(device)
