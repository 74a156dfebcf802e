"""The size at which photographs are worked on; apart from tensors, as importing PyTorch takes seconds."""

from dataclasses import dataclass

from dhr.errors import ConfigError


@dataclass(frozen=True)
class ImageConfig:
    """At which size photographs are worked on."""

    long_side: int = 640
    """Photographs with a longer side are shrunk to it for the networks; masks always have the photograph's own size."""
    grid_stride: int = 8
    """Pixels of the working image a cell of the grid that CAMs and features are compared on."""

    def __post_init__(self) -> None:
        if self.long_side < 32:
            raise ConfigError(f"image.long_side must be 32 or more, got {self.long_side}")
        if self.grid_stride < 1:
            raise ConfigError(f"image.grid_stride must be 1 or more, got {self.grid_stride}")
