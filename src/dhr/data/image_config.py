"""The size of the working image and of the grid; in a file of its own, because importing PyTorch takes seconds."""

from dataclasses import dataclass

from dhr.errors import ConfigError


@dataclass(frozen=True)
class ImageConfig:
    """The size of the working image and of the grid."""

    long_side: int = 640
    """Photographs with a longer side are shrunk to it for the networks; masks always have the photograph's own size."""
    grid_stride: int = 8
    """Pixels of the working image per cell of the grid on which CAMs and features are compared."""

    def __post_init__(self) -> None:
        if self.long_side < 32:
            raise ConfigError(f"image.long_side must be 32 or more, got {self.long_side}")
        if self.grid_stride < 1:
            raise ConfigError(f"image.grid_stride must be 1 or more, got {self.grid_stride}")
