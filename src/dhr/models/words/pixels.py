"""Images as a network reads them: their size and scaling."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.errors import WeightsError
from dhr.models.config import WssConfig
from dhr.models.pretrained import Place

Colour = tuple[float, float, float]
_BICUBIC = 3  # of Pillow


@dataclass(frozen=True)
class Pixels:
    """Size and scaling of a network's images."""

    side: tuple[int, int] | None
    """Rows and columns; None if it takes any size."""
    bicubic: bool
    """Whether images are resized by cubic instead of linear functions."""
    mean: Colour
    std: Colour

    def sized(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 _ _"]:
        """Stretch RGB images in 0..1 to the network's size, and scale them."""
        assert self.side is not None
        if images.shape[-2:] != self.side:
            mode = "bicubic" if self.bicubic else "bilinear"
            images = interpolate(images, self.side, mode=mode, align_corners=False, antialias=True).clamp(0, 1)
        return self.scaled(images)

    def scaled(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Scale RGB images in 0..1."""
        return (images - _colour(self.mean, images.device)) / _colour(self.std, images.device)


@lru_cache(maxsize=16)
def _colour(value: Colour, device: torch.device) -> Float[Tensor, "3 1 1"]:
    """Return a colour on the device; it is copied there once."""
    return torch.tensor(value).view(3, 1, 1).to(device)


def read_pixels(transformers: Any, place: Place, config: WssConfig, *, fixed: bool) -> Pixels:
    """Read how a network's images are prepared; `wss.mean` and `wss.std` come first.

    Args:
        fixed: whether the network needs images of one size.

    Raises:
        WeightsError: the file on it is missing or lacks the size.
    """
    asked = place.asked
    processor = place.had(lambda: transformers.AutoImageProcessor.from_pretrained(place.name, **asked))
    found = getattr(processor, "size", None) or {}
    side: tuple[int, int] = (int(found.get("height") or 0), int(found.get("width") or 0))
    if fixed and min(side) < 1:
        raise WeightsError(
            f"preprocessor_config.json of {place.name!r} lacks the height and width of its images; copy all files of "
            f"the {place.what}"
        )
    scaled = bool(getattr(processor, "do_normalize", False))
    mean = config.mean or (tuple(processor.image_mean) if scaled else (0.0, 0.0, 0.0))
    std = config.std or (tuple(processor.image_std) if scaled else (1.0, 1.0, 1.0))
    bicubic = int(getattr(processor, "resample", None) or 0) == _BICUBIC
    return Pixels(side if fixed else None, bicubic, mean, std)
