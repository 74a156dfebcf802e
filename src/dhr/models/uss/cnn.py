"""The map of one stage of any timm network that has maps (ResNets of SwAV or DINO, ConvNeXt of DINOv3, Swin)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dhr.errors import ConfigError
from dhr.models.folding import fold
from dhr.models.modes import evaluating
from dhr.models.uss import UssConfig
from dhr.models.weights import build_timm, normalisation

_MOST = 4.0
"""Images that are still too narrow when they are enlarged so much are stretched."""


class CnnFeatures(nn.Module):
    """A stage's map. Images smaller than the network can see, two cells of its last stage, are enlarged."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, config: UssConfig, stages: int) -> None:
        super().__init__()
        self.network = network.eval()
        self.stages = stages
        self.dim = int(network.feature_info.channels()[-1])
        self.stride = self.cell = int(network.feature_info.reduction()[-1])
        self.trained_on = 0
        mean, std = normalisation(network, config)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Compute features of RGB images in 0..1."""
        least = 2 * self.stride
        factor = min(_MOST, max(1.0, least / min(images.shape[-2:])))
        size = [max(least, round(factor * side)) for side in images.shape[-2:]]
        if list(images.shape[-2:]) != size:
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        with evaluating(self.network):
            features: Tensor = self.network((images - self.mean) / self.std)[-1]
        return features


def build_cnn(config: UssConfig) -> CnnFeatures:
    """Build the network up to the stage ``config.block``.

    Raises:
        ConfigError: it has no such stage, or no maps at all.
        WeightsError: its weights cannot be had.
    """
    import timm

    options = {"features_only": True, **config.options}
    try:
        network: Any = timm.create_model(config.model, pretrained=False, **options)
        stages = len(network.feature_info.channels())
    except Exception as error:  # a constructor raises any exception for wrong options
        raise ConfigError(f"timm cannot build {config.model!r} with {options}: {error}") from error
    if not -stages <= config.block < stages:
        raise ConfigError(f"uss.block must be in {-stages}..{stages - 1} for {config.model!r}, got {config.block}")
    options["out_indices"] = (config.block % stages,)
    features = CnnFeatures(build_timm(config.model, config.weights, "uss.weights", options), config, stages)
    fold(features)
    _refuse_fixed(features, config)
    return features


def _refuse_fixed(features: CnnFeatures, config: UssConfig) -> None:
    """Raise ConfigError if the network has maps of one size only, or with the channels last."""
    size, expected = (2 * features.stride, 3 * features.stride), (1, features.dim, 2, 3)
    found: Any
    try:
        found = tuple(features(torch.zeros(1, 3, *size)).shape)
    except Exception as error:  # a network raises any exception for a wrong size
        found = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    if found != expected:
        raise ConfigError(
            f"uss.model {config.model!r} has no maps of photographs of any size (expected {expected} for {size} "
            f"pixels, got {found}); choose a Vision Transformer or a CNN"
        )
