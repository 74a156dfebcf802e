"""Image classifier with class activation maps (Zhou et al. 2016): the WSS encoder of the paper."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from dhr.errors import ConfigError
from dhr.models.weights import build_timm, normalisation
from dhr.models.wss import WssConfig, WssMaps


class TagClassifier(nn.Module):
    """Encoder, then a 1x1 convolution: a class's map is its CAM, the map's mean its logit (Eq. 6: GAP of the CAMs)."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: WssConfig, classes: int) -> None:
        super().__init__()
        self.config = config
        options = {"features_only": True, "output_stride": config.output_stride, **config.options}
        self.encoder: Any = build_timm(config.backbone, config.weights, "wss.weights", options)
        channels: list[int] = self.encoder.feature_info.channels()
        if len(channels) < 2:
            raise ConfigError(f"wss.backbone {config.backbone!r} has one feature map only; two or more are needed")
        self.classifier = nn.Conv2d(channels[-1], classes, kernel_size=1, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.01)
        self.dim = channels[-1] + channels[-2]
        mean, std = normalisation(self.encoder)
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1) if config.mean else mean, persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1) if config.std else std, persistent=False)

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """The encoder's feature maps, finest first."""
        maps: list[Tensor] = self.encoder((images - self.mean) / self.std)
        return maps

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        """Logits of the tags of RGB images in 0..1."""
        logits: Tensor = self.classifier(self.encode(images)[-1]).mean(dim=(2, 3))
        return logits

    @torch.no_grad()
    def maps(self, images: Float[Tensor, "b 3 h w"]) -> WssMaps:
        """CAMs and features (C4 and C5) of RGB images in 0..1, on the grid of C5; the same in the midst of training."""
        modes = {module: module.training for module in self.modules()}
        self.eval()  # otherwise batch norms mix the images, and remember them
        levels = self.encode(images)
        for module, mode in modes.items():
            module.training = mode
        return self.read(levels)

    def read(self, levels: list[Tensor]) -> WssMaps:
        """The maps that the encoder's feature maps lead to."""
        *_, c4, c5 = levels
        cams = self.classifier(c5)
        if c4.shape[-2:] != c5.shape[-2:]:
            c4 = interpolate(c4, c5.shape[-2:], mode="area")
        return WssMaps(cams=cams, features=torch.cat([normalize(c4), normalize(c5)], dim=1))
