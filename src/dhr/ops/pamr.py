"""Pixel-adaptive mask refinement (PAMR; Araslanov and Roth, CVPR 2020): masks follow the edges of the image."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from dhr.errors import ShapeError

DILATIONS = (1, 2, 4, 8, 12, 24)
"""Distances, in pixels, of the neighbours."""

_AROUND = 8  # neighbours at one distance


class Pamr:
    """Refinement by the colours of a batch of images, whose weights are made once for any number of scores.

    On the CPU, float32 is refined by compiled kernels. On other devices maps and weights are in half precision, and
    their sums in single precision: reading them takes the time. Float64 is refined in float64 everywhere.
    """

    def __init__(
        self, images: Float[Tensor, "b 3 h w"], dilations: Sequence[int] = DILATIONS, contrast: float = 0.1
    ) -> None:
        """Args: see :func:`pamr`."""
        self.images, self.dilations, self.contrast = images, tuple(dilations), contrast
        self._made: tuple[torch.dtype, Tensor] | None = None

    @torch.no_grad()
    def __call__(self, scores: Float[Tensor, "b k h w"], iterations: int = 10) -> Float[Tensor, "b k h w"]:
        """Return refined scores. Raises ShapeError as :func:`pamr`."""
        images = self.images
        if images.shape[-2:] != scores.shape[-2:] or len(images) != len(scores):
            raise ShapeError(
                f"pamr expects images and scores of one size, got {tuple(images.shape)} and {tuple(scores.shape)}; "
                "resize the scores to the images"
            )
        if iterations <= 0:
            return scores
        if scores.device.type == images.device.type == "cpu" and scores.dtype == torch.float32:
            return _compiled(images, scores, iterations, self.dilations, self.contrast)
        if scores.device.type == "cpu" or scores.dtype == torch.float64:
            return self.averaged(scores, iterations, scores.dtype, scores.dtype)
        return self.averaged(scores, iterations, torch.float16, torch.float32).to(scores.dtype)

    def averaged(self, scores: Tensor, iterations: int, values: torch.dtype, sums: torch.dtype) -> Tensor:
        """Compute the means in PyTorch, maps and weights of one type, sums of another."""
        weights, margin = self._weights(values), max(self.dilations)
        size = scores.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(torch.finfo(sums).tiny).to(sums)
        now = scores.to(sums) / size  # half precision holds numbers up to 1 best
        for _ in range(iterations):
            neighbours = _shifted(pad(now.to(values), (margin,) * 4, mode="replicate"), self.dilations)
            now = torch.zeros_like(now)
            for start in range(0, len(neighbours), _AROUND):  # of one distance; their sum may be less exact
                part = weights[start] * neighbours[start]
                for index in range(start + 1, start + _AROUND):
                    part.addcmul_(weights[index], neighbours[index])
                now += part
        return now * size

    def _weights(self, values: torch.dtype) -> Tensor:
        if self._made is None or self._made[0] != values:
            self._made = values, _affinity(self.images, self.dilations, self.contrast).to(values)
        return self._made[1]  # (n, b, 1, h, w)


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
        dilations: distances of the neighbours.
        contrast: s.

    Raises:
        ShapeError: images and scores differ in size.
    """
    return Pamr(images, dilations, contrast)(scores, iterations)


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
