"""Pixel-adaptive mask refinement (PAMR; Araslanov and Roth, CVPR 2020): masks follow the edges of the image."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from dhr.errors import ShapeError

DILATIONS = (1, 2, 4, 8, 12, 24)
"""Distances, in pixels, of the neighbours."""


@torch.no_grad()
def pamr(
    images: Float[Tensor, "b 3 h w"],
    scores: Float[Tensor, "b k h w"],
    iterations: int = 10,
    dilations: Sequence[int] = DILATIONS,
    contrast: float = 0.1,
) -> Float[Tensor, "b k h w"]:
    r"""Repeatedly replace each pixel's scores by the mean of its neighbours', weighted by how alike they look.

    .. math:: m_i \leftarrow \sum_{j \in N(i)} \alpha_{ij} m_j, \quad
              \alpha_{i\cdot} = \mathrm{softmax}_j\Bigl(-\tfrac13 \sum_c \frac{|I_{ic} - I_{jc}|}{s\,\sigma_{ic}}\Bigr)

    N(i) holds the eight neighbours at each dilation, borders repeated; sigma is the standard deviation of the
    colours in N(i), s the ``contrast``. Weights sum to one, so scores stay in their range, and sums of one stay one.

    Args:
        images: RGB in any range (only ratios count).
        scores: maps to refine, of the images' size.
        iterations: >= 0; 0 gives the scores back.

    Raises:
        ShapeError: images and scores differ in size.
    """
    if images.shape[-2:] != scores.shape[-2:] or len(images) != len(scores):
        raise ShapeError(
            f"pamr expects images and scores of one size, got {tuple(images.shape)} and {tuple(scores.shape)}; "
            "resize the scores to the images"
        )
    if iterations <= 0:
        return scores
    if scores.device.type == images.device.type == "cpu" and scores.dtype == torch.float32:
        return _compiled(images, scores, iterations, dilations, contrast)
    weights = _affinity(images, dilations, contrast).to(scores.dtype)  # (n, b, 1, h, w)
    margin = max(dilations)
    for _ in range(iterations):
        neighbours = _shifted(pad(scores, (margin,) * 4, mode="replicate"), dilations)
        refined = torch.zeros_like(scores)
        for weight, neighbour in zip(weights, neighbours, strict=True):
            refined.addcmul_(weight, neighbour)
        scores = refined
    return scores


def _compiled(images: Tensor, scores: Tensor, iterations: int, dilations: Sequence[int], contrast: float) -> Tensor:
    """Compute the same, several times as fast (docs/measurements.md)."""
    from dhr.ops.pamr_cpu import pamr_cpu

    steps = _offsets(dilations)
    pairs = zip(images.detach().float().numpy(), scores.detach().numpy(), strict=True)
    return torch.stack([torch.from_numpy(pamr_cpu(*pair, iterations, steps, contrast)) for pair in pairs])


def _affinity(images: Tensor, dilations: Sequence[int], contrast: float) -> Tensor:
    """Compute the weights alpha of the neighbours, (n, b, 1, h, w), summing to one over n."""
    margin = max(dilations)
    neighbours = _shifted(pad(images, (margin,) * 4, mode="replicate"), dilations)
    centre = images.mean(dim=(2, 3), keepdim=True)  # a variance from raw moments loses digits far from zero
    total, square = torch.zeros_like(images), torch.zeros_like(images)
    for neighbour in neighbours:
        offset = neighbour - centre
        total += offset
        square.addcmul_(offset, offset)
    n = len(neighbours)
    variance = (square - total.square() / n).clamp_min(0) / (n - 1)
    scale = 1 / (3 * (contrast * variance.sqrt() + 1e-8))
    logits = torch.stack([-((images - neighbour).abs() * scale).sum(dim=1, keepdim=True) for neighbour in neighbours])
    return logits.softmax(dim=0)


def _shifted(padded: Tensor, dilations: Sequence[int]) -> list[Tensor]:
    """Views of the padded maps, one for each neighbour of a pixel."""
    margin = max(dilations)
    h, w = padded.shape[-2] - 2 * margin, padded.shape[-1] - 2 * margin
    return [padded[..., margin + dy : margin + dy + h, margin + dx : margin + dx + w] for dy, dx in _offsets(dilations)]


def _offsets(dilations: Sequence[int]) -> list[tuple[int, int]]:
    """Return the offsets of the neighbours of a pixel."""
    return [(dy, dx) for d in dilations for dy in (-d, 0, d) for dx in (-d, 0, d) if (dy, dx) != (0, 0)]
