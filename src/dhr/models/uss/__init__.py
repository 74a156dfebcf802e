"""Unsupervised (USS) feature extractors: features that are similar where regions look similar.

A model is one file with a builder in :data:`USS_MODELS`; its features are frozen.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dhr.errors import ConfigError
from dhr.models.config import HEADED as HEADED
from dhr.models.config import UssConfig as UssConfig


@runtime_checkable
class UssModel(Protocol):
    """Frozen dense features."""

    @property
    def dim(self) -> int:
        """Number of channels of the features."""
        ...

    @property
    def cell(self) -> int:
        """Pixels per cell, each way, of an image whose sides are multiples of it; its whole cells are all alike."""
        ...

    @property
    def trained_on(self) -> int:
        """Side in pixels of the images that a transformer was trained on; 0 for networks that see any size alike."""
        ...

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Compute features of RGB images in 0..1, on the model's own grid."""
        ...


USS_MODELS: Mapping[str, str] = {
    "timm": "backbone:build_backbone",
    "stego": "stego:build_stego",
    "cause": "cause:build_cause",
    "hp": "stego:build_stego",
    "leopart": "leopart:build_leopart",
    "colour": "colour:build_colour",
}
"""Module and function that build each `uss.kind`; a module is imported only when its kind is used."""


def build_uss(config: UssConfig) -> UssModel:
    """Make the model of ``config.kind``.

    Raises:
        ConfigError: there is no such kind, or the model refuses the options.
        WeightsError: its weights are missing or damaged.
    """
    if config.kind not in USS_MODELS:
        raise ConfigError(f"uss.kind must be one of {', '.join(USS_MODELS)}; got {config.kind!r}")
    module, _, name = USS_MODELS[config.kind].partition(":")
    model: UssModel = getattr(import_module(f"dhr.models.uss.{module}"), name)(config)
    return model
