"""The timm network below all features and heads: a Vision Transformer or a CNN."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from dhr.errors import ConfigError
from dhr.models.uss import UssConfig
from dhr.models.uss.cnn import CnnFeatures, build_cnn
from dhr.models.uss.vit import VitFeatures
from dhr.models.weights import HUB, NONE, build_timm, fit_state

Backbone = VitFeatures | CnnFeatures


def build_backbone(config: UssConfig) -> Backbone:
    """Make the network ``config.model``.

    Raises:
        ConfigError: timm has no such model, it has no dense features, or it refuses the options.
        WeightsError: its weights cannot be had.
    """
    import timm

    if timm.is_model(config.model) and not _is_vit(config.model):
        return build_cnn(config)
    options = {"num_classes": 0, "dynamic_img_size": True, **config.options}
    network = build_timm(config.model, config.weights, "uss.weights", options)
    if not hasattr(network, "forward_intermediates"):
        raise ConfigError(f"uss.model {config.model!r} has no dense features; choose a Vision Transformer or a CNN")
    return VitFeatures(network, config)


def backbone_of(config: UssConfig, state: Mapping[str, Tensor], source: str) -> Backbone:
    """Make the network ``config.model`` with the parameters ``state`` of a checkpoint, unless a file is named.

    Raises:
        ConfigError: as :func:`build_backbone`.
        WeightsError: ``state`` is of another network.
    """
    if not state or config.weights != HUB:
        return build_backbone(config)
    backbone = build_backbone(replace(config, weights=NONE))
    fit_state(backbone.network, state, source, f"uss.model {config.model!r}", spare=True)
    return backbone


def _is_vit(model: str) -> bool:
    """Return whether a model belongs to a family of timm's transformers with one width and positions for any size."""
    from timm.models import model_entrypoint

    family = model_entrypoint(model).__module__.rpartition(".")[2]
    return family in ("vision_transformer", "eva", "deit")
