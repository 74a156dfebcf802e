"""Settings of the method, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from dhr.errors import ConfigError


@dataclass(frozen=True)
class BoundaryConfig:
    """How base mask, seeds and result are made to follow the edges of the photograph (R_c of Eqs. 1, 2 and 5)."""

    kind: Literal["pamr", "none"] = "pamr"
    """`pamr` (pixel-adaptive mask refinement) or `none`."""
    iterations: int = 10
    """Rounds of refinement."""
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Distances, in pixels, of the neighbours that a pixel is compared with."""

    def __post_init__(self) -> None:
        if self.kind not in ("pamr", "none"):
            raise ConfigError(f"boundary.kind must be pamr or none, got {self.kind!r}")
        if self.iterations < 0:
            raise ConfigError(f"boundary.iterations must be 0 or more, got {self.iterations}")
        if not self.dilations or min(self.dilations) < 1:
            raise ConfigError(f"boundary.dilations must be distances of 1 or more, got {self.dilations}")


@dataclass(frozen=True)
class MethodConfig:
    """Rebalancing, Steps 1 to 3."""

    eps: float = 0.1
    """Strength of the entropy in the transport (lambda of the paper); smaller is harder."""
    tau: float = 0.8
    """Classes whose USS centroids have a cosine above this form a group (super-class)."""
    marginal: Literal["uniform", "estimated"] = "estimated"
    """Share of the image that the transport gives each class: `uniform` (the paper: the same for all tagged classes) or
    `estimated` (from the mask so far)."""
    smallest_ratio: float = 0.05
    """Least share that an estimate gives a tagged class, so that none is starved."""
    rounds: int = 4
    """How often centroids and shares are estimated anew and Steps 2 and 3 repeated."""
    combine: Literal["product", "mean"] = "mean"
    """How WSS features join: `product` (Eq. 4: inside groups, USS scores times the WSS transport) or `mean` (WSS and
    USS heatmaps are averaged, then transported once)."""
    overwrite: Literal["all", "vanished", "none"] = "vanished"
    """Where seeds replace the base mask: everywhere that they name a class (`all`), for classes that lost most of their
    area to the base mask (`vanished`), or nowhere (`none`)."""
    background: float = 0.3
    """Score, 0..1, of the background where a data set has one: a normalised CAM below it is background."""

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise ConfigError(f"method.eps must be above 0, got {self.eps}")
        if not -1 <= self.tau <= 1:
            raise ConfigError(f"method.tau is a cosine, -1 to 1, got {self.tau}")
        if not 0 <= self.smallest_ratio < 1:
            raise ConfigError(f"method.smallest_ratio must be at least 0 and below 1, got {self.smallest_ratio}")
        if self.rounds < 1:
            raise ConfigError(f"method.rounds must be 1 or more, got {self.rounds}")
        if not 0 <= self.background <= 1:
            raise ConfigError(f"method.background must be in 0..1, got {self.background}")
        for name, value, known in (
            ("marginal", self.marginal, ("uniform", "estimated")),
            ("combine", self.combine, ("product", "mean")),
            ("overwrite", self.overwrite, ("all", "vanished", "none")),
        ):
            if value not in known:
                raise ConfigError(f"method.{name} must be one of {', '.join(known)}; got {value!r}")


BOUNDARY = BoundaryConfig()
"""The default boundary correction."""

PRESETS: Mapping[str, MethodConfig] = MappingProxyType(
    {
        "default": MethodConfig(),
        "paper": MethodConfig(marginal="uniform", rounds=1, combine="product"),
    }
)
"""`paper`: the equations as printed. `default`: shares estimated from the image instead of uniform ones, and what
else was found to keep small classes (docs/measurements.md)."""
