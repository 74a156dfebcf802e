"""Features of a frozen network, of crops of photographs: computed once, kept in memory up to a limit."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from dhr.data.image_files import MAX_BYTES
from dhr.data.images import read_rgb
from dhr.data.photographs import Photograph
from dhr.data.samples import Problem
from dhr.data.transforms import working_pixels
from dhr.errors import DataError, ItemError
from dhr.files import read_regular
from dhr.progress import Progress, Step
from dhr.train.colours import coloured
from dhr.train.crops import Geometry
from dhr.train.fitting import EpochDataset, mix
from dhr.train.head_config import HeadConfig
from dhr.words import without

SMALLER = "lower --head.batch or --head.side"
"""Remedy if the memory of a device runs out."""

Network = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b d u v"]]


@dataclass(frozen=True)
class Seen:
    """The result of a first look at all crops."""

    means: Float[Tensor, "n d"]
    """Mean feature of each crop."""
    problems: tuple[Problem, ...]
    """Photographs that were left out."""
    digest: str
    """Digest of the names and content of the others."""


class FrozenCrops(EpochDataset):
    """Features (d, u, v) of each crop, always rounded to half precision, kept in memory or not."""

    def __init__(
        self, photographs: Sequence[Photograph], network: Network, config: HeadConfig, device: torch.device
    ) -> None:
        self.photographs = list(photographs)
        self.network, self.config, self.device = network, config, device
        self._kept: dict[int, Tensor] = {}
        self._memory_left = config.memory_mb * 2**20
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.photographs) * self.config.crops

    def item(self, epoch: int, index: int) -> tuple[Tensor, ...]:
        """See :class:`~dhr.train.fitting.EpochDataset`; the crops are the same in all epochs."""
        return (self.features(index),)

    def source(self, index: int) -> str:
        """See :class:`~dhr.train.fitting.EpochDataset`."""
        return str(self.photographs[index // self.config.crops].path)

    def features(self, index: int) -> Float[Tensor, "d u v"]:
        """Compute the features of a crop, or take them from memory.

        Raises:
            ItemError: its photograph can no longer be read.
        """
        return self._features(index, self.photographs[index // self.config.crops])

    def look(self, progress: Progress) -> Seen:
        """Look at every crop once; photographs that cannot be read are left out from then on.

        Raises:
            DataError: no photograph can be read.
        """
        usable: list[Photograph] = []
        means: list[Tensor] = []
        problems: list[Problem] = []
        whole = hashlib.sha256()
        for done, photograph in enumerate(self.photographs):
            progress(Step("features", done, len(self.photographs)))
            first = len(usable) * self.config.crops
            try:
                content = read_regular(photograph.path, MAX_BYTES)
                rgb = read_rgb(photograph.path)
                image = working_pixels(rgb, self.config.long_side)
                found = [self._features(first + crop, photograph, image) for crop in range(self.config.crops)]
            except (ItemError, OSError) as error:
                problems.append(Problem(str(photograph.path), without(photograph.path, error)))
                continue
            except (MemoryError, torch.OutOfMemoryError):
                problems.append(Problem(str(photograph.path), "not enough memory to work on it; lower --head.side"))
                continue
            means += [one.mean(dim=(1, 2)) for one in found]
            whole.update(f"{photograph.name} {hashlib.sha256(content).hexdigest()}\n".encode())
            usable.append(photograph)
        progress(Step("features", len(self.photographs), len(self.photographs)))
        if not usable:
            first_problem = f": {problems[0].source}: {problems[0].reason}" if problems else ""
            raise DataError(f"none of the {len(self.photographs)} photographs can be read{first_problem}")
        self.photographs = usable
        return Seen(torch.stack(means), tuple(problems), "sha256:" + whole.hexdigest())

    @torch.no_grad()
    def _features(self, index: int, photograph: Photograph, image: UInt8[np.ndarray, "h w 3"] | None = None) -> Tensor:
        if index in self._kept:
            return self._kept[index].float()
        if image is None:
            image = working_pixels(read_rgb(photograph.path), self.config.long_side)
        # By name, so that the crops do not depend on the other photographs of the folder.
        name = int.from_bytes(hashlib.sha256(photograph.name.encode()).digest()[:7])
        rng = random.Random(mix(self.config.seed, name, index % self.config.crops))
        pixels = Geometry.draw(image.shape[:2], self.config.side, self.config.scale, rng).pixels(image)
        found = self.network(coloured(pixels[None].to(self.device)))[0].half().cpu()
        size_bytes = found.numel() * 2
        with self._lock:
            if index not in self._kept and size_bytes <= self._memory_left:
                self._memory_left -= size_bytes
                self._kept[index] = found
        return found.float()


def neighbours_of(means: Float[Tensor, "n d"], crops: int, count: int) -> Int[Tensor, "n k"]:
    """Find the ``count`` most similar crops of other photographs, by mean feature; all of them if there are fewer.

    Each photograph has ``crops`` crops in a row. If there is only one photograph, its own crops are used.
    """
    units = normalize(means - means.mean(dim=0), dim=1)
    photograph = torch.arange(len(means)) // crops
    if int(photograph[-1]) == 0:
        return torch.arange(len(means)).repeat(len(means), 1)
    found = []
    for rows in torch.split(torch.arange(len(means)), 1024):
        cosine = units[rows] @ units.T
        cosine[photograph[rows][:, None] == photograph[None]] = -2
        found.append(cosine.topk(min(count, len(means) - crops), dim=1).indices)
    return torch.cat(found)


def drawn(features: Float[Tensor, "b d u v"], count: int) -> Float[Tensor, "b n d"]:
    """Draw cells of each map at random, with replacement."""
    flat = features.flatten(2).transpose(1, 2)  # (b, u v, d)
    places = torch.randint(flat.shape[1], (len(flat), count, 1)).to(flat.device)
    return flat.gather(1, places.expand(-1, -1, flat.shape[2]))
