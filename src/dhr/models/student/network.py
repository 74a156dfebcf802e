"""The student: a tag classifier and a decoder on one encoder (paper, Section 3.3)."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from dhr.models.modes import evaluating, freeze_statistics
from dhr.models.student import Group, StudentConfig, StudentMaps
from dhr.models.student.deeplab import build_decoder
from dhr.models.weights import NONE
from dhr.models.wss import WssMaps
from dhr.models.wss.classifier import TagClassifier


class Student(nn.Module):
    """A :class:`~dhr.models.student.StudentModel`, and a :class:`~dhr.models.wss.WssModel` as well.

    Its classifier's weights are those of `classifier.safetensors`.
    """

    kind = "joint"

    def __init__(self, classifier: TagClassifier, config: StudentConfig, classes: int) -> None:
        """Add a decoder for ``classes`` classes, including the background, to ``classifier``."""
        super().__init__()
        self.tagger, self.config = classifier, config
        info = classifier.encoder.feature_info
        self.decoder: nn.Module = build_decoder(info.channels(), info.reduction(), classes, config)
        self.background = classes - classifier.classifier.out_channels
        self.dim = classifier.dim
        self.save_memory = False

    @property
    def mean(self) -> Tensor:
        """See :class:`~dhr.models.student.StudentModel`."""
        return self.tagger.mean

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> StudentMaps:
        """CAMs, features and logits of RGB images in 0..1."""
        if self.save_memory and torch.is_grad_enabled():
            levels = checkpoint(self.tagger.encode, images, use_reentrant=False)
        else:
            levels = self.tagger.encode(images)
        maps = self.tagger.read(levels)
        return StudentMaps(maps.cams, maps.features, self.decoder(levels))

    def segment(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute probabilities of all classes for each pixel of RGB images in 0..1."""
        logits = self.decoder(self.tagger.encode(images)).float()
        return interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False).softmax(dim=1)

    @property
    def tags_apart(self) -> bool:
        """See :class:`~dhr.models.wss.WssModel`."""
        return True

    def coarse(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c p q"]:
        """See :class:`~dhr.models.student.StudentModel`."""
        logits: Tensor = self.decoder(self.tagger.encode(images))
        return logits.float().softmax(dim=1)

    @torch.no_grad()
    def maps(self, images: Float[Tensor, "b 3 h w"], tags: Sequence[int] | None = None) -> WssMaps:
        """Compute the maps for rebalancing (``config.maps``); the mode of the network does not matter."""
        with evaluating(self):
            seen = self(images)
        wanted = list(range(self.tagger.classifier.out_channels) if tags is None else tags)
        known = [*range(self.background), *(self.background + tag for tag in wanted)]
        probabilities = seen.logits.float().softmax(dim=1)[:, known]
        return WssMaps(self.activation(seen)[:, wanted], seen.features, probabilities=probabilities)

    def activation(self, seen: StudentMaps) -> Float[Tensor, "b _ _ _"]:
        """Return A: CAMs, or the decoder's probabilities, of the classes that can be tagged."""
        return seen.cams if self.config.maps == "cam" else seen.logits.float().softmax(dim=1)[:, self.background :]

    def groups(self) -> list[Group]:
        """Return the encoder, which is pretrained, and the rest."""
        new = [*self.tagger.classifier.parameters(), *self.decoder.parameters()]
        return [Group(list(self.tagger.encoder.parameters()), new=False), Group(new, new=True)]

    def set_modes(self, freeze_norm: bool) -> None:
        """See :class:`~dhr.models.student.StudentModel`."""
        self.train()
        if freeze_norm:
            freeze_statistics(self.tagger)

    def describe(self) -> dict[str, Any]:
        """Return the settings, with the mean and standard deviation in use."""
        mean, std = (tuple(value.flatten().tolist()) for value in (self.tagger.mean, self.tagger.std))
        wss = replace(self.tagger.config, mean=mean, std=std, weights=NONE)
        return {"wss": asdict(wss), "student": asdict(self.config)}
