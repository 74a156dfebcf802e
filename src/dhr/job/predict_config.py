"""Settings of `dhr predict`."""

from dataclasses import dataclass
from typing import Literal

from dhr.errors import ConfigError
from dhr.models.precision import Precision, check_precision


@dataclass(frozen=True)
class PredictConfig:
    """Settings of `dhr predict`."""

    scales: tuple[float, ...] = (1.0,)
    """Sizes, relative to the working image, whose probabilities are averaged."""
    flip: bool = True
    """Average with the mirrored photograph."""
    boundary: Literal["none", "crf", "pamr"] = "none"
    """Correction of the masks along edges in the photograph."""
    long_side: int | None = None
    """Photographs with a longer side are shrunk to it; by default as in the student's training."""
    precision: Precision = "auto"
    """Type of numbers in which the student computes: `float32`, `bfloat16` or `float16`. `auto`: bfloat16 on CPUs and
    GPUs that compute faster with it, float16 on older GPUs, else float32."""
    device: str = "auto"
    """`auto` (a CUDA GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`."""

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError(f"scales must be positive numbers, got {self.scales}")
        check_precision(self.precision)
        if self.boundary not in ("none", "crf", "pamr"):
            raise ConfigError(f"boundary must be none, crf or pamr; got {self.boundary!r}")
        if self.long_side is not None and self.long_side < 32:
            raise ConfigError(f"long_side must be 32 or more, got {self.long_side}")
