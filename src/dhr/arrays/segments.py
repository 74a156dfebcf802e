"""The network of `dhr.refine(images, scores, "sam")`, which stays in memory with the embeddings of the last images."""

from collections.abc import Hashable
from functools import lru_cache, partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.method.config import SamConfig
from dhr.models.precision import resolved
from dhr.models.sam import Segmenter
from dhr.models.sam.build import build_sam
from dhr.models.sam.remembered import Remembered
from dhr.prompts import Propose


def proposer(config: SamConfig, images: Float[Tensor, "b 3 h w"], segmenter: Segmenter | None = None) -> Propose:
    """Embed the images, unless they were the last ones, and return what proposes masks for them.

    Args:
        config: names the network.
        images: RGB in 0..1.
        segmenter: a network that is used instead.

    Raises:
        ConfigError: transformers is not installed, or the model is of another kind.
        WeightsError: the network is missing or damaged.
    """
    if segmenter is None:
        segmenter = _loaded(config.model, config.weights, images.device, (_state(config.model), _state(config.weights)))
    return partial(segmenter.masks, segmenter.embed(images))


@lru_cache(maxsize=1)
def _loaded(model: str, weights: str, device: torch.device, state: Hashable) -> Remembered:
    """Return the network; it is read again when the files of its folder have changed."""
    return Remembered(build_sam(model, weights, "boundary.sam.model", device, resolved("auto", device)))


def _state(place: str) -> Hashable:
    """Return names, sizes and times of the files of a folder; None without a folder."""
    if not Path(place).is_dir():
        return None
    found = [(path.name, path.stat()) for path in sorted(Path(place).iterdir())]
    return tuple((name, facts.st_size, facts.st_mtime_ns) for name, facts in found)
