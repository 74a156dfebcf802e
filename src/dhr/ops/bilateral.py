"""Joint bilateral upsampling (Kopf et al., SIGGRAPH 2007): coarse maps on a finer grid, along the edges of an image."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

from dhr.errors import ShapeError


@torch.no_grad()
def bilateral_upsample(
    maps: Float[Tensor, "b d u v"],
    images: Float[Tensor, "b 3 h w"],
    grid: tuple[int, int],
    radius: int = 2,
    spread: float = 0.7,
    contrast: float = 0.1,
) -> Float[Tensor, "b d p q"]:
    r"""Each place takes the mean of the cells around it, weighted by nearness and by how alike both look.

    .. math:: \hat F_p = \frac{1}{k_p} \sum_{q \in N(p)} F_q \,
              \exp\Bigl(-\frac{\lVert p_\downarrow - q\rVert^2}{2 s^2}\Bigr)
              \exp\Bigl(-\frac{\lVert I_p - I_q\rVert^2}{2 c^2}\Bigr)

    Eq. 3 of Kopf et al. (2007) with Gaussians; N(p) is the square of cells at most ``radius`` from the cell that p lies
    in, I_p and I_q are mean colours of the place and of the cell, k_p makes the weights one in sum. Nothing is learnt
    (FeatUp, Fu et al. 2024, learns both Gaussians). Values stay within the range of the cells around.

    Args:
        maps: on any grid over the images.
        images: RGB in 0..1, the guide.
        grid: height and width of the result; meant to be finer than the maps.
        radius: >= 0; 0 repeats each cell.
        spread: s, in cells.
        contrast: c, in units of colour.

    Raises:
        ShapeError: maps and images are of different number.
    """
    if len(maps) != len(images):
        raise ShapeError(f"bilateral_upsample expects an image for each of the maps, got {len(images)} for {len(maps)}")
    if maps.dtype.itemsize < 4:  # weights need more digits than half precision has
        return bilateral_upsample(maps.float(), images, grid, radius, spread, contrast).to(maps.dtype)
    u, v = maps.shape[-2:]
    guide = images.to(maps.dtype)
    coarse, fine = _mean_colours(guide, (u, v)), _mean_colours(guide, grid)
    rows, row_offsets = _cells(grid[0], u, maps)
    columns, column_offsets = _cells(grid[1], v, maps)
    edge = (radius,) * 4
    padded, colours = pad(maps, edge, mode="replicate"), pad(coarse, edge, mode="replicate")
    result = maps.new_zeros(*maps.shape[:2], *grid)
    total = maps.new_zeros(len(maps), 1, *grid)
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            y, x = rows + dy, columns + dx  # in the padded maps, where everything lies `radius` further
            colour = colours[:, :, y][:, :, :, x]  # (b, 3, p, q)
            unlike = (fine - colour).square().sum(dim=1, keepdim=True) / (2 * contrast**2)
            far = (row_offsets - (dy - radius)).square()[:, None] + (column_offsets - (dx - radius)).square()
            weight = torch.exp(-unlike - far / (2 * spread**2))
            result.addcmul_(padded[:, :, y][:, :, :, x], weight)
            total += weight
    # Where nothing around looks alike, all weights may be too small for the numbers: then the nearest cell it is.
    nearest = maps[:, :, rows][:, :, :, columns]
    return torch.where(total > 1e-20, result / total.clamp_min(1e-20), nearest)


def _mean_colours(images: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def _cells(count: int, coarse: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Of each of ``count`` places along an axis: the cell that it lies in, and its way from the cell's centre."""
    places = (torch.arange(count, device=like.device, dtype=torch.float64) + 0.5) * (coarse / count)
    cells = places.floor().long().clamp(0, coarse - 1)
    return cells, (places - cells - 0.5).to(like.dtype)
