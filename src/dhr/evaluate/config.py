"""Settings of the evaluation."""

from dataclasses import dataclass

from dhr.errors import ConfigError


@dataclass(frozen=True)
class EvaluateConfig:
    """Masks that are allowed, and the settings of intervals. By default masks that do not fit are an error."""

    allow_missing: bool = False
    """Leave photographs without a mask out of the scores, and name them."""
    allow_wrong_size: bool = False
    """Leave photographs whose mask has another size than the ground truth out of the scores, and name them."""
    allow_extra: bool = False
    """Ignore masks without a photograph in the data set, and name them."""
    resamples: int = 0
    """Resamplings of the bootstrap for intervals; 0 computes no intervals."""
    seed: int = 0
    """Seed of the bootstrap."""
    workers: int | None = None
    """Threads, or workers of an engine; by default one for each processor. The scores do not depend on it."""

    def __post_init__(self) -> None:
        if not 0 <= self.resamples <= 100_000 or self.seed < 0:
            raise ConfigError(
                f"resamples must be 0 to 100000 and the seed at least 0, got {self.resamples} and {self.seed}; "
                "1000 resamplings are enough for intervals"
            )
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}; leave it out for all processors")
