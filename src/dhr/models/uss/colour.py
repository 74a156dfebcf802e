"""Colour and texture statistics: features that need neither weights nor training."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, interpolate, pad

from dhr.models.config import UssConfig

STRIDE = 4
"""Pixels per cell of the feature grid."""
_SIZES = (5, 13)
"""Windows, in pixels, of the local statistics."""


class ColourFeatures:
    """Local mean and spread of opponent colours, and local energy of oriented edges, at two sizes.

    Each channel is standardised over the image, so two places have a high cosine if they differ from the average of the
    image in the same way. The idea is that of texton and colour descriptors (Shotton et al. 2009), without a learnt
    dictionary.
    """

    dim = 2 * (3 + 3 + 4)
    cell = STRIDE
    trained_on = 0

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Compute features of RGB images in 0..1, at a quarter of their size."""
        opponent = _opponent(images)
        edges = _edges(opponent[:, :1])
        parts = []
        for size in _SIZES:
            mean = _window(opponent, size)
            spread = (_window(opponent.square(), size) - mean.square()).clamp_min(0).sqrt()
            parts += [mean, spread, _window(edges, size).sqrt()]
        features = torch.cat(parts, dim=1)
        height, width = (max(1, s // STRIDE) for s in images.shape[-2:])
        features = interpolate(features, (height, width), mode="area")
        centred = features - features.mean(dim=(2, 3), keepdim=True)
        return centred / centred.square().mean(dim=(2, 3), keepdim=True).sqrt().clamp_min(1e-3)


def build_colour(config: UssConfig) -> ColourFeatures:
    """Make the features; no setting matters."""
    return ColourFeatures()


def _opponent(images: Tensor) -> Tensor:
    """Lightness, red-green, yellow-blue."""
    red, green, blue = images.unbind(1)
    return torch.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], dim=1)


def _edges(light: Tensor) -> Tensor:
    """Squared responses of four oriented derivative filters, (b, 4, h, w)."""
    x = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=light.device, dtype=light.dtype) / 8
    d = torch.tensor([[-2.0, -1, 0], [-1, 0, 1], [0, 1, 2]], device=light.device, dtype=light.dtype) / 8
    kernels = torch.stack([x, x.T, d, d.flip(1)]).unsqueeze(1)  # (4, 1, 3, 3)
    return conv2d(pad(light, (1, 1, 1, 1), mode="replicate"), kernels).square()


def _window(values: Tensor, size: int) -> Tensor:
    """Compute the mean over a square window, at borders over the pixels inside the image."""
    return avg_pool2d(values, size, stride=1, padding=size // 2, count_include_pad=False)
