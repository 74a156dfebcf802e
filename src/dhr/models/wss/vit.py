"""A Vision Transformer as the encoder of a tag classifier: patch tokens of two of its blocks."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dhr.errors import ConfigError
from dhr.models.config import WssConfig
from dhr.models.weights import build_timm
from dhr.models.wss.encoders import LevelInfo


class VitEncoder(nn.Module):
    """Tokens of two blocks of any plain Vision Transformer of timm, through its final norm, as maps.

    Any size of image works: it is resized to the nearest multiple of the patch, and timm resamples the positional
    embedding in two dimensions.
    """

    def __init__(self, config: WssConfig) -> None:
        super().__init__()
        options = {"num_classes": 0, "dynamic_img_size": True, **config.options}
        self.network: Any = build_timm(config.backbone, config.weights, "wss.weights", options)
        count = len(self.network.blocks)
        for block in config.blocks:
            if not -count <= block < count:
                raise ConfigError(
                    f"wss.blocks must be two of {-count}..{count - 1} for {config.backbone!r}, got {config.blocks}"
                )
        self.blocks = tuple(block % count for block in config.blocks)
        if self.blocks[0] >= self.blocks[1]:
            raise ConfigError(f"wss.blocks must be two blocks, the earlier first; got {config.blocks}")
        height, width = self.network.patch_embed.patch_size
        self.patch = (int(height), int(width))
        self.pretrained_cfg = self.network.pretrained_cfg
        self.feature_info = LevelInfo((int(self.network.num_features),) * 2, (max(self.patch),) * 2)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Compute maps of the two blocks."""
        size = [max(1, round(s / p)) * p for s, p in zip(images.shape[-2:], self.patch, strict=True)]
        if list(images.shape[-2:]) != size:
            images = interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        maps: list[Tensor] = self.network.forward_intermediates(
            images, indices=list(self.blocks), norm=True, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return maps

    def tap(self, layer: int) -> nn.Module:
        """Return the block whose output, normed, is map ``layer``."""
        block: nn.Module = self.network.blocks[self.blocks[layer]]
        return block

    def grid(self, tokens: Float[Tensor, "b n d"], size: tuple[int, int]) -> Float[Tensor, "b d u v"]:
        """Patch tokens of a block, on their grid of ``size``."""
        patches = tokens[:, tokens.shape[1] - size[0] * size[1] :]  # class token and registers come first
        return patches.transpose(1, 2).reshape(*patches.shape[::2], *size)
