"""A made word model: a map source that sees the ground truth, with the faults of models that know words.

Its maps are ground truth, blurred, with noise. Each class's maps have a scale and an offset of their own, so that some
are negative everywhere. A third of the classes are unknown to it: their maps are noise. Half of all objects under 5 %
of their photograph are missed. All of it follows from the seed. It stands for models whose weights cannot be had here,
in benchmarks and tests of combinations.

    python benchmarks/word_model.py --data DIR --split val --out MAPS

writes its maps of all classes, for `--wss.kind files --wss.maps MAPS`. There each class's lowest value is subtracted,
because values above 0 count as evidence.
"""

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter
from torch import Tensor

from dhr.api.data import open_data
from dhr.data.samples import ClassTable
from dhr.data.transforms import grid_size
from dhr.ops.upsample import area_average

BLUR = 2.0
"""Standard deviation of the blur, in cells of the grid."""
NOISE = 0.1
"""Standard deviation of the noise; the middle of a large object has the value 1."""
SMALL, MISSED = 0.05, 0.5
"""Share of the photograph below which an object may be missed, and the chance of it."""


@dataclass(frozen=True)
class WordModel:
    """Makes the maps of a made word model."""

    classes: ClassTable
    seed: int = 0
    share: float = 1 / 3
    """Share of the classes that are unknown to it."""

    @property
    def unknown(self) -> tuple[int, ...]:
        """Ids of the classes that it does not know, of those that can be tagged."""
        ids = np.array(self.classes.foreground)
        some = np.random.default_rng([self.seed, 1]).permutation(ids)[: int(len(ids) * self.share)]
        return tuple(sorted(some.tolist()))

    def maps(
        self, name: str, truth: UInt8[np.ndarray, "h w"], tags: Sequence[int], grid: tuple[int, int]
    ) -> Float[Tensor, "k u v"]:
        """Make maps of classes of a photograph, tags or not.

        Args:
            name: of the photograph.
            truth: its ground truth.
            tags: class ids.
            grid: rows and columns of the maps.
        """
        return torch.stack([self._map(name, truth, tag, grid) for tag in tags])

    def _map(self, name: str, truth: UInt8[np.ndarray, "h w"], tag: int, grid: tuple[int, int]) -> Tensor:
        draw = np.random.default_rng([self.seed, 2, zlib.crc32(name.encode()), tag])
        missed = draw.random() < MISSED
        noise = gaussian_filter(draw.standard_normal(grid), BLUR)
        noise = noise / noise.std()
        if tag in self.unknown:
            seen = 0.5 + 0.25 * noise
        else:
            mask = truth == tag
            covered = area_average(torch.from_numpy(mask).float()[None, None], grid)[0, 0].numpy()
            lost = missed and mask.mean() < SMALL
            seen = (0 if lost else gaussian_filter(covered, BLUR)) + NOISE * noise
        own = np.random.default_rng([self.seed, 3, tag])
        scale = np.exp(own.standard_normal())
        return torch.from_numpy(scale * (seen + 2 * own.standard_normal())).float()


def main() -> None:
    """Write the maps of a data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split")
    parser.add_argument("--stride", type=int, default=8, help="pixels per cell of the maps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    data = open_data(given.data, split=given.split)
    model, ids = WordModel(data.classes, given.seed), list(data.classes.foreground)
    found = {}
    for sample in data.samples:
        truth = data.read_ground_truth(sample)
        grid = grid_size(truth.shape[0], truth.shape[1], given.stride)
        found[sample.name] = model.maps(sample.name, truth, ids, grid).numpy()
    lowest = np.min([maps.min(axis=(1, 2)) for maps in found.values()], axis=0)[:, None, None]
    for name, maps in found.items():
        path = given.out / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, cams=(maps - lowest).astype(np.float32), classes=np.array(ids))
    print(f"{len(found)} files of maps in {given.out}; unknown: {[data.classes.names[one] for one in model.unknown]}")


if __name__ == "__main__":
    main()
