"""Random crops of photographs: their geometry, their colours, and the data sets that draw a new crop in each epoch."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate
from torchvision.transforms.v2 import functional as tv

from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import working_image
from dhr.train.fitting import EpochDataset, mix


@dataclass(frozen=True)
class TrainingSet:
    """The photographs that a network is trained on."""

    data: DataSet
    samples: Sequence[Sample]
    long_side: int
    """See :class:`~dhr.data.transforms.ImageConfig`."""
    seed: int
    """All randomness is a function of this, the epoch and the photograph."""

    def image(self, sample: Sample) -> Float[Tensor, "3 h w"]:
        """Return the working image of a photograph.

        Raises:
            ItemError: it cannot be read.
        """
        return working_image(self.data.read_image(sample), self.long_side)

    def channels(self, sample: Sample) -> list[int]:
        """Return the tags of a photograph, as indices of the classes that can be tagged."""
        return [tag - self.data.classes.foreground.start for tag in sample.tags]

    def tag_vector(self, sample: Sample) -> Float[Tensor, " c"]:
        """1 for each tag of a photograph, 0 for all other classes that can be tagged."""
        tags = torch.zeros(len(self.data.classes.foreground))
        tags[self.channels(sample)] = 1
        return tags


@dataclass(frozen=True)
class Geometry:
    """A square crop of a photograph: scaled to ``height`` x ``width``, cut at ``top``, ``left``, mirrored or not."""

    height: int
    width: int
    top: int
    left: int
    side: int
    flip: bool

    @staticmethod
    def draw(
        size: tuple[int, int], side: int, scales: tuple[float, float], rng: random.Random, *, stretch: bool = False
    ) -> "Geometry":
        """Draw a crop of a photograph of ``size``.

        A photograph that is too small for the crop is enlarged, or, with ``stretch``, only its shorter side is.
        """
        scale = rng.uniform(*scales)
        if not stretch:
            scale = max(scale, side / min(size))
        height, width = (max(side, round(length * scale)) for length in size)
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        return Geometry(height, width, top, left, side, rng.random() < 0.5)

    def image(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 s s"]:
        """Cut the crop out of an image."""
        whole = interpolate(
            image[None], (self.height, self.width), mode="bilinear", align_corners=False, antialias=True
        )
        return self._cut(whole[0])

    def mask(self, mask: UInt8[np.ndarray, "h w"]) -> Int[Tensor, "s s"]:
        """Cut the crop out of a mask of any size; labels are never mixed."""
        whole = interpolate(torch.from_numpy(mask)[None, None], (self.height, self.width), mode="nearest-exact")
        return self._cut(whole[0, 0]).long()

    def features(self, features: Float[Tensor, "d u v"], cells: int) -> Float[Tensor, "d c c"]:
        """Sample features of the whole photograph at the centres of ``cells`` x ``cells`` cells of the crop."""
        steps = (torch.arange(cells) + 0.5) * (self.side / cells)
        x, y = (
            (start + steps) / length * 2 - 1 for start, length in ((self.left, self.width), (self.top, self.height))
        )
        if self.flip:
            x = x.flip(0)
        where = torch.stack([x[None, :].expand(cells, cells), y[:, None].expand(cells, cells)], dim=-1)
        return grid_sample(features[None], where[None], padding_mode="border", align_corners=False)[0]

    def _cut(self, maps: Tensor) -> Tensor:
        part = maps[..., self.top : self.top + self.side, self.left : self.left + self.side]
        return part.flip(-1) if self.flip else part


class RandomCrops(EpochDataset):
    """Randomly scaled, cropped and mirrored photographs; subclasses add what else an item holds."""

    def __init__(self, photographs: TrainingSet, side: int, scale: tuple[float, float]) -> None:
        self.photographs, self.side, self.scale = photographs, side, scale

    def __len__(self) -> int:
        return len(self.photographs.samples)

    def crop(self, index: int) -> tuple[Float[Tensor, "3 s s"], random.Random]:
        """Draw a crop, RGB in 0..1; also return the generator for the rest of its randomness.

        Raises:
            ItemError: the photograph cannot be read.
        """
        rng = random.Random(mix(self.photographs.seed, self.epoch, index))
        image = self.photographs.image(self.photographs.samples[index])
        size = (image.shape[-2], image.shape[-1])
        return Geometry.draw(size, self.side, self.scale, rng, stretch=True).image(image), rng


def jittered(image: Float[Tensor, "3 s s"], strength: float, rng: random.Random) -> Float[Tensor, "3 s s"]:
    """Change brightness, contrast and saturation at random; hue changes a third as much."""
    if strength == 0:
        return image
    low, high = max(0.0, 1 - strength), 1 + strength
    image = tv.adjust_brightness(image.clamp(0, 1), rng.uniform(low, high))
    image = tv.adjust_contrast(image, rng.uniform(low, high))
    image = tv.adjust_saturation(image, rng.uniform(low, high))
    changed: Tensor = tv.adjust_hue(image, rng.uniform(-1, 1) * min(0.5, strength / 3))
    return changed
