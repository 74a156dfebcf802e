"""Unsupervised (USS) feature extractors: what looks alike, whatever it is called.

A model is one file with a builder in :data:`USS_MODELS`; its features are frozen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dhr.errors import ConfigError

HEADED = ("stego", "cause", "hp")
"""Kinds that are a head on top of a network of timm."""


@dataclass(frozen=True)
class UssConfig:
    """Which unsupervised features to use, and how to compute them."""

    kind: str = "timm"
    """`timm` (any Vision Transformer or CNN of timm), `stego` or `cause` (a head on top of one, trained by `dhr uss
    train` or by its authors), `hp` (Hidden Positives) or `leopart` (their authors' checkpoints), or `colour` (colour
    and texture statistics: no weights, no training)."""
    model: str = "vit_small_patch14_dinov2.lvd142m"
    """Name of the timm model; with a head, of the one below it."""
    weights: str = "hub"
    """Of that model: `hub` (timm downloads them), `none` (random), or a local file; for `leopart` its checkpoint.
    Backbone weights inside `head` replace `hub`."""
    head: str | None = None
    """Of `stego`, `cause` and `hp`: `head.safetensors` of `dhr uss train`, or the authors' checkpoint."""
    block: int = -1
    """Transformer block whose patch tokens are the features, or stage of a CNN whose map they are; -1 is the last."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of `timm.create_model`, such as `{output_stride: 16}` for a CNN."""
    mean: tuple[float, float, float] | None = None
    """RGB mean (0..1) that the weights expect; by default what timm says of the model."""
    std: tuple[float, float, float] | None = None
    """RGB standard deviation that the weights expect; by default what timm says of the model."""
    scales: tuple[float, ...] = (1.0, 2.0)
    """Sizes, relative to the working image, at which features are computed and averaged."""
    flip: bool = True
    """Average with the features of the mirrored image."""
    window: int = 0
    """Side in pixels of overlapping windows in which larger images are seen, one after another; 0 sees them whole."""
    overlap: float = 0.5
    """Share of a window, 0..0.9, that its neighbour sees too."""
    upsample: Literal["none", "bilateral"] = "none"
    """How features get to the grid (`image.grid_stride`): `none` interpolates; `bilateral` takes, of the cells around,
    those more that look like the place (joint bilateral upsampling, without training)."""

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError(f"uss.scales must be positive numbers, got {self.scales}")
        if self.std is not None and min(self.std) <= 0:
            raise ConfigError(f"uss.std must be positive numbers, got {self.std}")
        if self.head is not None and self.kind not in HEADED:
            raise ConfigError(f"uss.head is for uss.kind {', '.join(HEADED)}; {self.kind!r} has none")
        if self.window != 0 and self.window < 32:
            raise ConfigError(f"uss.window must be 0 (none), or 32 or more pixels; got {self.window}")
        if not 0 <= self.overlap <= 0.9:
            raise ConfigError(f"uss.overlap must be in 0..0.9, got {self.overlap}")
        if self.upsample not in ("none", "bilateral"):
            raise ConfigError(f"uss.upsample must be none or bilateral, got {self.upsample!r}")


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
