"""Crops for the training of a student: image, tags, base mask and USS features with the same geometry."""

import math
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from dhr.data.samples import VOID, Sample
from dhr.train.colours import PLAIN, coloured, drawn_colours
from dhr.train.config import StudentTrainingConfig
from dhr.train.crops import Geometry, TrainingSet
from dhr.train.fitting import mix


class CropBatch(NamedTuple):
    """A batch of crops."""

    images: Float[Tensor, "b 3 s s"]
    tags: Float[Tensor, "b t"]
    """1 for each tag of the photograph, 0 for all other classes that can be tagged."""
    classes: Int[Tensor, "b k"]
    """The tags as indices of the classes that can be tagged; padded with 0."""
    valid: Bool[Tensor, "b k"]
    """True for tags that may be in the crop."""
    base: Int[Tensor, "b s s"]
    """M_base as class ids; 255 is void. Without masks, photographs without tags are background."""
    uss: Float[Tensor, "b d u v"]


class LoadedCrop(NamedTuple):
    """A crop as it is loaded, before its colours are changed; see :class:`CropBatch`. Also a batch of them."""

    pixels: UInt8[Tensor, "*b s s 3"]
    colours: Float[Tensor, "*b 4"]
    """See :func:`~dhr.train.colours.drawn_colours`."""
    tags: Float[Tensor, "*b t"]
    classes: Int[Tensor, "*b k"]
    valid: Bool[Tensor, "*b k"]
    base: UInt8[Tensor, "*b s s"]
    uss: Float[Tensor, "*b d u v"]

    def finished(self) -> CropBatch:
        """Return a batch with its colours changed, on the device that it is on."""
        images = coloured(self.pixels, self.colours)
        return CropBatch(images, self.tags, self.classes, self.valid, self.base.long(), self.uss)


class CropDataset:
    """Crops by (epoch, index); their content depends on these and the seed, not on processes or order.

    A tag may be in the crop if the base mask has it in the crop, or nowhere in the photograph.

    Args:
        config: side, sizes and colours of the crops.
        mask: M_base of a photograph, or None: all is void (background without tags), and all tags may be everywhere.
        features: F_us of a photograph on any grid, or None if nothing is rebalanced.
        cells: cells per side of a crop, for the features.
    """

    def __init__(
        self,
        photographs: TrainingSet,
        config: StudentTrainingConfig,
        mask: Callable[[Sample], UInt8[np.ndarray, "h w"]] | None,
        features: Callable[[Sample], Float[Tensor, "d u v"]] | None,
        cells: int,
    ) -> None:
        self.photographs, self.config = photographs, config
        self.mask, self.features, self.cells = mask, features, cells
        self.most = max(1, *(len(sample.tags) for sample in photographs.samples))

    def __len__(self) -> int:
        return len(self.photographs.samples)

    def __getitem__(self, key: tuple[int, int]) -> LoadedCrop:
        """Draw the crop of photograph ``index`` in ``epoch``.

        Raises:
            ItemError: it cannot be read.
        """
        epoch, index = key
        sample, rng = self.photographs.samples[index], random.Random(mix(self.photographs.seed, epoch, index))
        pixels = self.photographs.pixels(sample)
        geometry = Geometry.draw(pixels.shape[:2], self.config.crop, self.config.scale, rng)
        return self.cut(sample, pixels, geometry, drawn_colours(self.config.jitter, rng))

    def source(self, key: tuple[int, int]) -> str:
        """Return the name of a photograph in messages."""
        return self.photographs.samples[key[1]].source

    def middle(self, sample: Sample) -> LoadedCrop:
        """Cut the largest square out of the middle of a photograph, in its own colours.

        Raises:
            ItemError: it cannot be read.
        """
        side, pixels = self.config.crop, self.photographs.pixels(sample)
        height, width = (max(side, round(side * one / min(pixels.shape[:2]))) for one in pixels.shape[:2])
        middle = Geometry(height, width, (height - side) // 2, (width - side) // 2, side, flip=False)
        return self.cut(sample, pixels, middle, PLAIN)

    def cut(
        self, sample: Sample, pixels: UInt8[np.ndarray, "h w 3"], geometry: Geometry, colours: Float[Tensor, "4"]
    ) -> LoadedCrop:
        """Cut a given crop of a photograph.

        Raises:
            ItemError: its mask or its features cannot be read.
        """
        indices = self.photographs.channels(sample)
        count = len(indices)
        classes = torch.zeros(self.most, dtype=torch.int64)
        classes[:count] = torch.tensor(indices, dtype=torch.int64)
        valid = torch.zeros(self.most, dtype=torch.bool)
        if self.mask is None:
            base = torch.full((geometry.side, geometry.side), VOID if indices else 0, dtype=torch.uint8)
            valid[:count] = True
        else:
            whole = self.mask(sample)
            base = geometry.mask(whole)
            here, anywhere = (np.bincount(one.ravel(), minlength=VOID + 1) > 0 for one in (base.numpy(), whole))
            there = [bool(here[tag] or not anywhere[tag]) for tag in sample.tags]
            valid[:count] = torch.tensor(there, dtype=torch.bool)
        uss = torch.zeros(1, 1, 1)
        if self.features is not None:
            uss = geometry.features(self.features(sample), self.cells)
        return LoadedCrop(
            geometry.pixels(pixels), colours, self.photographs.tag_vector(sample), classes, valid, base, uss
        )


class EndlessBatches:
    """Yields the (epoch, index) of the crops in batches ``first`` to ``last``.

    They are cut from an endless row of permutations of the photographs, so every batch is full, however few photographs
    there are. Process ``rank`` of ``world`` gets its share of each batch.
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
