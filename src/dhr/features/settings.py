"""Settings of a feature store."""

from dataclasses import dataclass
from typing import Literal

from dhr.bounds import byte_count
from dhr.errors import ConfigError


@dataclass(frozen=True)
class StoreConfig:
    """Settings of a store; None keeps the present value."""

    pca: int | None = None
    """Channels that features are reduced to, along the principal axes of this data set; 0 keeps all. Fixed when the
    store is made."""
    bits: Literal[8, 16] | None = None
    """Bits per number: 16 (half precision, the default) or 8. Fixed when the store is made."""
    limit: str | None = None
    """Most disk space, such as `200GB` or `500MB`: beyond it the least recently used entries are deleted; `none` for no
    limit. Kept with the store."""

    def __post_init__(self) -> None:
        if self.pca is not None and self.pca < 0:
            raise ConfigError(f"--pca must be a number of channels, or 0 for all; got {self.pca}")
        if self.bits not in (None, 8, 16):
            raise ConfigError(f"--bits must be 8 or 16, got {self.bits}")
        self.limit_bytes()

    def limit_bytes(self) -> int | None:
        """Return the limit in bytes; None without a limit.

        >>> StoreConfig(limit="1.5GB").limit_bytes()
        1500000000
        """
        if self.limit is None or self.limit.strip().lower() == "none":
            return None
        size = byte_count(self.limit)
        if not size:
            raise ConfigError(f"--limit must be a size such as 200GB or 500MB, or none; got {self.limit!r}")
        return size
