"""Settings of the training of a head on unsupervised features."""

from dataclasses import dataclass, field

from dhr.errors import ConfigError
from dhr.models.config import UssConfig
from dhr.train.head_config import CauseConfig, HeadConfig, StegoConfig

TRAINABLE = ("stego", "cause")
"""Kinds of head that can be trained; the group of settings has the same name."""


@dataclass(frozen=True)
class HeadTraining:
    """All settings that a head depends on."""

    kind: str = "stego"
    """Kind of head: `stego` or `cause`."""
    uss: UssConfig = field(default_factory=UssConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    stego: StegoConfig = field(default_factory=StegoConfig)
    cause: CauseConfig = field(default_factory=CauseConfig)

    def __post_init__(self) -> None:
        if self.kind not in TRAINABLE:
            raise ConfigError(f"kind must be one of {', '.join(TRAINABLE)}; got {self.kind!r}")
        if self.uss.kind != "timm":
            raise ConfigError(f"a head is trained on a network of timm, uss.kind timm; got {self.uss.kind!r}")
