"""Encoders of the tag classifier: feature maps of an image, finest first, of any family of networks."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from dhr.errors import ConfigError
from dhr.models.any_size import refuse_fixed
from dhr.models.config import WssConfig
from dhr.models.weights import build_timm

_TRANSFORMERS = frozenset({"vision_transformer", "eva", "deit"})
"""Modules of timm whose networks are plain Vision Transformers: one grid of patches, the same in all blocks."""


@dataclass(frozen=True)
class LevelInfo:
    """The `feature_info` of timm's networks, for networks that are not timm's."""

    widths: tuple[int, ...]
    strides: tuple[int, ...]

    def channels(self) -> list[int]:
        """Channels of each map."""
        return list(self.widths)

    def reduction(self) -> list[int]:
        """Return the pixels per cell of each map."""
        return list(self.strides)


def build_encoder(config: WssConfig) -> Any:
    """Make an ``nn.Module`` from normalised images (b, 3, h, w) to a list of maps (b, _, u, v), with `feature_info`.

    Raises:
        ConfigError: there is no such network, or it refuses the options.
        WeightsError: its weights cannot be had.
    """
    from dhr.models.wss.resnet38d import NAME, build_resnet38d
    from dhr.models.wss.vit import VitEncoder

    if config.backbone == NAME:
        return build_resnet38d(config)
    if is_transformer(config.backbone):
        return VitEncoder(config)
    options: dict[str, Any] = {"features_only": True}
    if config.output_stride != 32:  # all have that; some cannot be told
        options["output_stride"] = config.output_stride
    encoder = build_timm(config.backbone, config.weights, "wss.weights", {**options, **config.options})
    if len(encoder.feature_info.channels()) < 2:
        raise ConfigError(f"wss.backbone {config.backbone!r} has one feature map only; two or more are needed")
    info = encoder.feature_info
    refuse_fixed(encoder, info.reduction()[-1], info.channels()[-1], f"wss.backbone {config.backbone!r}")
    return encoder


def is_transformer(model: str) -> bool:
    """Return whether ``model`` is a plain Vision Transformer of timm.

    >>> is_transformer("vit_tiny_patch16_224"), is_transformer("resnet50"), is_transformer("no such network")
    (True, False, False)
    """
    import timm

    if not timm.is_model(model):
        return False
    return timm.models.model_entrypoint(model).__module__.rpartition(".")[2] in _TRANSFORMERS


def tap(encoder: Any, layer: int) -> nn.Module | None:
    """Return the module with the output ``layer`` of ``encoder``; None if there is no such module.

    Raises:
        ConfigError: there is no such map.
    """
    count = len(encoder.feature_info.channels())
    if not -count <= layer < 0:
        raise ConfigError(f"wss.layer counts the encoder's {count} maps from the last, {-count}..-1; got {layer}")
    if hasattr(encoder, "tap"):
        module: nn.Module = encoder.tap(layer)
        return module
    name = encoder.feature_info.module_name()[layer]
    modules = dict(encoder.named_modules())
    return modules.get(name) or modules.get(name.replace(".", "_"))


def blocks_of(encoder: Any) -> list[Any]:
    """Return the transformer blocks of ``encoder``; an empty list if it is convolutional."""
    from dhr.models.wss.vit import VitEncoder

    return list(encoder.network.blocks) if isinstance(encoder, VitEncoder) else []
