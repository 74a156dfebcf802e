"""Inter-pixel relations (IRN, Ahn et al., CVPR 2019): where classes end, learnt from a classifier's own CAMs."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dhr.models.wss import WssConfig, WssMaps
from dhr.models.wss.classifier import TagClassifier

_FINEST = 4
_EDGE_WIDTH, _DISPLACEMENT_WIDTH, _GROUPS = 32, 64, 4


class IrnClassifier(TagClassifier):
    """A tag classifier with two heads on its encoder's feature maps: class boundaries, and displacements to centroids.

    Encoder and classifier are those of :class:`TagClassifier`, parameter by parameter; nothing of the heads flows back
    into them.
    """

    def __init__(self, config: WssConfig, classes: int) -> None:
        super().__init__(config, classes)
        self.heads = RelationHeads(self.encoder.feature_info.channels(), self.encoder.feature_info.reduction())

    def read(self, levels: list[Tensor]) -> WssMaps:
        """CAMs, features and class boundaries."""
        return replace(super().read(levels), edges=self.heads.boundaries(levels).sigmoid())

    def tag_state(self) -> dict[str, Tensor]:
        """See :meth:`TagClassifier.tag_state`."""
        return {key: value for key, value in self.state_dict().items() if not key.startswith("heads.")}


class RelationHeads(nn.Module):
    """Class boundaries and displacements, of the encoder's maps of stride 4 or more, on the grid of the finest."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.first = next((index for index, stride in enumerate(strides) if stride >= _FINEST), len(strides) - 1)
        self.stride = strides[self.first]
        used = channels[self.first :]
        self.edges = _Head(used, _EDGE_WIDTH, 1)
        self.displacement = _Head(used, _DISPLACEMENT_WIDTH, 2)

    def forward(self, levels: Sequence[Tensor]) -> tuple[Float[Tensor, "b 1 p q"], Float[Tensor, "b 2 p q"]]:
        """Compute logits of the boundaries, and displacements up to a constant; no gradient flows into ``levels``."""
        return self.boundaries(levels), self.displacement(self._used(levels))

    def boundaries(self, levels: Sequence[Tensor]) -> Float[Tensor, "b 1 p q"]:
        """Compute logits of the boundaries alone, which are all that masks need."""
        logits: Tensor = self.edges(self._used(levels))
        return logits

    def _used(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return [level.detach() for level in levels[self.first :]]

    def reset(self) -> None:
        """Random parameters, by torch's current seed."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.GroupNorm):
                module.reset_parameters()


class _Head(nn.Module):
    """Each level by a 1x1 convolution to ``width`` channels, brought to the finest grid, joined by another."""

    def __init__(self, channels: Sequence[int], width: int, out: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, width, 1, bias=False), nn.GroupNorm(_GROUPS, width), nn.ReLU())
            for count in channels
        )
        self.join = nn.Conv2d(width * len(channels), out, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        size = levels[0].shape[-2:]
        lateral = [
            interpolate(project(level), size, mode="bilinear", align_corners=False)
            for project, level in zip(self.levels, levels, strict=True)
        ]
        joined: Tensor = self.join(torch.cat(lateral, dim=1))
        return joined
