"""Settings of the method, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from dhr.errors import ConfigError

Kind = Literal["crf", "pamr", "random_walk", "none"]
"""Names of the boundary corrections."""


@dataclass(frozen=True)
class CrfConfig:
    """Dense CRF (Kraehenbuehl and Koltun 2011); its parameters mean what they mean to pydensecrf."""

    iterations: int = 10
    """Mean-field updates."""
    gaussian_compat: float = 3.0
    """Weight of the smoothness kernel."""
    gaussian_sxy: float = 1.0
    """Its standard deviation in pixels."""
    bilateral_compat: float = 4.0
    """Weight of the appearance kernel."""
    bilateral_sxy: float = 67.0
    """Its standard deviation in pixels."""
    bilateral_srgb: float = 3.0
    """Its standard deviation of colours in 0..255."""
    sharpness: float = 1.0
    """Power to which scores are raised before they are divided by their sum, to be the CRF's probabilities."""

    def __post_init__(self) -> None:
        _not_negative("crf", self, "iterations", "gaussian_compat", "bilateral_compat")
        _positive("crf", self, "gaussian_sxy", "bilateral_sxy", "bilateral_srgb", "sharpness")


@dataclass(frozen=True)
class PamrConfig:
    """Pixel-adaptive mask refinement (Araslanov and Roth 2020)."""

    iterations: int = 10
    """Rounds of refinement."""
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Distances, in pixels, of the neighbours that a pixel is compared with."""

    def __post_init__(self) -> None:
        _not_negative("pamr", self, "iterations")
        if not self.dilations or min(self.dilations) < 1:
            raise ConfigError(f"boundary.pamr.dilations must be distances of 1 or more, got {self.dilations}")


@dataclass(frozen=True)
class RandomWalkConfig:
    """Random walk: on the grid of the features between alike features and colours (PSA, Ahn and Kwak 2018), or, where
    the WSS model knows class boundaries (`wss.kind irn`), on theirs between positions that none separates (IRN, Ahn et
    al. 2019).
    """

    radius: int = 5
    """Distance, in cells of the grid, within which a step goes."""
    beta: float = 10.0
    """Power of the affinity: the higher, the less is passed on between positions that are not quite alike."""
    steps: int = 256
    """Steps of the walk."""
    sigma_colour: float = 0.1
    """Difference of colours (0..1) at which they begin to count as different."""

    def __post_init__(self) -> None:
        _not_negative("random_walk", self, "steps")
        _positive("random_walk", self, "radius", "beta", "sigma_colour")


@dataclass(frozen=True)
class BoundaryConfig:
    """How base mask, seeds and result are made to follow the edges of the photograph (R_c of Eqs. 1, 2 and 5)."""

    kind: Kind = "crf"
    """Correction of the final mask: `crf` (dense CRF), `pamr` (pixel-adaptive mask refinement), `random_walk` (on the
    grid of the features), or `none`."""
    base: Kind = "pamr"
    """Correction of the base mask. A CRF there costs small classes before anything can rebalance them."""
    seed: Kind = "pamr"
    """Correction of the seeds."""
    crf: CrfConfig = field(default_factory=CrfConfig)
    pamr: PamrConfig = field(default_factory=PamrConfig)
    random_walk: RandomWalkConfig = field(default_factory=RandomWalkConfig)

    def __post_init__(self) -> None:
        for name in ("kind", "base", "seed"):
            value = getattr(self, name)
            if value not in get_args(Kind):
                raise ConfigError(f"boundary.{name} must be one of {', '.join(get_args(Kind))}; got {value!r}")


def _positive(part: str, config: object, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ConfigError(f"boundary.{part}.{name} must be above 0, got {getattr(config, name)}")


def _not_negative(part: str, config: object, *names: str) -> None:
    for name in names:
        if not getattr(config, name) >= 0:
            raise ConfigError(f"boundary.{part}.{name} must be 0 or more, got {getattr(config, name)}")


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
    background: Literal["threshold", "power"] = "threshold"
    """Score of the background where a data set has one, which has no CAM: the same everywhere (`threshold`), or high
    where no class is seen (`power`: 1 minus the highest normalised CAM, to a power)."""
    background_threshold: float = 0.3
    """The score, 0..1, for `threshold`: what lies below it in all normalised CAMs is background."""
    background_power: float = 4.0
    """The power for `power`."""

    def __post_init__(self) -> None:
        if not self.eps > 0:
            raise ConfigError(f"method.eps must be above 0, got {self.eps}")
        if not -1 <= self.tau <= 1:
            raise ConfigError(f"method.tau is a cosine, -1 to 1, got {self.tau}")
        if not 0 <= self.smallest_ratio < 1:
            raise ConfigError(f"method.smallest_ratio must be at least 0 and below 1, got {self.smallest_ratio}")
        if self.rounds < 1:
            raise ConfigError(f"method.rounds must be 1 or more, got {self.rounds}")
        if not 0 <= self.background_threshold <= 1:
            raise ConfigError(f"method.background_threshold must be in 0..1, got {self.background_threshold}")
        if not self.background_power > 0:
            raise ConfigError(f"method.background_power must be above 0, got {self.background_power}")
        for name, value, known in (
            ("marginal", self.marginal, ("uniform", "estimated")),
            ("combine", self.combine, ("product", "mean")),
            ("overwrite", self.overwrite, ("all", "vanished", "none")),
            ("background", self.background, ("threshold", "power")),
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
