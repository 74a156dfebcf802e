"""Label propagation by random walk (PSA, Ahn and Kwak, CVPR 2018; IRN, Ahn et al., CVPR 2019): alike neighbours share.

Affinities and transitions are stencils (b, n, u, v): entry (b, m, y, x) joins the position (y, x) with the one that
lies ``offsets(radius)[m]`` away. The middle one joins it with itself.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, normalize, pad

from dhr.errors import ShapeError

_SLICE = 256


def offsets(radius: int) -> list[tuple[int, int]]:
    """Return steps (dy, dx) to all positions at most ``radius`` away, row by row; entry m is minus entry -1 - m.

    >>> offsets(1)
    [(-1, 0), (0, -1), (0, 0), (0, 1), (1, 0)]

    Raises:
        ShapeError: a radius below 1.
    """
    if radius < 1:
        raise ShapeError(f"radius must be 1 or more, in cells of the grid, got {radius}")
    span = range(-radius, radius + 1)
    return [(dy, dx) for dy in span for dx in span if dy * dy + dx * dx <= radius * radius]


def forward_offsets(radius: int) -> list[tuple[int, int]]:
    """Return the half of :func:`offsets` after the middle: every unordered pair of positions once.

    >>> forward_offsets(1)
    [(0, 1), (1, 0)]
    """
    whole = offsets(radius)
    return whole[len(whole) // 2 + 1 :]


@torch.no_grad()
def feature_affinity(
    features: Float[Tensor, "b d u v"],
    images: Float[Tensor, "b 3 h w"],
    radius: int = 5,
    sigma_colour: float = 0.1,
) -> Float[Tensor, "b n u v"]:
    r"""Compute the affinity of positions whose features and colours are alike, in 0..1.

    .. math:: a_{ij} = ReLU(\cos(F_i, F_j)) \, \exp\Bigl(-\frac{|I_i - I_j|^2}{2 \sigma^2}\Bigr), \quad a_{ii} = 1

    It is symmetric, and 0 where the neighbour lies outside the grid.

    Args:
        features: F, any scale.
        images: I, RGB; averaged over the cells of the features' grid.
        radius: distance, in cells, within which positions are joined.
        sigma_colour: difference, in the unit of the images, at which colours begin to count as different.

    Raises:
        ShapeError: different numbers of images, maps without a position, a radius below 1, or no positive sigma.
    """
    _refuse_empty(features)
    if len(features) != len(images):
        raise ShapeError(
            f"feature_affinity expects as many images as features, got {len(images)} and {len(features)}; "
            "give the features of these images"
        )
    if not sigma_colour > 0:
        raise ShapeError(f"sigma_colour must be above 0, got {sigma_colour}")
    b, _, u, v = features.shape
    half = features.new_zeros(b, len(forward_offsets(radius)), u, v)
    pairs = [
        (half[(slice(None), index, *here)], here, there)
        for index, (dy, dx) in enumerate(forward_offsets(radius))
        if dy < u and abs(dx) < v
        for here, there in [_joined(dy, dx, u, v)]
    ]
    # Slices that stay in the cache: twice as fast as a matrix product for each two rows, which also gives what lies
    # too far apart, and six times as fast as shifting 3,000 channels at once.
    for part in torch.split(normalize(features), _SLICE, dim=1):
        for one, here, there in pairs:
            one += (part[(..., *here)] * part[(..., *there)]).sum(dim=1)
    half.clamp_(0, 1)
    colours = interpolate(images.to(features.dtype), (u, v), mode="area") / (math.sqrt(2) * sigma_colour)
    for one, here, there in pairs:
        one *= (colours[(..., *here)] - colours[(..., *there)]).square_().sum(dim=1).neg_().exp_()
    return _both_ways(half, radius)


def boundary_affinity(edges: Float[Tensor, "b 1 u v"], radius: int = 5) -> Float[Tensor, "b n u v"]:
    r"""Compute the affinity of positions between which no class boundary runs (IRN), in 0..1.

    .. math:: a_{ij} = 1 - \max_{k \in \Pi_{ij}} B_k, \quad a_{ii} = 1

    with :math:`\Pi_{ij}` as in :func:`path_maxima`. It is symmetric, and 0 where the neighbour lies outside the grid.
    IRN's program also multiplies scores by 1 - B before they walk; :func:`random_walk` leaves them, as constants would
    not stay constant; give it ``scores * (1 - edges)`` to have it.

    Args:
        edges: B, probability of a class boundary, in 0..1.
        radius: distance, in cells, within which positions are joined.

    Raises:
        ShapeError: other than one map per image, maps without a position, or a radius below 1.
    """
    return _both_ways(1 - path_maxima(edges, radius, outside=1.0), radius)


def path_maxima(maps: Float[Tensor, "b 1 u v"], radius: int, outside: float = -math.inf) -> Float[Tensor, "b m u v"]:
    """Highest value on the straight path to each of :func:`forward_offsets`, both ends included; differentiable.

    The path holds, for every row or column that it crosses (whichever are more), the nearest position, or both where
    two are as near; so it is the same from either end, and mirrored in a mirrored map.

    Args:
        maps: any values.
        radius: distance, in cells, within which positions are joined.
        outside: value of positions outside the map.

    Raises:
        ShapeError: other than one map per image, maps without a position, or a radius below 1.
    """
    _refuse_empty(maps)
    if maps.shape[1] != 1:
        raise ShapeError(f"one map per image is expected, got {maps.shape[1]}; join them first")
    u, v = maps.shape[-2:]
    padded = pad(maps[:, 0], (radius,) * 4, value=outside)
    return torch.stack(
        [
            torch.stack(
                [padded[:, radius + y : radius + y + u, radius + x : radius + x + v] for y, x in _path(dy, dx)]
            ).amax(dim=0)
            for dy, dx in forward_offsets(radius)
        ],
        dim=1,
    )


def transition(affinity: Float[Tensor, "b n u v"], beta: float = 10.0) -> Float[Tensor, "b n u v"]:
    r"""Compute the probabilities of a step of the walk.

    .. math:: T_{ij} = \frac{a_{ij}^\beta}{\sum_k a_{ik}^\beta}

    At each position they sum to one.

    Args:
        affinity: in 0..1, 1 in the middle.
        beta: the higher, the less is passed on between positions that are not quite alike.

    Raises:
        ShapeError: no positive beta.
    """
    if not beta > 0:
        raise ShapeError(f"beta must be above 0, got {beta}")
    powers = affinity.pow(beta)
    return powers / powers.sum(dim=1, keepdim=True)


@torch.no_grad()
def random_walk(
    transition: Float[Tensor, "b n u v"], scores: Float[Tensor, "b k u v"], radius: int = 5, steps: int = 256
) -> Float[Tensor, "b k u v"]:
    r"""Compute scores after some steps of the walk, :math:`T^t s`: means over the positions that it may reach.

    Up to rounding, scores stay in their range, sums of one stay one, and constants do not change.

    A step costs n k multiplications per position: for 37x37 positions, 4 classes and radius 5, 0.44 million, where one
    squaring of the dense matrix costs 2,600 million. Nor are all t steps taken. T of a symmetric affinity has real
    eigenvalues in -1..1, on which

    .. math:: x^t = 2^{1 - t} {\sum_j}' \binom{t}{(t - j) / 2} C_j(x), \quad j = t, t - 2, \dots

    (C_j: Chebyshev's polynomials; the term of j = 0 counts half), and terms with j of more than a few
    :math:`\sqrt t` are below the rounding error: 256 steps cost 82 products in float32.

    Args:
        transition: T, of a symmetric affinity.
        scores: s, any scale.
        radius: of the affinity.
        steps: t, 0 or more; 0 gives the scores back.

    Raises:
        ShapeError: transition and scores do not fit together, maps without a position, or negative steps.
    """
    _refuse_empty(scores)
    around = offsets(radius)
    wanted = (len(scores), len(around), *scores.shape[-2:])
    if transition.shape != wanted:
        raise ShapeError(
            f"random_walk expects a transition of shape {wanted} for scores {tuple(scores.shape)} and radius {radius}, "
            f"got {tuple(transition.shape)}; resize the scores to the affinity's grid and give its radius"
        )
    if steps < 0:
        raise ShapeError(f"steps must be 0 or more, got {steps}")
    dtype = torch.promote_types(scores.dtype, torch.float32)
    weights = torch.split(transition.to(dtype), 1, dim=1)
    now = scores.to(dtype)
    u, v = scores.shape[-2:]
    padded = pad(now, (radius,) * 4)
    inside = padded[..., radius : radius + u, radius : radius + v]
    neighbours = [padded[..., radius + y : radius + y + u, radius + x : radius + x + v] for y, x in around]
    before, result = now, torch.zeros_like(now)
    for order, share in enumerate(_chebyshev(steps, torch.finfo(dtype).eps)):
        if order > 0:  # C_1 = T, C_{j+1} = 2 T C_j - C_{j-1}
            moved = torch.zeros_like(now)
            for weight, neighbour in zip(weights, neighbours, strict=True):
                moved.addcmul_(weight, neighbour)
            before, now = now, moved if order == 1 else moved.mul_(2).sub_(before)
            inside.copy_(now)
        if share > 0:
            result.add_(now, alpha=share)
    return result.to(scores.dtype)


def _chebyshev(power: int, smallest: float) -> list[float]:
    """Coefficients of x**power in Chebyshev's polynomials, without the high ones below ``smallest``; they sum to 1."""
    found = []
    for order in range(power + 1):
        share = 0.0
        if (power - order) % 2 == 0:
            share = math.comb(power, (power - order) // 2) / 2 ** (power if order == 0 else power - 1)
            if share < smallest:  # they fall with the order
                break
        found.append(share)
    while found[-1] == 0:
        found.pop()
    total = math.fsum(found)  # 1 apart from the omitted ones; dividing by it keeps constants
    return [share / total for share in found]


def _path(dy: int, dx: int) -> list[tuple[int, int]]:
    """Positions on the straight line from (0, 0) to (dy, dx); two abreast where it runs right between them."""
    length = max(abs(dy), abs(dx))
    return sorted(
        {(y, x) for step in range(length + 1) for y in _nearest(dy * step, length) for x in _nearest(dx * step, length)}
    )


def _nearest(numerator: int, denominator: int) -> set[int]:
    """Return the integers nearest to a fraction: one, or two for a half."""
    double = 2 * numerator
    return {(double + denominator) // (2 * denominator), -((denominator - double) // (2 * denominator))}


def _joined(dy: int, dx: int, u: int, v: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return slices of the positions with a neighbour at an offset (smaller than the grid), and of the neighbours."""
    here = slice(max(0, -dy), u - max(0, dy)), slice(max(0, -dx), v - max(0, dx))
    there = slice(max(0, dy), u + min(0, dy)), slice(max(0, dx), v + min(0, dx))
    return here, there


def _both_ways(half: Tensor, radius: int) -> Tensor:
    """Return the whole stencil of a symmetric affinity, from the half of :func:`forward_offsets`."""
    u, v = half.shape[-2:]
    back = torch.zeros_like(half)
    for index, (dy, dx) in enumerate(forward_offsets(radius)):
        if dy < u and abs(dx) < v:
            here, there = _joined(dy, dx, u, v)
            back[(slice(None), index, *there)] = half[(slice(None), index, *here)]
    return torch.cat([back.flip(1), torch.ones_like(half[:, :1]), half], dim=1)


def _refuse_empty(maps: Tensor) -> None:
    if 0 in maps.shape[-2:]:
        raise ShapeError(f"maps must have at least one position, got {tuple(maps.shape)}; give larger images")
