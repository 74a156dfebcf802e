"""Weakly-supervised (WSS) networks: class maps, learnt from tags alone. The sources of :mod:`dhr.sources` use them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dhr.models.config import BACKGROUNDS as BACKGROUNDS
from dhr.models.config import CAM_KINDS as CAM_KINDS
from dhr.models.config import WssConfig as WssConfig


@dataclass(frozen=True)
class WssMaps:
    """The maps of a WSS model for a batch of images, on its own grid."""

    cams: Float[Tensor, "b c u v"]
    """Class activation maps before the ReLU, one for each class that was asked for."""
    features: Float[Tensor, "b d _ _"]
    """Features, maybe on another grid, of the encoder's last two stages, each of unit length at every position."""
    edges: Float[Tensor, "b 1 p q"] | None = None
    """Probability, 0..1, of a class boundary, on a grid of its own; None without class boundaries."""
    probabilities: Float[Tensor, "b _ _ _"] | None = None
    """Of a student: the probability in each cell of the background, where there is one, and of the given classes."""


@runtime_checkable
class WssModel(Protocol):
    """Class activation maps and the features that they were read from."""

    @property
    def dim(self) -> int:
        """Number of channels of the features."""
        ...

    @property
    def tags_apart(self) -> bool:
        """Whether the CAM of a class is the same whatever other classes are asked for, and further ones cost little."""
        ...

    def maps(self, images: Float[Tensor, "b 3 h w"], tags: Sequence[int] | None = None) -> WssMaps:
        """Compute maps of RGB images in 0..1; no gradient.

        Args:
            images: views of one photograph if ``tags`` are given, or of several if :attr:`tags_apart`.
            tags: the classes of the CAMs, 0 the first that can be tagged; by default all.
        """
        ...
