"""What is refused, and how sure the scores are to be."""

from dataclasses import dataclass

from dhr.errors import ConfigError


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of :func:`dhr.evaluate.evaluate` and its like. By default whatever does not fit is an error."""

    allow_missing: bool = False
    """Leave photographs without a mask out of the scores, and name them."""
    allow_wrong_size: bool = False
    """Leave photographs whose mask has another size than the truth out of the scores, and name them."""
    allow_extra: bool = False
    """Pass over masks that belong to no photograph of the data set, and name them."""
    resamples: int = 0
    """Resamplings of the bootstrap that gives the intervals; 0: no intervals."""
    seed: int = 0
    """Of the bootstrap."""
    workers: int | None = None
    """Threads; by default one for each processor. The scores do not depend on it."""

    def __post_init__(self) -> None:
        if not 0 <= self.resamples <= 100_000 or self.seed < 0:
            raise ConfigError(
                f"resamples must be 0 to 100000 and the seed at least 0, got {self.resamples} and {self.seed}; "
                "1000 resamplings are enough for intervals"
            )
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers must be at least 1, got {self.workers}; leave it out for all processors")
