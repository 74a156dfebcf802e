"""Photographs for joint training: one geometry for image, base mask and USS features alike."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate
from torch.utils.data import Dataset

from dhr.data.samples import VOID, DataSet, Sample
from dhr.data.transforms import working_image
from dhr.train.crops import jittered
from dhr.train.fitting import mix


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
    def draw(size: tuple[int, int], side: int, scales: tuple[float, float], rng: random.Random) -> "Geometry":
        """A random crop of a photograph of ``size``, which is enlarged as far as the crop needs it."""
        height, width = size
        scale = max(rng.uniform(*scales), side / min(height, width))
        height, width = (max(side, round(length * scale)) for length in size)
        top, left = rng.randint(0, height - side), rng.randint(0, width - side)
        return Geometry(height, width, top, left, side, rng.random() < 0.5)

    def image(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 s s"]:
        """The crop of an image."""
        whole = interpolate(
            image[None], (self.height, self.width), mode="bilinear", align_corners=False, antialias=True
        )
        return self._cut(whole[0])

    def mask(self, mask: UInt8[np.ndarray, "h w"]) -> Int[Tensor, "s s"]:
        """The crop of a mask of any size, no label mixed with another."""
        # As bytes; torch rounds to the nearest pixel of those too.
        whole = interpolate(torch.from_numpy(mask)[None, None], (self.height, self.width), mode="nearest-exact")
        return self._cut(whole[0, 0]).long()

    def features(self, features: Float[Tensor, "d u v"], cells: int) -> Float[Tensor, "d c c"]:
        """The crop of features on a grid over the whole photograph, at the centres of ``cells`` x ``cells`` cells."""
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


class CropBatch(NamedTuple):
    """A batch."""

    images: Float[Tensor, "b 3 s s"]
    tags: Float[Tensor, "b t"]
    """1 for what the photograph is tagged with, 0 for all else that can be tagged."""
    classes: Int[Tensor, "b k"]
    """The tags as indices of the classes that can be tagged; padded with 0."""
    valid: Bool[Tensor, "b k"]
    """Which of them may be in the crop."""
    base: Int[Tensor, "b s s"]
    """M_base as class ids; 255 is void. Without masks, the background of photographs without tags is known still."""
    uss: Float[Tensor, "b d u v"]


class CropDataset(Dataset[CropBatch]):
    """Crops by (epoch, index); what they hold depends on that and the seed, not on who loads them, or when.

    A tag counts as being in the crop if the base mask has it there, or nowhere in the photograph (then who knows).

    Args:
        mask: M_base of a photograph, or None: all is void (background without tags), and all tags may be everywhere.
        features: F_us of a photograph on any grid, or None where nothing is rebalanced.
        cells: cells of a crop each way, for the features.
    """

    def __init__(
        self,
        data: DataSet,
        samples: Sequence[Sample],
        mask: Callable[[Sample], UInt8[np.ndarray, "h w"]] | None,
        features: Callable[[Sample], Float[Tensor, "d u v"]] | None,
        *,
        side: int,
        cells: int,
        scale: tuple[float, float],
        jitter: float,
        long_side: int,
        seed: int,
    ) -> None:
        self.data, self.samples = data, samples
        self.mask, self.features = mask, features
        self.side, self.cells, self.scale, self.jitter = side, cells, scale, jitter
        self.long_side, self.seed = long_side, seed
        self.most = max(1, *(len(sample.tags) for sample in samples))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> CropBatch:
        """The crop of photograph ``index`` in ``epoch``.

        Raises:
            ItemError: it cannot be read.
        """
        epoch, index = key
        sample, rng = self.samples[index], random.Random(mix(self.seed, epoch, index))
        rgb = self.data.read_image(sample)
        image = working_image(rgb, self.long_side)
        crop = Geometry.draw((image.shape[-2], image.shape[-1]), self.side, self.scale, rng)
        return self.cut(sample, image, crop, rng)

    def cut(self, sample: Sample, image: Tensor, crop: Geometry, rng: random.Random | None) -> CropBatch:
        """A chosen crop; colours are changed if there is ``rng``."""
        first = self.data.classes.foreground.start
        tags = torch.zeros(len(self.data.classes.foreground))
        indices = [tag - first for tag in sample.tags]
        tags[indices] = 1
        classes = torch.zeros(self.most, dtype=torch.int64)
        classes[: len(indices)] = torch.tensor(indices, dtype=torch.int64)
        valid = torch.zeros(self.most, dtype=torch.bool)
        if self.mask is None:
            base = torch.full((self.side, self.side), VOID if indices else 0)
            valid[: len(indices)] = True
        else:
            whole = self.mask(sample)
            base = crop.mask(whole)
            here, anywhere = set(np.unique(base.numpy()).tolist()), set(np.unique(whole).tolist())
            there = [tag in here or tag not in anywhere for tag in sample.tags]
            valid[: len(indices)] = torch.tensor(there, dtype=torch.bool)
        picture = crop.image(image)
        if rng is not None:
            picture = jittered(picture, self.jitter, rng)
        uss = torch.zeros(1, 1, 1)
        if self.features is not None:
            uss = crop.features(self.features(sample), self.cells)
        return CropBatch(picture, tags, classes, valid, base, uss)


class EndlessBatches:
    """Which crops make the batches ``first`` to ``last``: a permutation of the photographs after another, without end.

    So every batch is full, however few photographs there are. Of each batch, process ``rank`` of ``world`` takes its
    share.
    """

    def __init__(self, count: int, batch: int, seed: int, first: int, last: int, rank: int = 0, world: int = 1) -> None:
        self.count, self.batch, self.seed = count, batch, seed
        self.first, self.last, self.rank, self.world = first, last, rank, world

    def __len__(self) -> int:
        return max(0, self.last - self.first)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        known = -1
        order: Int[np.ndarray, " count"] = np.zeros(0, np.int64)
        for step in range(self.first, self.last):
            keys = []
            for at in range(step * self.batch, (step + 1) * self.batch):
                epoch, place = divmod(at, self.count)
                if epoch != known:
                    known, order = epoch, np.random.default_rng(mix(self.seed, epoch)).permutation(self.count)
                keys.append((epoch, int(order[place])))
            share = math.ceil(self.batch / self.world)
            yield keys[self.rank * share : (self.rank + 1) * share]
