"""Unsupervised (USS) feature extractors: what looks alike, whatever it is called.

A model is one file with a builder in :data:`USS_MODELS`; its features are frozen.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

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

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Features of RGB images in 0..1, on the model's own grid."""
        ...


def _timm(config: UssConfig) -> UssModel:
    from dhr.models.uss.backbone import build_backbone

    return build_backbone(config)


def _stego(config: UssConfig) -> UssModel:
    from dhr.models.uss.stego import build_stego

    return build_stego(config)


def _cause(config: UssConfig) -> UssModel:
    from dhr.models.uss.cause import build_cause

    return build_cause(config)


def _leopart(config: UssConfig) -> UssModel:
    from dhr.models.uss.leopart import build_leopart

    return build_leopart(config)


def _colour(config: UssConfig) -> UssModel:
    from dhr.models.uss.colour import ColourFeatures

    return ColourFeatures()


USS_MODELS: Mapping[str, Callable[[UssConfig], Any]] = {
    "timm": _timm,
    "stego": _stego,
    "cause": _cause,
    "hp": _stego,
    "leopart": _leopart,
    "colour": _colour,
}
"""The kinds of USS model, by the name that `uss.kind` takes."""


def build_uss(config: UssConfig) -> UssModel:
    """Make the model that ``config.kind`` names.

    Raises:
        ConfigError: no such kind, or options that the model refuses.
        WeightsError: its weights cannot be had.
    """
    if config.kind not in USS_MODELS:
        raise ConfigError(f"uss.kind must be one of {', '.join(USS_MODELS)}; got {config.kind!r}")
    model: UssModel = USS_MODELS[config.kind](config)
    return model
