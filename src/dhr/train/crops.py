"""Random crops of photographs: their geometry, and the data sets that draw a new crop in each epoch."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample

from dhr.data.samples import DataSet, Sample
from dhr.train.fitting import EpochDataset, mix
from dhr.train.kept_pixels import KeptPixels


@dataclass(frozen=True)
class TrainingSet:
    """The photographs that a network is trained on."""

    data: DataSet
    samples: Sequence[Sample]
    long_side: int
    """See :class:`~dhr.data.transforms.ImageConfig`."""
    seed: int
    """All randomness is a function of this, the epoch and the photograph."""

    @cached_property
    def pixels(self) -> KeptPixels:
        """Returns the working image of a photograph, as RGB in 0..255."""
        return KeptPixels(self.data, self.long_side)

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

    def pixels(self, pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[Tensor, "s s 3"]:
        """Cut the crop out of a photograph.

        Only the region of the crop is scaled, and the pixels around it that the filter reaches. The result is the same
        as if the whole photograph were scaled, and then cut.
        """
        rows = _source(self.top, self.side, pixels.shape[0], self.height)
        columns = _source(self.left, self.side, pixels.shape[1], self.width)
        part = Image.fromarray(pixels[rows.near, columns.near])
        box = (columns.start, rows.start, columns.end, rows.end)
        cut = np.asarray(part.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box))
        return torch.from_numpy(np.ascontiguousarray(cut[:, ::-1]) if self.flip else cut.copy())

    def mask(self, mask: UInt8[np.ndarray, "h w"]) -> UInt8[Tensor, "s s"]:
        """Cut the crop out of a mask of any size; each pixel gets the label at its centre."""
        cells = np.arange(self.side) + 0.5
        rows, columns = (
            np.minimum((first + cells) * (length / scaled), length - 1).astype(np.int64)
            for first, length, scaled in zip((self.top, self.left), mask.shape, (self.height, self.width), strict=True)
        )
        return torch.from_numpy(mask[np.ix_(rows, columns[::-1] if self.flip else columns)])

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


@dataclass(frozen=True)
class _Region:
    """The part of a row or column of pixels that a crop shows, and the pixels that are needed for it."""

    near: slice
    start: float
    """Relative to the first pixel of ``near``, like ``end``."""
    end: float


def _source(first: int, side: int, length: int, scaled: int) -> _Region:
    """Find the part of ``length`` pixels that is at ``first`` to ``first + side`` once scaled to ``scaled``."""
    factor = length / scaled
    start, end = first * factor, min((first + side) * factor, float(length))
    reach = max(1.0, factor) + 1  # of the filter, which is wider where pixels are merged
    low, high = max(0, math.floor(start - reach)), min(length, math.ceil(end + reach))
    return _Region(slice(low, high), start - low, min(end, float(high)) - low)


class RandomCrops(EpochDataset):
    """Randomly scaled, cropped and mirrored photographs; subclasses add what else an item holds."""

    def __init__(self, photographs: TrainingSet, side: int, scale: tuple[float, float]) -> None:
        self.photographs, self.side, self.scale = photographs, side, scale

    def __len__(self) -> int:
        return len(self.photographs.samples)

    def source(self, index: int) -> str:
        """See :class:`EpochDataset`."""
        return self.photographs.samples[index].source

    def crop(self, epoch: int, index: int) -> tuple[UInt8[Tensor, "s s 3"], random.Random]:
        """Draw a crop, RGB in 0..255; also return the generator for the rest of its randomness.

        Raises:
            ItemError: the photograph cannot be read.
        """
        rng = random.Random(mix(self.photographs.seed, epoch, index))
        pixels = self.photographs.pixels(self.photographs.samples[index])
        geometry = Geometry.draw(pixels.shape[:2], self.side, self.scale, rng, stretch=True)
        return geometry.pixels(pixels), rng
