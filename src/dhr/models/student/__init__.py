"""Student networks: trained by masks, they segment photographs without tags, and give the next CAMs and features.

All of them implement :class:`StudentModel`. A joint student is the tag classifier with a decoder on the same encoder
(:data:`DECODERS`); a Mask2Former does not use tags, and learns finished masks.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from dhr.models.config import DECODERS as DECODERS
from dhr.models.config import Mask2FormerConfig as Mask2FormerConfig
from dhr.models.config import StudentConfig as StudentConfig


class Group(NamedTuple):
    """Parameters that are trained with the same settings."""

    parameters: list[nn.Parameter]
    new: bool
    """Whether they start at random, so their learning rate is higher."""
    decay: bool = True
    """Whether they have weight decay."""


@runtime_checkable
class StudentModel(Protocol):
    """An ``nn.Module`` that is trained on masks; an objective computes the loss of its outputs."""

    kind: str
    """Its value of ``student.kind``."""
    background: int
    """1 if class 0 is the background, else 0."""
    save_memory: bool
    """Whether the backward pass computes activations again instead of keeping them."""

    @property
    def mean(self) -> Tensor:
        """RGB mean of the normalisation; its device is that of the network."""
        ...

    def segment(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Compute probabilities of all classes for each pixel of RGB images in 0..1."""
        ...

    def coarse(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c p q"]:
        """Compute probabilities of all classes on the network's own grid, which takes far less than for each pixel."""
        ...

    def groups(self) -> list[Group]:
        """Return all trained parameters."""
        ...

    def set_modes(self, freeze_norm: bool) -> None:
        """Set training mode; with ``freeze_norm``, batch statistics of the encoder stay as they are."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return all settings that are needed to build it again, as JSON."""
        ...


class StudentMaps(NamedTuple):
    """Outputs of a student for a batch of images."""

    cams: Float[Tensor, "b t u v"]
    """CAMs before the ReLU, one for each class that can be tagged."""
    features: Float[Tensor, "b d u v"]
    """F_ws: features of the encoder's last two stages, each of unit length at every position."""
    logits: Float[Tensor, "b c p q"]
    """The decoder's scores of all classes, including the background, at a quarter of the size (`deeplabv2`: on the grid
    of the CAMs)."""
