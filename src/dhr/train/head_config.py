"""Settings of ``dhr train-head``."""

from dataclasses import dataclass

from dhr.errors import ConfigError


@dataclass(frozen=True)
class HeadConfig:
    """What trainings of all heads share. No label is read."""

    epochs: int = 6
    """Passes over all crops."""
    batch: int = 16
    """Crops a step."""
    crops: int = 2
    """Crops of each photograph: square, at random places and sizes, mirrored or not; always the same ones, so that the
    frozen network sees each once."""
    side: int = 320
    """Side in pixels of the crops."""
    scale: tuple[float, float] = (1.0, 2.0)
    """Range of random sizes, relative to the photograph, that crops are cut at; as `uss.scales` of the run to come."""
    long_side: int = 640
    """Photographs with a longer side are shrunk to it first, as `image.long_side` of a run."""
    code: int = 90
    """Channels of the head's features."""
    lr: float = 1e-3
    """Learning rate (AdamW, polynomial decay of power 0.9)."""
    weight_decay: float = 0.0
    """Weight decay of AdamW."""
    dropout: float = 0.1
    """Share of the channels of the features that each branch of the head loses in a step."""
    memory_mb: int = 4096
    """Features are kept in memory up to this; those of further crops are computed in every epoch."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "auto"
    """`auto` (a CUDA GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "crops", "side", "code"):
            if getattr(self, name) < 1:
                raise ConfigError(f"head.{name} must be 1 or more, got {getattr(self, name)}")
        if self.batch < 2:
            raise ConfigError("head.batch must be 2 or more: crops of a batch are told apart from each other")
        if self.long_side < 32:
            raise ConfigError(f"head.long_side must be 32 or more, got {self.long_side}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"head.scale must be two positive sizes, the smaller first; got {self.scale}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"head.dropout is a share, 0 or more and below 1; got {self.dropout}")
        for name in ("lr", "weight_decay", "memory_mb"):
            if getattr(self, name) < 0:
                raise ConfigError(f"head.{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"head.seed must be 0 or more, and below 2**63; got {self.seed}")


@dataclass(frozen=True)
class StegoConfig:
    """The correlation loss of STEGO (Hamilton et al. 2022, Eq. 2 to 4)."""

    neighbours: int = 7
    """Crops of other photographs that look most alike, of which one is the second of a pair."""
    cells: int = 121
    """Cells drawn of each crop of a pair."""
    negatives: int = 5
    """Random pairs a crop, of the crops of its batch."""
    shift_self: float = 0.2
    """Cosine of features (their mean taken away) above which cells of one crop attract each other, else repel."""
    shift_near: float = 0.2
    """The same for cells of a crop and one that looks alike."""
    shift_random: float = 0.2
    """The same for cells of random pairs."""
    weight_self: float = 0.3
    """Weight of the pairs of a crop with itself."""
    weight_near: float = 0.6
    """Weight of the pairs with a crop that looks alike."""
    weight_random: float = 1.0
    """Weight of the random pairs."""

    def __post_init__(self) -> None:
        for name in ("neighbours", "cells"):
            if getattr(self, name) < 1:
                raise ConfigError(f"stego.{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("negatives", "weight_self", "weight_near", "weight_random"):
            if getattr(self, name) < 0:
                raise ConfigError(f"stego.{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class CauseConfig:
    """Codebook and contrastive loss of CAUSE (Kim, Lee and Ro 2023, Sections 3.2 and 3.3)."""

    concepts: int = 256
    """Entries of the codebook; the authors have 2048 on larger data."""
    codebook_epochs: int = 2
    """Passes over all crops for the codebook, before the head is trained."""
    codebook_lr: float = 1e-3
    """Learning rate of the codebook."""
    sharpness: float = 0.1
    """Temperature of the tanh that tells whether two cells share a concept."""
    cells: int = 100
    """Cells drawn of each crop in a step."""
    hidden: int = 768
    """Width of the decoder's hidden layer; the authors have 2048."""
    projection: int = 256
    """Channels of the projected codes that the loss compares; the authors have 2048."""
    bank: int = 16
    """Codes of earlier steps that are kept of each concept; the authors keep 100."""
    positive: float = 0.7
    """Cosine of two cells' concepts above which the cells attract each other; the authors, who do not centre features,
    have 0.3."""
    negative: float = 0.4
    """The same, below which they repel; the authors have 0.1."""
    temperature: float = 0.07
    """Of the contrastive loss."""
    ema: float = 0.99
    """How much of the teacher stays in a step."""

    def __post_init__(self) -> None:
        for name in ("concepts", "codebook_epochs", "cells", "hidden", "projection", "bank"):
            if getattr(self, name) < 1:
                raise ConfigError(f"cause.{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("codebook_lr", "sharpness", "temperature"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"cause.{name} must be above 0, got {getattr(self, name)}")
        if not -1 <= self.negative <= self.positive <= 1:
            raise ConfigError(
                f"cause.negative and cause.positive are cosines, the first not above the second; got {self.negative} "
                f"and {self.positive}"
            )
        if not 0 <= self.ema < 1:
            raise ConfigError(f"cause.ema must be 0 or more and below 1, got {self.ema}")
