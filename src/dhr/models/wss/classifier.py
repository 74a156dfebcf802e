"""Image classifier with class activation maps (Zhou et al. 2016): the WSS encoder of the paper."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from dhr.models.modes import evaluating
from dhr.models.weights import normalisation
from dhr.models.wss import WssConfig, WssMaps
from dhr.models.wss.cams import CAMS, check_cam
from dhr.models.wss.encoders import build_encoder


class TagClassifier(nn.Module):
    """Encoder, then a 1x1 convolution: a class's map is its CAM, the map's mean its logit (Eq. 6: GAP of the CAMs)."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: WssConfig, classes: int) -> None:
        super().__init__()
        self.config = config
        self.encoder: Any = build_encoder(config)
        check_cam(self.encoder, config.cam, config.layer)
        channels: list[int] = self.encoder.feature_info.channels()
        self.classifier = nn.Conv2d(channels[-1], classes, kernel_size=1, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.01)
        self.dim = channels[-1] + channels[-2]
        mean, std = normalisation(self.encoder, config)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    @property
    def tags_apart(self) -> bool:
        """See :class:`~dhr.models.wss.WssModel`: gradients and attention take their time per class."""
        return self.config.cam == "cam"

    def tag_state(self) -> dict[str, Tensor]:
        """Parameters of encoder and classifier, the same with heads and without."""
        return dict(self.state_dict())

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Return the encoder's feature maps, finest first."""
        maps: list[Tensor] = self.encoder((images - self.mean) / self.std)
        return maps

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        """Compute logits of the tags of RGB images in 0..1."""
        logits: Tensor = self.classifier(self.encode(images)[-1]).mean(dim=(2, 3))
        return logits

    @torch.no_grad()
    def maps(self, images: Float[Tensor, "b 3 h w"], tags: Sequence[int] | None = None) -> WssMaps:
        """Compute CAMs (`wss.cam`) and features of RGB images in 0..1; the mode of the network does not matter."""
        wanted = range(self.classifier.out_channels) if tags is None else tags
        with evaluating(self):
            cams, levels = CAMS[self.config.cam](self, images, wanted)
        return replace(self.read(levels), cams=cams)

    def read(self, levels: list[Tensor]) -> WssMaps:
        """Compute CAMs of all classes and features from the encoder's maps, on the grid of the last."""
        *_, c4, c5 = levels
        cams = self.classifier(c5)
        if c4.shape[-2:] != c5.shape[-2:]:
            c4 = interpolate(c4, c5.shape[-2:], mode="area")
        return WssMaps(cams=cams, features=torch.cat([normalize(c4), normalize(c5)], dim=1))
