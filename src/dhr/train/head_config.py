"""Settings of ``dhr train-head``."""

from dataclasses import dataclass

from dhr.bounds import at_least, below_one, check_scale, within
from dhr.errors import ConfigError


@dataclass(frozen=True)
class HeadConfig:
    """Settings shared by the trainings of all heads. Labels are not read."""

    epochs: int = 6
    """Passes over all crops."""
    batch: int = 16
    """Crops per step."""
    crops: int = 2
    """Crops per photograph: square, at random places and sizes, mirrored or not. They are the same in every epoch, so
    the frozen network sees each once."""
    side: int = 320
    """Side in pixels of the crops."""
    scale: tuple[float, float] = (1.0, 2.0)
    """Range of random sizes of the photograph before a crop is cut; choose it like `uss.scales` of the later run."""
    long_side: int = 640
    """Photographs with a longer side are shrunk to it first, like `image.long_side` of a run."""
    code: int = 90
    """Channels of the head's features."""
    lr: float = 1e-3
    """Learning rate (AdamW, polynomial decay of power 0.9)."""
    weight_decay: float = 0.0
    """Weight decay of AdamW."""
    dropout: float = 0.1
    """Share of the feature channels that each branch of the head drops in a step."""
    memory_mb: int = 4096
    """Memory for features of crops; features of further crops are computed in every epoch."""
    seed: int = 0
    """Seed of all random numbers."""
    device: str = "auto"
    """`auto` (a CUDA GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""

    def __post_init__(self) -> None:
        at_least(1, "head", self, "epochs", "crops", "side", "code")
        at_least(2, "head", self, "batch")  # the crops of a batch are compared with each other
        at_least(32, "head", self, "long_side")
        at_least(0, "head", self, "lr", "weight_decay", "memory_mb")
        below_one("head", self, "dropout")
        check_scale("head", self.scale)
        within(0, 2**63 - 1, "head", self, "seed")


@dataclass(frozen=True)
class StegoConfig:
    """The correlation loss of STEGO (Hamilton et al. 2022, Eq. 2 to 4)."""

    neighbours: int = 7
    """Most similar crops of other photographs, from which the second crop of a pair is drawn."""
    cells: int = 121
    """Cells drawn from each crop of a pair."""
    negatives: int = 5
    """Random pairs per crop, within its batch."""
    shift_self: float = 0.2
    """Cosine of centred features above which cells of one crop attract each other; below it they repel."""
    shift_near: float = 0.2
    """The same for cells of a crop and a similar crop."""
    shift_random: float = 0.2
    """The same for cells of random pairs."""
    weight_self: float = 0.3
    """Weight of the pairs of a crop with itself."""
    weight_near: float = 0.6
    """Weight of the pairs with a similar crop."""
    weight_random: float = 1.0
    """Weight of the random pairs."""

    def __post_init__(self) -> None:
        at_least(1, "stego", self, "neighbours", "cells")
        at_least(0, "stego", self, "negatives", "weight_self", "weight_near", "weight_random")


@dataclass(frozen=True)
class CauseConfig:
    """Codebook and contrastive loss of CAUSE (Kim, Lee and Ro 2023, Sections 3.2 and 3.3)."""

    concepts: int = 256
    """Entries of the codebook; the authors use 2048 on larger data."""
    codebook_epochs: int = 2
    """Passes over all crops for the codebook, before the head is trained."""
    codebook_lr: float = 1e-3
    """Learning rate of the codebook."""
    sharpness: float = 0.1
    """Temperature of the tanh that tells whether two cells share a concept."""
    cells: int = 100
    """Cells drawn from each crop in a step."""
    hidden: int = 768
    """Width of the decoder's hidden layer; the authors use 2048."""
    projection: int = 256
    """Channels of the projected codes that the loss compares; the authors use 2048."""
    bank: int = 16
    """Codes of earlier steps kept per concept; the authors keep 100."""
    positive: float = 0.7
    """Cosine of two cells' concepts above which the cells attract each other; the authors use 0.3, without centring."""
    negative: float = 0.4
    """Cosine below which they repel; the authors use 0.1."""
    temperature: float = 0.07
    """Temperature of the contrastive loss."""
    ema: float = 0.99
    """Decay of the teacher, a moving average of the head."""

    def __post_init__(self) -> None:
        at_least(1, "cause", self, "concepts", "codebook_epochs", "cells", "hidden", "projection", "bank")
        for name in ("codebook_lr", "sharpness", "temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"cause.{name} must be above 0, got {getattr(self, name)}")
        if not -1 <= self.negative <= self.positive <= 1:
            raise ConfigError(
                f"cause.negative and cause.positive are cosines, the first not above the second; got {self.negative} "
                f"and {self.positive}"
            )
        below_one("cause", self, "ema")
