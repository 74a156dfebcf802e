"""The dense CRF on the CPU: numba kernels on all threads, for one image.

The lattice's vertices are sorted by key within their remainder, and everything follows from that one sort: the pixels
of each vertex (so splatting gathers and needs no lock), the neighbours (by merging sorted lists), and blurs that read
memory in order. Scores are kept as rows of a few classes, one vector register each; more classes are taken in turns,
so the memory for the lattice's values does not grow with them. Memory is the limit of speed, so what is read at random
(Q and the lattice's values) is in half precision, whose rounding of 5e-4 of a message is far below what the lattice
itself approximates; sums, messages and the softmax are in float32.

Memory, in bytes: for each pixel 100 for the lattice and 20 per class; for each vertex 52, and twice a row. Any image of
P pixels has at most 6 P vertices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from dhr.ops import crf_kernels as kernels
from dhr.ops.gaussian import gaussian_taps
from dhr.ops.parallel import run_parallel, split
from dhr.ops.permutohedral import Embedding, embed_pixels

Array = np.ndarray[Any, np.dtype[Any]]

_WIDTHS = (4, 8, 16)
_HALF = np.uint16  # how numba is given half precision


@dataclass(frozen=True)
class _Lattice:
    """Vertices around the pixels of an image, neighbours of each vertex, and the filter's normalisation."""

    vertices: Array
    """(6, P) the vertex of each remainder around each pixel."""
    corners: Array
    """(6, P) barycentric weights of these."""
    starts: Array
    """(V + 1,) where the pixels of each vertex start in ``pixels``."""
    pixels: Array
    """(6 P,) pixels by vertex."""
    weights: Array
    """(6 P,) their barycentric weights times their norms."""
    before: Array
    """(6, V) neighbour along each axis; V if it is missing."""
    after: Array
    norms: Array
    """(P,) 1 / sqrt of what the filter makes of ones."""

    @staticmethod
    def empty() -> "_Lattice":
        """Stands for no lattice where a kernel must be given one."""
        corners, flat = np.zeros((6, 0), np.float32), np.zeros(0, np.uint32)
        none, floats = np.zeros((6, 0), np.uint32), np.zeros(0, np.float32)
        return _Lattice(none, corners, np.zeros(1, np.uint32), flat, floats, none, none, floats)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def memory(self, width: int, dtype: Any) -> tuple[Array, Array]:
        """Allocate two arrays of rows of ``width`` or less, for the vertices and for missing neighbours."""
        return np.empty((len(self) + 1) * width, dtype), np.empty((len(self) + 1) * width, dtype)

    def filter(self, q: Array, memory: tuple[Array, Array]) -> Array:
        """Splat rows of pixels onto the vertices, and blur; the result lies in ``memory``."""
        width = (0,) * q.shape[1]
        values, spare = (one[: (len(self) + 1) * len(width)].reshape(-1, len(width)) for one in memory)
        values[-1] = spare[-1] = 0  # of missing neighbours
        parts = split(len(self))
        run_parallel(
            kernels.splat, ((width, q, self.starts, self.pixels, self.weights, values, *part) for part in parts)
        )
        for before, after in zip(self.before, self.after, strict=True):
            run_parallel(kernels.blur, ((width, values, before, after, spare, *part) for part in parts))
            values, spare = spare, values
        return values


class CpuCrf:
    """Kernels of one image, ready to filter any scores."""

    def __init__(
        self,
        rgb: UInt8[np.ndarray, "3 h w"] | Float32[np.ndarray, "3 h w"],
        gaussian: tuple[float, float],
        bilateral: tuple[float, float, float],
    ) -> None:
        """Args: RGB in 0..255; (sxy, compat); (sxy, srgb, compat)."""
        _, self.height, self.width = rgb.shape
        self.compat = bilateral[2]
        taps, norms_y, norms_x = gaussian_taps(self.height, self.width, *gaussian)
        self.taps, self.norms_y, self.norms_x = (np.array(one, np.float32) for one in (taps, norms_y, norms_x))
        self.lattice = _build(rgb, bilateral[0], bilateral[1]) if self.compat else _Lattice.empty()

    def __call__(
        self, probabilities: Float32[np.ndarray, "k h w"], iterations: int, clip: float
    ) -> Float32[np.ndarray, "k h w"]:
        """Q after ``iterations`` updates of probabilities that are at least ``clip``."""
        planes = probabilities.reshape(len(probabilities), -1)
        count = planes.shape[1]
        groups = [_Group.of(planes, low) for low in range(0, len(planes), _WIDTHS[-1])]
        memory = self.lattice.memory(len(groups[0].width), _HALF)
        sums, top = np.empty(count, np.float32), np.empty(count, np.float32)
        pixels, lines = split(count), split(self.height, self.width)
        for g in groups:
            read = planes[g.classes], np.float32(clip), g.unary, g.logits, sums, g.first
            run_parallel(kernels.read_scores, ((*read, *part) for part in pixels))
        for _ in range(iterations):
            for g in groups:
                run_parallel(kernels.normalise, ((g.width, g.logits, sums, g.q, *part) for part in pixels))
            for g in groups:
                self._message(g, memory, top, lines)
            for g in groups:
                run_parallel(kernels.exponentiate, ((g.width, g.logits, top, sums, g.first, *part) for part in pixels))
        result = np.empty_like(planes)
        for g in groups:
            run_parallel(kernels.write_scores, ((g.logits, sums, result[g.classes], *part) for part in pixels))
        return result.reshape(probabilities.shape)

    def _message(self, group: "_Group", memory: tuple[Array, Array], top: Array, lines: list[tuple[int, int]]) -> None:
        lattice = self.lattice
        nothing = memory[0][: len(group.width)].reshape(1, -1)
        values = lattice.filter(group.q, memory) if self.compat else nothing
        bilateral = (np.float32(self.compat), lattice.vertices, lattice.corners, values, lattice.norms)
        out = (group.unary, group.logits, top, group.first)
        norms_x = np.pad(np.repeat(self.norms_x, len(group.width)), (0, kernels.LANES))
        given = (group.width, group.q, self.taps, self.norms_y, norms_x, *bilateral, *out)
        run_parallel(kernels.message, ((*given, *part) for part in lines))


@dataclass(frozen=True)
class _Group:
    """Classes that are handled together, as rows."""

    classes: slice
    width: tuple[int, ...]
    """A tuple as long as the rows are wide."""
    q: Array
    unary: Array
    logits: Array

    @staticmethod
    def of(planes: Array, low: int) -> "_Group":
        """Return the classes from ``low`` on, as many as the widest row holds."""
        high = min(low + _WIDTHS[-1], len(planes))
        width = next(width for width in _WIDTHS if width >= high - low)
        shape = (planes.shape[1], width)
        unary, logits = np.empty(shape, np.float32), np.empty(shape, np.float32)
        q = np.zeros(len(unary) * width + kernels.LANES, _HALF)[: -kernels.LANES].reshape(shape)
        return _Group(slice(low, high), (0,) * width, q, unary, logits)

    @property
    def first(self) -> bool:
        return bool(self.classes.start == 0)


def _build(rgb: Array, sxy: float, srgb: float) -> _Lattice:
    _, height, width = rgb.shape
    count = height * width
    shape = embed_pixels(height, width, sxy, srgb)
    keys, corners = np.empty((6, count), np.int64), np.empty((6, count), np.float32)
    planes = np.ascontiguousarray(rgb).reshape(3, count)
    inverses = np.float32(1 / sxy), np.float32(1 / srgb)
    table = np.array(shape.scales, np.float32), np.array(shape.low, np.int64), np.array(shape.strides, np.int64)
    lines = split(height, width)
    run_parallel(kernels.embed, ((planes, width, *part, *inverses, *table, keys, corners) for part in lines))

    vertices, pixels = np.empty((6, count), np.uint32), np.empty((6, count), np.uint32)
    found = run_parallel(_number, ((shape, keys[r], vertices[r], pixels[r]) for r in range(6)))
    firsts = np.cumsum([0, *(len(distinct) for distinct, _ in found)])
    total = int(firsts[-1])
    starts = np.empty(total + 1, np.uint32)
    starts[-1] = 6 * count
    before, after = (np.full((6, total), total, np.uint32) for _ in range(2))

    def place(r: int, names: list[Array], begins: Array) -> None:
        starts[firsts[r] : firsts[r + 1]] = begins + np.uint32(r * count)
        vertices[r] += np.uint32(firsts[r])
        for axis in range(6):
            other, shift = shape.shift(r, axis)
            kernels.link(names[r], names[other], shift, firsts[r], firsts[other], before[axis], after[axis])

    distinct = [names for names, _ in found]
    run_parallel(place, ((r, distinct, begins) for r, (_, begins) in enumerate(found)))
    del keys, found, distinct  # distinct keys are views of all keys

    weights = np.empty((6, count), np.float32)
    norms = np.ones(count, np.float32)
    lattice = _Lattice(vertices, corners, starts, pixels.reshape(-1), weights.reshape(-1), before, after, norms)

    def weigh(r: int) -> None:
        kernels.pick(corners[r], norms, pixels[r], weights[r])

    run_parallel(weigh, ((r,) for r in range(6)))
    # Without norms, sums over pixels outgrow half precision.
    ones = np.ones((count, _WIDTHS[0]), np.float32)
    values = lattice.filter(ones, lattice.memory(_WIDTHS[0], np.float32))
    key = (0,) * _WIDTHS[0]
    run_parallel(kernels.reach, ((key, vertices, corners, values, norms, *part) for part in split(count)))
    run_parallel(weigh, ((r,) for r in range(6)))
    return lattice


def _number(shape: Embedding, keys: Array, vertices: Array, pixels: Array) -> tuple[Array, Array]:
    """Distinct keys of one remainder, sorted, and where the pixels of each start; fills vertices and pixels."""
    bits = max(1, (len(keys) - 1).bit_length())
    names = None
    if shape.bits + bits > 63:  # too long to be packed with the pixels: their order is all that is needed
        names, ranks = np.unique(keys, return_inverse=True)
        keys[:] = ranks
    kernels.pack(keys, bits)
    keys.sort()
    starts = np.empty(len(keys), np.uint32)
    count = kernels.number(keys, bits, vertices, pixels, starts)
    return keys[:count] if names is None else names, starts[:count]
