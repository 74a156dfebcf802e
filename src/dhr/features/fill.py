"""Filling a store with the features of a data set; the next photographs are decoded while the network works."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dhr.data.samples import DataSet, Problem, Sample, in_random_order
from dhr.data.transforms import WORKING_BYTES, working_image
from dhr.errors import ItemError
from dhr.features.pack import Axes
from dhr.features.reader import Features
from dhr.features.store import FeatureStore
from dhr.flow.ahead import ahead
from dhr.flow.loaded import Loaded
from dhr.progress import Progress, Step, silent

FITTED_ON = 256
"""Photographs for the fit of principal axes, drawn by name."""


@dataclass(frozen=True)
class Filled:
    """The result of filling a store."""

    there: int
    """Photographs whose features were kept already."""
    computed: int
    removed: int
    """Entries that were deleted because of the limit."""
    problems: tuple[Problem, ...]
    """Photographs that were left out, and why."""


def fill(
    data: DataSet,
    features: Features,
    store: FeatureStore,
    long_side: int,
    progress: Progress = silent,
) -> Filled:
    """Compute the features of ``data`` that ``store`` lacks; existing entries are verified.

    The order is random in each process, so that several processes seldom do the same work.

    Raises:
        ConfigError: there are to be more axes than channels.
        OutputError: the disk is full, or refuses.
    """
    store.disk.shrink()
    if store.reduction is None:
        _fit(data, features, store, long_side, progress)
    problems = {}
    order = random.Random().sample(data.samples, len(data.samples))
    read, computed = features.read, features.computed
    for done, (sample, image) in enumerate(working_images(data, order, long_side)):
        progress(Step("features", done, len(order)))
        try:
            features(image.get())
        except ItemError as error:
            problems[sample.name] = Problem(sample.source, str(error))
        except (MemoryError, torch.OutOfMemoryError):
            problems[sample.name] = Problem(sample.source, "not enough memory to work on it; lower --image.long-side")
    progress(Step("features", len(order), len(order)))
    left_out = [problems[name] for name in sorted(problems)]
    return Filled(features.read - read, features.computed - computed, store.disk.removed, (*data.problems, *left_out))


def _fit(
    data: DataSet,
    features: Features,
    store: FeatureStore,
    long_side: int,
    progress: Progress,
) -> None:
    """Find the store's principal axes."""
    drawn = in_random_order(data.samples)[:FITTED_ON]
    axes = Axes()
    for done, (_, image) in enumerate(working_images(data, drawn, long_side)):
        progress(Step("axes", done, len(drawn)))
        try:
            axes.add(features.compute(image.get()))
        except (ItemError, MemoryError, torch.OutOfMemoryError):  # filling reports it
            continue
    progress(Step("axes", len(drawn), len(drawn)))
    store.set_basis(axes.first(store.pca), features.network)


def working_images(data: DataSet, samples: Sequence[Sample], long_side: int) -> Iterator[tuple[Sample, Loaded[Tensor]]]:
    """Yield photographs with their working images (1, 3, h, w), which threads read ahead."""

    def load(sample: Sample) -> Tensor:
        return working_image(data.read_image(sample), long_side).unsqueeze(0)

    return ahead(samples, load, weigh=lambda sample: WORKING_BYTES * long_side**2)
