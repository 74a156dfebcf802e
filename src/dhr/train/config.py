"""Settings of the trainings; in a file of their own, so that settings are checked before PyTorch is imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dhr.bounds import at_least, below_one, check_scale, within
from dhr.errors import ConfigError
from dhr.method.config import Kind

Precision = Literal["auto", "32", "bf16"]
"""Precision of a training."""


@dataclass(frozen=True)
class ClassifierConfig:
    """Training of the classifier on the tags."""

    file: Path | None = None
    """A `classifier.safetensors` of another run, used instead of training one."""
    epochs: int = 0
    """Passes over the photographs. 0: eight passes, but at least 150 and at most 10,000 steps."""
    batch: int = 16
    """Photographs per step."""
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
    precision: Precision = "auto"
    """`32` (float32), `bf16` (bfloat16), or `auto`: bf16 on GPUs that have it, else 32."""
    save_minutes: float = 3.0
    """Minutes between checkpoints."""
    workers: int = 0
    """Threads that load photographs; 0: as many as there are cores, at most 8. Results do not depend on it."""

    def __post_init__(self) -> None:
        at_least(1, "classifier", self, "batch", "crop")
        at_least(0, "classifier", self, "epochs", "jitter", "lr", "head_lr", "weight_decay", "workers", "save_minutes")
        check_scale("classifier", self.scale)


@dataclass(frozen=True)
class AffinityConfig:
    """Training of the heads of `wss.kind irn` on the classifier's CAMs."""

    epochs: int = 3
    """Passes over the photographs."""
    batch: int = 8
    """Photographs per step."""
    crop: int = 288
    """Side in pixels of the square crops."""
    scale: tuple[float, float] = (0.9, 1.6)
    """Range of random sizes, relative to the working image, before the crop."""
    lr: float = 1e-2
    """Learning rate (AdamW, polynomial decay of power 0.9)."""
    weight_decay: float = 1e-4
    """Weight decay of AdamW."""
    foreground: float = 0.3
    """Least share of its peak, 0..1, at which the highest CAM labels a position with its class."""
    margin: float = 0.3
    """Least lead of that CAM over the next one, as a difference of these shares, 0..1."""
    background: float = 0.05
    """Share of their peaks, 0..1: a position where all CAMs are below it is background, if the data set has one."""
    refine: int = 10
    """Rounds of PAMR that make the CAMs follow the edges of the photograph first."""
    radius: int = 5
    """Distance within which positions are compared, in cells of the heads' grid (of 4 pixels, with most backbones)."""
    save_minutes: float = 3.0
    """Minutes between checkpoints."""
    workers: int = 0
    """Threads that load photographs; 0: as many as there are cores, at most 8. Results do not depend on it."""

    def __post_init__(self) -> None:
        at_least(1, "affinity", self, "epochs", "batch", "crop", "radius")
        at_least(0, "affinity", self, "lr", "weight_decay", "refine", "workers", "save_minutes")
        within(0, 1, "affinity", self, "margin")
        check_scale("affinity", self.scale)
        if not (0 <= self.background <= self.foreground <= 1 and self.foreground > 0):
            raise ConfigError(
                "affinity.foreground must be above 0 and at most 1, affinity.background from 0 to it; "
                f"got {self.foreground} and {self.background}"
            )


@dataclass(frozen=True)
class StudentTrainingConfig:
    """Training of a student: L_cls + L_seg (Eq. 6)."""

    steps: int = 0
    """Steps of the optimiser. 0: 40 passes over the photographs, at least 400 steps, at most 20,000."""
    batch: int = 0
    """Photographs per step, over all processes. 0: 8 on a CPU, 16 on a GPU."""
    crop: int = 0
    """Side in pixels of the square crops. 0: 1.2 times the median of the shorter sides of working images, at most 256
    on a CPU and 512 on a GPU."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Range of random sizes, relative to the working image; a crop never reaches beyond the photograph."""
    jitter: float = 0.3
    """Strength of random changes of brightness, contrast and saturation; hue changes a third as much."""
    optimiser: Literal["sgd", "adamw"] = "adamw"
    """`sgd` (momentum 0.9) or `adamw`, which learns more in a few hundred steps."""
    lr: float = 3e-4
    """Learning rate of the encoder, with polynomial decay of power 0.9."""
    new_lr: float = 10.0
    """Learning-rate multiplier for new layers."""
    weight_decay: float = 1e-2
    """Weight decay."""
    clip: float = 0.0
    """Largest norm of the gradients of a step; larger ones are scaled down; 0 switches this off."""
    recursion: bool = True
    """Rebalance the student's own maps in every step. Otherwise it is trained on the given masks throughout."""
    start: float = 0.1
    """Share of the steps, 0..1, before recursion, trained on the given masks. Ignored (0) without masks."""
    boundary: Kind = "pamr"
    """Correction of the masks in recursion; a CRF costs more than the rest of a step."""
    teacher: bool = True
    """Take the masks in recursion from the moving mean of past students (EMA), which is also the result."""
    ema: float = 0.999
    """Decay of that mean, 0 to below 1; in the first steps it is smaller."""
    accumulate: int = 1
    """Parts of a batch that are computed one after the other, to save memory."""
    save_memory: bool = False
    """Compute the encoder's activations again in the backward pass instead of keeping them."""
    precision: Precision = "auto"
    """`32` (float32), `bf16` (bfloat16), or `auto`: bf16 on GPUs that have it, else 32."""
    held_out: float = 0.1
    """Share of the photographs, 0..0.5, that are held out: not trained on, at most 100. When the loss on them no longer
    falls, the training ends. The result is the weights with the lowest loss. With fewer than 40 photographs, or with 0,
    all are trained on."""
    save_minutes: float = 3.0
    """Minutes between checkpoints."""
    save_every: int = 0
    """Steps between further checkpoints; 0 writes no further ones."""
    look_every: int = 500
    """Steps between pictures of the masks of a few photographs; 0 draws no pictures."""
    log_every: int = 10
    """Steps between lines of the log; its column `empty` counts the crops since the previous line without a tag of
    their photograph, or without a mask, which the decoder did not learn from."""
    workers: int = 0
    """Threads that load photographs, per training process; 0: as many as there are cores, at most 8. Results do not
    depend on it."""
    devices: int = 1
    """Processes on this machine, one per GPU if there are GPUs. torchrun and SLURM override it."""

    def __post_init__(self) -> None:
        group = "student_training"
        at_least(1, group, self, "accumulate", "log_every", "devices")
        at_least(0, group, self, "steps", "batch", "crop", "jitter", "lr", "new_lr", "weight_decay", "clip", "workers")
        at_least(0, group, self, "save_minutes", "save_every", "look_every")
        within(0, 1, group, self, "start")
        within(0, 0.5, group, self, "held_out")
        below_one(group, self, "ema")
        check_scale(group, self.scale)
        self.check_batch(self.devices)

    def check_batch(self, processes: int) -> None:
        """Refuse a batch that cannot be shared equally.

        Raises:
            ConfigError: it is not a multiple of ``accumulate`` times ``processes``.
        """
        parts = self.accumulate * processes
        if self.batch % parts:
            raise ConfigError(
                f"student_training.batch must be a multiple of {parts}, student_training.accumulate times the number "
                f"of processes; got {self.batch}"
            )
