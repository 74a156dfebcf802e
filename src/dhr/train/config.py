"""Settings of the trainings; apart from them, so that settings are checked before PyTorch is imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dhr.errors import ConfigError
from dhr.method.config import Kind


@dataclass(frozen=True)
class ClassifierConfig:
    """How the classifier is trained on the tags."""

    file: Path | None = None
    """A `classifier.safetensors` of another run, used instead of training one."""
    epochs: int = 8
    """Passes over the photographs."""
    batch: int = 16
    """Photographs a step."""
    crop: int = 288
    """Side in pixels of the square crops."""
    scale: tuple[float, float] = (0.9, 1.6)
    """Range of random sizes, relative to the working image, before the crop."""
    jitter: float = 0.3
    """Strength of random changes of brightness, contrast and saturation; hue changes a third as much."""
    lr: float = 3e-4
    """Learning rate of the backbone (AdamW, polynomial decay of power 0.9)."""
    head_lr: float = 3e-3
    """Learning rate of the classifier on top of it."""
    weight_decay: float = 1e-2
    """Weight decay of AdamW."""
    freeze_norm: bool = True
    """Keep the batch statistics of pretrained weights; they are always learnt with `wss.weights none`."""
    workers: int = 0
    """Processes that load photographs; 0 loads them in the main one. Results do not depend on it."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "crop"):
            if getattr(self, name) < 1:
                raise ConfigError(f"classifier.{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"classifier.scale must be two positive sizes, the smaller first; got {self.scale}")
        for name in ("jitter", "lr", "head_lr", "weight_decay", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"classifier.{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class AffinityConfig:
    """How the heads of `wss.kind irn` are trained on the classifier's CAMs."""

    epochs: int = 3
    """Passes over the photographs."""
    batch: int = 8
    """Photographs a step."""
    crop: int = 288
    """Side in pixels of the square crops."""
    scale: tuple[float, float] = (0.9, 1.6)
    """Range of random sizes, relative to the working image, before the crop."""
    lr: float = 1e-2
    """Learning rate (AdamW, polynomial decay of power 0.9)."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    foreground: float = 0.3
    """Share of its peak, 0..1, from which the highest CAM names the class of a position."""
    margin: float = 0.3
    """Difference of such shares, 0..1, by which that CAM must lead the next one."""
    background: float = 0.05
    """Share of their peaks, 0..1, below which all CAMs name it background, where a data set has one."""
    refine: int = 10
    """Rounds of PAMR that make the CAMs follow the edges of the photograph first."""
    radius: int = 5
    """Distance within which positions are compared, in cells of the heads' grid (of 4 pixels, with most backbones)."""
    workers: int = 0
    """Processes that load photographs; 0 loads them in the main one. Results do not depend on it."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "crop", "radius"):
            if getattr(self, name) < 1:
                raise ConfigError(f"affinity.{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"affinity.scale must be two positive sizes, the smaller first; got {self.scale}")
        for name in ("lr", "weight_decay", "refine", "workers"):
            if getattr(self, name) < 0:
                raise ConfigError(f"affinity.{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.margin <= 1:
            raise ConfigError(f"affinity.margin must be in 0..1, got {self.margin}")
        if not (0 <= self.background <= self.foreground <= 1 and self.foreground > 0):
            raise ConfigError(
                "affinity.foreground must be above 0 and at most 1, affinity.background from 0 to it; "
                f"got {self.foreground} and {self.background}"
            )


@dataclass(frozen=True)
class StudentTrainingConfig:
    """How a student is trained: L_cls + L_seg (Eq. 6)."""

    steps: int = 20000
    """Steps of the optimiser."""
    batch: int = 16
    """Photographs a step, over all processes."""
    crop: int = 512
    """Side in pixels of the square crops."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of random sizes, relative to the working image; a crop never reaches beyond the photograph."""
    jitter: float = 0.3
    """Strength of random changes of brightness, contrast and saturation; hue changes a third as much."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """`sgd` (momentum 0.9) or `adamw`."""
    lr: float = 1e-3
    """Learning rate of the encoder, with polynomial decay of power 0.9."""
    new_lr: float = 10.0
    """How many times that the new layers have."""
    weight_decay: float = 4e-5
    """Weight decay."""
    clip: float = 0.0
    """Largest norm of a step's gradients, above which they are scaled down; 0 for none."""
    recursion: bool = True
    """Rebalance the student's own maps in every step; otherwise the given masks teach it throughout."""
    start: float = 0.1
    """Share of the steps, 0..1, before that, in which the given masks teach it. Without masks it is none."""
    base: Literal["masks", "maps"] = "masks"
    """M_base in recursion: the given masks, or what the student's maps make (R_c of them)."""
    boundary: Kind = "pamr"
    """Correction of the masks in recursion; a CRF costs more than the rest of a step."""
    teacher: bool = True
    """Whether the masks in recursion come from the mean of the past students (EMA), and the result is that."""
    ema: float = 0.999
    """Its decay, 0 to below 1; at first it follows faster."""
    doubtful: float = 0.0
    """Confidence, 0..1, below which a pixel teaches nothing (for `weighting: void`)."""
    weighting: Literal["void", "confidence"] = "void"
    """`void`: doubtful pixels are left out; `confidence`: every pixel counts by its confidence."""
    accumulate: int = 1
    """Parts in which a batch is worked on, one after the other, to save memory."""
    save_memory: bool = False
    """Compute the encoder's activations again in the backward pass instead of keeping them."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """`auto`: bfloat16 on GPUs that have it, else 32 bits."""
    freeze_norm: bool = True
    """Keep the encoder's batch statistics; they are always learnt with `wss.weights none`."""
    save_every: int = 500
    """Steps between checkpoints."""
    keep: int = 2
    """Checkpoints kept."""
    look_every: int = 500
    """Steps between pictures of the masks of a few photographs; 0 for none."""
    log_every: int = 10
    """Steps between lines of the log; its column `empty` counts the crops since the line before that held none of
    their photograph's tags, or no mask at all, and taught the decoder nothing."""
    workers: int = 0
    """Processes that load photographs, for each that trains; results do not depend on it."""
    devices: int = 1
    """Processes on this machine, one a GPU if there are GPUs. Under torchrun and SLURM those decide."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "accumulate", "save_every", "keep", "log_every", "devices"):
            if getattr(self, name) < 1:
                raise ConfigError(f"student_training.{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("jitter", "lr", "new_lr", "weight_decay", "clip", "workers", "look_every"):
            if getattr(self, name) < 0:
                raise ConfigError(f"student_training.{name} must not be negative, got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"student_training.scale must be two positive sizes, the smaller first; got {self.scale}")
        for name in ("start", "doubtful"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"student_training.{name} must be in 0..1, got {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"student_training.ema must be at least 0 and below 1, got {self.ema}")
        if self.batch % (self.accumulate * self.devices):
            raise ConfigError(
                f"student_training.batch must be a multiple of {self.accumulate * self.devices}, "
                f"student_training.accumulate times student_training.devices; got {self.batch}"
            )
