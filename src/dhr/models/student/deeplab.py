"""Decoders of the DeepLab family on the feature maps of any encoder."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models.segmentation.deeplabv3 import ASPP

from dhr.models.student import StudentConfig

_GROUP = 16  # channels per group, about


class DeepLabV3Plus(nn.Module):
    """ASPP on the last map, upsampled to a quarter of the image and joined with an early one (Chen et al. 2018)."""

    def __init__(self, channels: Sequence[int], reductions: Sequence[int], classes: int, config: StudentConfig) -> None:
        super().__init__()
        # The level nearest to a quarter of the size; of several, the deepest.
        self.level = max(range(len(reductions)), key=lambda one: (-abs(reductions[one] - 4), one))
        self.aspp = ASPP(channels[-1], list(config.rates), config.width)
        self.aspp.project[3].p = 0.0  # no dropout, so losses do not depend on the number of processes
        self.low = _block(channels[self.level], config.low_level, 1)
        self.join = nn.Sequential(
            _block(config.width + config.low_level, config.width, 3), _block(config.width, config.width, 3)
        )
        self.last = nn.Conv2d(config.width, classes, 1)
        if config.norm == "group":
            _group_norms(self)

    def forward(self, levels: list[Tensor]) -> Float[Tensor, "b c p q"]:
        """Compute logits on the grid of the early map."""
        low = self.low(levels[self.level])
        high = interpolate(self.aspp(levels[-1]), low.shape[-2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.last(self.join(torch.cat([high, low], dim=1)))
        return logits


class DeepLabV2(nn.Module):
    """Sum of dilated 3x3 convolutions, one per rate, on the last map (Chen et al. 2016)."""

    def __init__(self, channels: int, classes: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(channels, classes, 3, padding=rate, dilation=rate) for rate in rates)
        for branch in self.branches:
            nn.init.normal_(branch.weight, std=0.01)  # type: ignore[arg-type]
            nn.init.zeros_(branch.bias)  # type: ignore[arg-type]

    def forward(self, levels: list[Tensor]) -> Float[Tensor, "b c p q"]:
        """Compute logits on the grid of the last map."""
        first, *others = (branch(levels[-1]) for branch in self.branches)
        for other in others:
            first = first + other
        logits: Tensor = first
        return logits


def build_decoder(
    channels: Sequence[int], reductions: Sequence[int], classes: int, config: StudentConfig
) -> DeepLabV3Plus | DeepLabV2:
    """Make the decoder ``config.decoder`` for maps with these channels and strides."""
    if config.decoder == "deeplabv2":
        return DeepLabV2(channels[-1], classes, config.rates)
    return DeepLabV3Plus(channels, reductions, classes, config)


def _block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _group_norms(module: nn.Module) -> None:
    """Replace each batch norm by a group norm."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            channels = child.num_features
            groups = next(n for n in range(max(1, channels // _GROUP), 0, -1) if channels % n == 0)
            setattr(module, name, nn.GroupNorm(groups, channels))
        else:
            _group_norms(child)
