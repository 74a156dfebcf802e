"""The student: a tag classifier and a decoder on one encoder (paper, Section 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.utils.checkpoint import checkpoint

from dhr.models.student import DECODERS, StudentConfig, StudentMaps
from dhr.models.wss import WssMaps
from dhr.models.wss.classifier import TagClassifier


class Student(nn.Module):
    """Implements :class:`~dhr.models.wss.WssModel`; its classifier's weights are those of `classifier.safetensors`."""

    def __init__(self, classifier: TagClassifier, config: StudentConfig, classes: int) -> None:
        """Add a decoder for ``classes`` classes, the background counted, to ``classifier``."""
        super().__init__()
        self.tagger, self.config = classifier, config
        info = classifier.encoder.feature_info
        self.decoder: nn.Module = DECODERS[config.decoder](info.channels(), info.reduction(), classes, config)
        self.background = classes - classifier.classifier.out_channels
        self.dim = classifier.dim
        self.save_memory = False
        """Whether the encoder's activations are computed again in the backward pass instead of being kept."""

    @property
    def mean(self) -> Tensor:
        """RGB mean that images are normalised with; tells the device."""
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
        """Probabilities of all classes for each pixel of RGB images in 0..1."""
        logits = self.decoder(self.tagger.encode(images))
        return interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False).softmax(dim=1)

    @torch.no_grad()
    def maps(self, images: Float[Tensor, "b 3 h w"]) -> WssMaps:
        """What the next rebalancing sees (``config.maps``), the same in the midst of training."""
        modes = {module: module.training for module in self.modules()}
        self.eval()
        seen = self(images)
        for module, mode in modes.items():
            module.training = mode
        return WssMaps(self.activation(seen), seen.features)

    def activation(self, seen: StudentMaps) -> Float[Tensor, "b _ _ _"]:
        """A: CAMs, or the decoder's probabilities, of the classes that can be tagged."""
        return seen.cams if self.config.maps == "cam" else seen.logits.softmax(dim=1)[:, self.background :]


def set_modes(student: Student, freeze_norm: bool) -> None:
    """Training mode, but for the batch statistics of a pretrained encoder."""
    student.train()
    if freeze_norm:
        for module in student.tagger.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
