"""Student networks: trained by masks, they segment photographs without tags, and give the next CAMs and features.

Whatever is trained on masks keeps :class:`StudentModel`. A joint student is the tag classifier, as it is, with a
decoder on the same encoder (:data:`DECODERS` names them); a Mask2Former knows no tags, and learns finished masks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from dhr.errors import ConfigError


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


@dataclass(frozen=True)
class StudentConfig:
    """Which network is trained on the masks, and what its maps are in the next round."""

    kind: Literal["joint", "mask2former"] = "joint"
    """`joint`: the classifier with a decoder, which can be trained with recursion; `mask2former`: a second stage,
    trained on finished masks (`dhr train --masks DIR`), without recursion, with the settings `mask2former` and
    `student_training`."""
    decoder: str = "deeplabv3plus"
    """`deeplabv3plus` (ASPP and a skip from a quarter of the size; Chen et al. 2018) or `deeplabv2` (a sum of dilated
    convolutions; Chen et al. 2016)."""
    width: int = 256
    """Channels of `deeplabv3plus`."""
    low_level: int = 48
    """Channels of its skip."""
    rates: tuple[int, ...] = (6, 12, 18)
    """Dilations of its ASPP; of `deeplabv2`, all of its convolutions (6, 12, 18, 24 in the paper)."""
    norm: Literal["group", "batch"] = "group"
    """Normalisation in the decoder. `group` does not depend on the batch, so that any number of processes gives the
    same losses; `batch` is what the published figures use."""
    maps: Literal["decoder", "cam"] = "decoder"
    """What the student sees of a class when masks are rebalanced: the decoder's probabilities, or its CAMs (the
    paper)."""

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise ConfigError(f"student.decoder must be one of {', '.join(DECODERS)}; got {self.decoder!r}")
        for name in ("width", "low_level"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"student.{name} must be 1 or more, got {value}")
        if not self.rates or min(self.rates) < 1:
            raise ConfigError(f"student.rates must be dilations of 1 or more, got {self.rates}")
        kinds = ("joint", "mask2former")
        for name, known in (("kind", kinds), ("norm", ("group", "batch")), ("maps", ("decoder", "cam"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"student.{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")


@dataclass(frozen=True)
class Mask2FormerConfig:
    """The network of `student.kind mask2former` (Cheng et al. 2022), in transformers."""

    model: str = "microsoft/swin-large-patch4-window12-384-in22k"
    """Architecture and weights: a name of transformers' hub, or a folder as `save_pretrained` writes it, of a backbone
    or of a whole Mask2Former (`facebook/mask2former-swin-large-ade-semantic`, which was trained with masks that people
    drew); `timm/NAME` for a backbone of timm (`timm/resnet50`); or a type of backbone that transformers knows (`swin`,
    `convnext`), which needs no network."""
    weights: str = "hub"
    """`hub` (those of `model`), `none` (random), or a file of all of the network or of the backbone alone: safetensors,
    or a PyTorch state dict with transformers' (timm's) names."""
    backbone: dict[str, Any] = field(default_factory=dict)
    """Settings of the backbone that differ from those of `model`, with transformers' names."""
    options: dict[str, Any] = field(default_factory=dict)
    """Settings of the Mask2Former that differ from those of `model`, with transformers' names (`num_queries`,
    `train_num_points`)."""
    mean: tuple[float, float, float] | None = None
    """RGB mean of the images that the weights were made with, 0..1; by default ImageNet's, or what timm says."""
    std: tuple[float, float, float] | None = None
    """The same, standard deviation."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("mask2former.model must name a model; got nothing")
        if reserved := {"backbone_config", "num_labels", "id2label"} & {*self.options}:
            raise ConfigError(f"mask2former.options cannot set {', '.join(sorted(reserved))}; see mask2former.backbone")


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
