"""Patch tokens of any timm Vision Transformer (DINO, DINOv2, DINOv3, supervised ones)."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dhr.errors import ConfigError
from dhr.models.modes import evaluating
from dhr.models.uss import UssConfig
from dhr.models.weights import normalisation


class VitFeatures(nn.Module):
    """Tokens of one transformer block, through the network's final norm, as a map; class and register tokens left out.

    The positional embedding is interpolated in two dimensions (timm's ``dynamic_img_size``; DINOv3 turns its tokens by
    their place instead), so any size works: images are resized to the nearest multiple of the patch, one at least.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, config: UssConfig) -> None:
        super().__init__()
        self.network = network.eval()
        blocks = len(network.blocks)
        if not -blocks <= config.block < blocks:
            raise ConfigError(f"uss.block must be in {-blocks}..{blocks - 1} for {config.model!r}, got {config.block}")
        self.block = config.block % blocks
        self.dim = int(network.num_features)
        patch = network.patch_embed.patch_size
        self.patch = (int(patch[0]), int(patch[1]))
        self.cell = math.lcm(*self.patch)
        self.trained_on = max(network.patch_embed.img_size or (0,))
        mean, std = normalisation(network, config)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Compute features of RGB images in 0..1."""
        size = [max(1, round(s / p)) * p for s, p in zip(images.shape[-2:], self.patch, strict=True)]
        if list(images.shape[-2:]) != size:
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        with evaluating(self.network):
            tokens = self.network.forward_intermediates(
                (images - self.mean) / self.std,
                indices=[self.block],
                norm=True,
                stop_early=True,
                output_fmt="NCHW",
                intermediates_only=True,
            )
        features: Tensor = tokens[0]
        return features
