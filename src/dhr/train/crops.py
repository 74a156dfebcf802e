"""Photographs as trainings see them: another crop at another size in each epoch."""

import random
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.v2 import functional as tv

from dhr.data.samples import DataSet, Sample
from dhr.data.transforms import working_image
from dhr.train.fitting import EpochDataset, mix


class RandomCrops(EpochDataset):
    """Randomly scaled, cropped and mirrored photographs; what else belongs to an item is for heirs to add."""

    def __init__(
        self,
        data: DataSet,
        samples: Sequence[Sample],
        side: int,
        scale: tuple[float, float],
        long_side: int,
        seed: int,
    ) -> None:
        self.data, self.samples = data, samples
        self.side, self.scale = side, scale
        self.long_side, self.seed = long_side, seed

    def __len__(self) -> int:
        return len(self.samples)

    def crop(self, index: int) -> tuple[Float[Tensor, "3 s s"], random.Random]:
        """A square crop of a photograph, RGB in 0..1, and the generator to draw the rest of its randomness from.

        Raises:
            ItemError: the photograph cannot be read.
        """
        rng = random.Random(mix(self.seed, self.epoch, index))
        image = working_image(self.data.read_image(self.samples[index]), self.long_side)
        return _cut(image, self.side, self.scale, rng), rng


def _cut(image: Tensor, side: int, scales: tuple[float, float], rng: random.Random) -> Tensor:
    scale = rng.uniform(*scales)
    height, width = (max(side, round(length * scale)) for length in image.shape[-2:])
    resized = interpolate(image[None], (height, width), mode="bilinear", align_corners=False, antialias=True)[0]
    top, left = rng.randint(0, height - side), rng.randint(0, width - side)
    crop = resized[:, top : top + side, left : left + side]
    return crop.flip(-1) if rng.random() < 0.5 else crop


def jittered(image: Float[Tensor, "3 s s"], strength: float, rng: random.Random) -> Float[Tensor, "3 s s"]:
    """Randomly changed brightness, contrast and saturation; hue changes a third as much."""
    if strength == 0:
        return image
    low, high = max(0.0, 1 - strength), 1 + strength
    image = tv.adjust_brightness(image.clamp(0, 1), rng.uniform(low, high))
    image = tv.adjust_contrast(image, rng.uniform(low, high))
    image = tv.adjust_saturation(image, rng.uniform(low, high))
    changed: Tensor = tv.adjust_hue(image, rng.uniform(-1, 1) * min(0.5, strength / 3))
    return changed
