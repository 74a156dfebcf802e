"""Crops for the training of a student: image, tags, base mask and USS features with the same geometry."""

import math
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from dhr.data.samples import VOID, Sample
from dhr.train.config import StudentTrainingConfig
from dhr.train.crops import Geometry, TrainingSet, jittered
from dhr.train.fitting import mix


class CropBatch(NamedTuple):
    """A batch of crops, or one crop without the first dimension."""

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


class CropDataset(Dataset[CropBatch]):
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

    def __getitem__(self, key: tuple[int, int]) -> CropBatch:
        """Draw the crop of photograph ``index`` in ``epoch``.

        Raises:
            ItemError: it cannot be read.
        """
        epoch, index = key
        sample, rng = self.photographs.samples[index], random.Random(mix(self.photographs.seed, epoch, index))
        image = self.photographs.image(sample)
        geometry = Geometry.draw((image.shape[-2], image.shape[-1]), self.config.crop, self.config.scale, rng)
        return self.cut(sample, image, geometry, rng)

    def cut(self, sample: Sample, image: Tensor, geometry: Geometry, rng: random.Random | None) -> CropBatch:
        """Cut a given crop; with ``rng``, its colours are changed."""
        indices = self.photographs.channels(sample)
        count = len(indices)
        classes = torch.zeros(self.most, dtype=torch.int64)
        classes[:count] = torch.tensor(indices, dtype=torch.int64)
        valid = torch.zeros(self.most, dtype=torch.bool)
        if self.mask is None:
            base = torch.full((geometry.side, geometry.side), VOID if indices else 0)
            valid[:count] = True
        else:
            whole = self.mask(sample)
            base = geometry.mask(whole)
            here, anywhere = set(np.unique(base.numpy()).tolist()), set(np.unique(whole).tolist())
            there = [tag in here or tag not in anywhere for tag in sample.tags]
            valid[:count] = torch.tensor(there, dtype=torch.bool)
        picture = geometry.image(image)
        if rng is not None:
            picture = jittered(picture, self.config.jitter, rng)
        uss = torch.zeros(1, 1, 1)
        if self.features is not None:
            uss = geometry.features(self.features(sample), self.cells)
        return CropBatch(picture, self.photographs.tag_vector(sample), classes, valid, base, uss)


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
