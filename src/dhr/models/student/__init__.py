"""Student networks: trained by masks, they segment photographs without tags, and give the next CAMs and features.

Whatever is trained on masks keeps :class:`StudentModel`. A joint student is the tag classifier, as it is, with a
decoder on the same encoder (:data:`DECODERS` names them); a Mask2Former knows no tags, and learns finished masks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from dhr.models.config import Mask2FormerConfig as Mask2FormerConfig
from dhr.models.config import StudentConfig as StudentConfig


class Group(NamedTuple):
    """Parameters that are trained alike."""

    parameters: list[nn.Parameter]
    new: bool
    """Whether they have no pretrained weights: they get a higher learning rate."""
    decay: bool = True
    """Whether weight decay is for them."""


@runtime_checkable
class StudentModel(Protocol):
    """An ``nn.Module`` that is trained on masks; of what it makes of images, its objective takes the loss."""

    kind: str
    """What ``student.kind`` calls it."""
    background: int
    """1 if class 0 is the background, else 0."""
    save_memory: bool
    """Whether activations are computed again in the backward pass instead of being kept."""

    @property
    def mean(self) -> Tensor:
        """RGB mean that images are normalised with; tells the device."""
        ...

    def segment(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h w"]:
        """Probabilities of all classes for each pixel of RGB images in 0..1."""
        ...

    def groups(self) -> list[Group]:
        """All parameters that are trained."""
        ...

    def set_modes(self, freeze_norm: bool) -> None:
        """Training mode, but, if asked for, for the batch statistics of the encoder."""
        ...

    def describe(self) -> dict[str, Any]:
        """All settings that it takes to build it again, as JSON."""
        ...


class StudentMaps(NamedTuple):
    """What a student makes of a batch of images."""

    cams: Float[Tensor, "b t u v"]
    """CAMs before the ReLU, one for each class that can be tagged."""
    features: Float[Tensor, "b d u v"]
    """F_ws: features of the encoder's last two stages, each of unit length at every position."""
    logits: Float[Tensor, "b c p q"]
    """The decoder's scores of all classes, the background too, at a quarter of the size (`deeplabv2`: the CAMs')."""


def _v3plus(channels: Sequence[int], reductions: Sequence[int], classes: int, config: StudentConfig) -> nn.Module:
    from dhr.models.student.deeplab import DeepLabV3Plus

    return DeepLabV3Plus(channels, reductions, classes, config)


def _v2(channels: Sequence[int], reductions: Sequence[int], classes: int, config: StudentConfig) -> nn.Module:
    from dhr.models.student.deeplab import DeepLabV2

    return DeepLabV2(channels[-1], classes, config.rates)


DECODERS: Mapping[str, Callable[..., Any]] = {"deeplabv3plus": _v3plus, "deeplabv2": _v2}
"""Builders of decoders, by the name that `student.decoder` takes."""
