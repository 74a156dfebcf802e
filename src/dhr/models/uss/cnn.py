"""The map of one stage of any timm network that has maps (ResNets of SwAV or DINO, ConvNeXt of DINOv3, Swin)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dhr.errors import ConfigError
from dhr.models.any_size import refuse_fixed
from dhr.models.folding import fold
from dhr.models.modes import evaluating
from dhr.models.uss import UssConfig
from dhr.models.weights import NONE, build_timm, normalisation

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
    options = {"features_only": True, **config.options}
    whole: Any = build_timm(config.model, NONE, "uss.weights", options)
    stages = len(whole.feature_info.channels())
    if not -stages <= config.block < stages:
        raise ConfigError(f"uss.block must be in {-stages}..{stages - 1} for {config.model!r}, got {config.block}")
    options["out_indices"] = (config.block % stages,)
    features = CnnFeatures(build_timm(config.model, config.weights, "uss.weights", options), config, stages)
    fold(features)
    refuse_fixed(features, features.stride, features.dim, f"uss.model {config.model!r}")
    return features
