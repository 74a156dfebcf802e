"""Student networks: trained by masks, they segment photographs without tags, and give the next CAMs and features.

A student is the tag classifier, as it is, with a decoder on the same encoder; :data:`DECODERS` names the decoders.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from dhr.errors import ConfigError


@dataclass(frozen=True)
class StudentConfig:
    """Which decoder is trained on the masks, and what the student's maps are in the next round."""

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
        for name, known in (("norm", ("group", "batch")), ("maps", ("decoder", "cam"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"student.{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")


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
