"""Patch tokens of any timm Vision Transformer (DINO, DINOv2, supervised ones)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dhr.errors import ConfigError
from dhr.models.uss import UssConfig
from dhr.models.weights import build_timm, normalisation


class VitFeatures(nn.Module):
    """Tokens of one transformer block, through the network's final norm, as a map.

    The positional embedding is interpolated in two dimensions (timm's ``dynamic_img_size``), so any size works:
    images are resized to the nearest multiple of the patch, at least one patch.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: UssConfig) -> None:
        super().__init__()
        self.network: Any = build_timm(
            config.model, config.weights, "uss.weights", {"num_classes": 0, "dynamic_img_size": True}
        ).eval()
        if not hasattr(self.network, "forward_intermediates") or not hasattr(self.network, "blocks"):
            raise ConfigError(
                f"uss.model must be a Vision Transformer with forward_intermediates; {config.model!r} is none"
            )
        blocks = len(self.network.blocks)
        if not -blocks <= config.block < blocks:
            raise ConfigError(f"uss.block must be in {-blocks}..{blocks - 1} for {config.model!r}, got {config.block}")
        self.block = config.block % blocks
        self.dim = int(self.network.num_features)
        patch = self.network.patch_embed.patch_size
        self.patch = (int(patch[0]), int(patch[1]))
        mean, std = normalisation(self.network)
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1) if config.mean else mean, persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1) if config.std else std, persistent=False)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d u v"]:
        """Features of RGB images in 0..1."""
        size = [max(1, round(s / p)) * p for s, p in zip(images.shape[-2:], self.patch, strict=True)]
        if list(images.shape[-2:]) != size:
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
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
