"""The map of one stage of any timm network that has maps (ResNets of SwAV or DINO, ConvNeXt of DINOv3, Swin)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dhr.errors import ConfigError
from dhr.models.uss import UssConfig
from dhr.models.weights import build_timm, normalisation


class CnnFeatures(nn.Module):
    """A stage's map. Images smaller than the network can see, two cells of its last stage, are enlarged."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, config: UssConfig, stages: int) -> None:
        super().__init__()
        self.network = network.eval()
        self.stages = stages
        self.dim = int(network.feature_info.channels()[-1])
        self.stride = int(network.feature_info.reduction()[-1])
        mean, std = normalisation(network)
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1) if config.mean else mean, persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1) if config.std else std, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Features of RGB images in 0..1."""
        size = [max(2 * self.stride, side) for side in images.shape[-2:]]
        if list(images.shape[-2:]) != size:
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        modes = {module: module.training for module in self.network.modules()}
        self.network.eval()  # otherwise batch norms mix the images, and remember them
        features: Tensor = self.network((images - self.mean) / self.std)[-1]
        for module, mode in modes.items():
            module.training = mode
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
        stages = len(timm.create_model(config.model, pretrained=False, **options).feature_info.channels())
    except Exception as error:  # whatever a constructor makes of options that are not for it
        raise ConfigError(f"timm cannot build {config.model!r} with {options}: {error}") from error
    if not -stages <= config.block < stages:
        raise ConfigError(f"uss.block must be in {-stages}..{stages - 1} for {config.model!r}, got {config.block}")
    options["out_indices"] = (config.block % stages,)
    return CnnFeatures(build_timm(config.model, config.weights, "uss.weights", options), config, stages)
