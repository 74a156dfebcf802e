"""ResNet-38d (Wu et al. 2016, arXiv 1611.10080, model A1): the wide network of much work on image tags.

Parameters have the names of the public ImageNet checkpoint, as PSA, SEAM and others read it (`conv1a`, `b2`, `b2_1`,
..., `b7`, `bn7`); checkpoints of their classifiers load as well, without their own heads.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from dhr.errors import ConfigError, WeightsError
from dhr.models.weights import HUB, NONE, fit_state, read_state
from dhr.models.wss import WssConfig
from dhr.models.wss.encoders import LevelInfo

NAME = "resnet38d"
"""Its name in `wss.backbone`."""
_WIDTHS = (128, 256, 512, 1024, 4096)
_BLOCKS = {2: 3, 3: 3, 4: 6, 5: 3}
"""Residual blocks of two 3x3 convolutions at each stage; stages 6 and 7 are one bottleneck each."""


def build_resnet38d(config: WssConfig) -> "ResNet38d":
    """Build the encoder with its weights.

    Raises:
        ConfigError: options are given; it does not take any.
        WeightsError: no file is named, or it cannot be read, or is of another network.
    """
    if config.options:
        raise ConfigError(f"wss.options must be empty for {NAME}, got {', '.join(sorted(config.options))}")
    if config.weights == HUB:
        raise WeightsError(
            f"no hub has weights of {NAME}; name the file that its authors' or PSA's page offers with "
            "--wss.weights FILE (or --wss.weights none for random weights)"
        )
    network = ResNet38d(config.output_stride)
    if config.weights != NONE:
        path = Path(config.weights)
        fit_state(
            network, read_state(path, repr(NAME), "wss.weights"), f"--wss.weights: {path}", repr(NAME), spare=True
        )
    return network


class ResNet38d(nn.Module):
    """Pre-activation residual network, up to 4096 channels wide; maps of stride 2, 4 and up to ``output_stride``."""

    def __init__(self, output_stride: int = 8) -> None:
        super().__init__()
        self.conv1a = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        # Where a stage does not halve the map, the convolutions after it look twice as far.
        halves = {2: True, 3: True, 4: True, 5: output_stride >= 16, 6: output_stride >= 32}
        width, stride, dilation = 64, 1, 1
        strides = []
        for stage, count in _BLOCKS.items():
            before = dilation
            stride, dilation = (stride * 2, dilation) if halves[stage] else (stride, dilation * 2)
            inner, outer = (512, 1024) if stage == 5 else (64 << stage - 1, 64 << stage - 1)
            for index in range(count):
                first = index == 0
                block = _Block(
                    width, inner, outer, 2 if first and halves[stage] else 1, before if first else dilation, dilation
                )
                self.add_module(f"b{stage}_{index}" if index else f"b{stage}", block)
                width = outer
            strides.append(stride)
        stride, dilation = (stride * 2, dilation) if halves[6] else (stride, dilation * 2)
        self.b6 = _Bottleneck(1024, 2048, 2 if halves[6] else 1, dilation, dropout=0.3)
        self.b7 = _Bottleneck(2048, 4096, 1, dilation, dropout=0.5)
        self.bn7 = nn.BatchNorm2d(4096)
        self.last = nn.ReLU()
        self.feature_info = LevelInfo(_WIDTHS, (*strides, stride))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return the outputs of stages 2 to 5 and 7, through norm and ReLU."""
        x = self.conv1a(images)
        levels = []
        for stage in range(2, 8):
            for index in range(_BLOCKS.get(stage, 1)):
                block: Any = self.get_submodule(f"b{stage}_{index}" if index else f"b{stage}")
                active = block.relu(block.bn_branch2a(x))
                if 3 <= stage <= 6 and not index:
                    levels.append(active)
                x = block(x, active)
        return [*levels, self.last(self.bn7(x))]

    def tap(self, layer: int) -> nn.Module:
        """Return the ReLU that gives map ``layer``."""
        return self.get_submodule(["b3.relu", "b4.relu", "b5.relu", "b6.relu", "last"][layer])


class _Block(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, first: int, dilation: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch2a = nn.Conv2d(inputs, inner, 3, stride, padding=first, dilation=first, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(inner)
        self.conv_branch2b1 = nn.Conv2d(inner, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        if inputs != outputs or stride != 1:
            self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor, active: Tensor) -> Tensor:
        """From the sum so far, and the same through the first norm and ReLU."""
        inner = relu(self.bn_branch2b1(self.conv_branch2a(active)))
        kept = self.conv_branch1(active) if hasattr(self, "conv_branch1") else x
        return torch.add(kept, self.conv_branch2b1(inner))


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions of a quarter, half and all of the channels."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.bn_branch2a = nn.BatchNorm2d(inputs)
        self.conv_branch2a = nn.Conv2d(inputs, outputs // 4, 1, stride, bias=False)
        self.bn_branch2b1 = nn.BatchNorm2d(outputs // 4)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = nn.Conv2d(outputs // 4, outputs // 2, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn_branch2b2 = nn.BatchNorm2d(outputs // 2)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = nn.Conv2d(outputs // 2, outputs, 1, bias=False)
        self.conv_branch1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor, active: Tensor) -> Tensor:
        """From the sum so far, which is not used, and the same through the first norm and ReLU."""
        inner = self.dropout_2b1(relu(self.bn_branch2b1(self.conv_branch2a(active))))
        inner = self.dropout_2b2(relu(self.bn_branch2b2(self.conv_branch2b1(inner))))
        return torch.add(self.conv_branch1(active), self.conv_branch2b2(inner))
