"""Settings of the method, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    al. 2019, but for scores on a boundary, which IRN's program weakens before the walk).
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
    """Rebalancing, Steps 1 to 3. What each setting changes in the masks is measured in docs/method.md."""

    eps: float = 0.2
    """Strength of the entropy in the transport (lambda of the paper, 0.1 there); smaller is harder."""
    iterations: int | None = None
    """Sinkhorn iterations of a transport, none the solution. The authors' program stops after about 2."""
    strength: float | None = None
    """How firmly the transport holds the classes to their shares (KL-relaxed, in the units of the scores), none
    exactly. The smaller, the more the scores alone decide."""
    marginal: Literal["uniform", "estimated", "prior"] = "estimated"
    """Share of the image that the transport gives each class: `uniform` (the paper: the same for all tagged classes),
    `estimated` (from the mask so far, anew in every round) or `prior` (given)."""
    prior: dict[str, float] = field(default_factory=dict)
    """For `prior` in `dhr run`: class names (`background` too) and how much of an image that has them they cover, in
    any unit; classes that it does not name count as the mean of those that it does."""
    smallest_ratio: float = 0.05
    """Least share that an estimate gives a tagged class, so that none is starved (1 / classes for each where there are
    more than 1 / this); and the share up to which the survey leaves a class the area that it has without."""
    rounds: int = 6
    """How often centroids and shares are estimated anew and Steps 2 and 3 repeated."""
    pooling: Literal["soft", "majority"] = "soft"
    """How a mask becomes cells of the grid for CAP: each class its share of a cell (`soft`), or the largest the whole
    cell (`majority`, the authors' program), where classes smaller than a cell vanish."""
    centring: float = 0.5
    """How much of what all classes have in common is taken from the features before they are compared: this times the
    mean of the classes' centroids, 0 (the paper) to below 1."""
    tau: float = 0.8
    """Classes whose USS centroids have a cosine above this form a group (super-class)."""
    combine: Literal["product", "mean", "sequence"] = "mean"
    """How WSS features join: `mean` (WSS and USS heatmaps are averaged by weight, then transported once), `product`
    (Eq. 4: inside groups, USS scores times the WSS transport) or `sequence` (the authors' program: inside groups, USS
    heatmaps times the WSS transport, then all is transported)."""
    uss_weight: float = 0.6
    """For `mean`: weight of the USS heatmaps of a class that shares no group, 0..1; the WSS heatmaps have the rest."""
    uss_weight_grouped: float = 0.6
    """The same for a class that shares a group, where USS features cannot tell it from another."""
    survey: float = 0.6
    """Most weight of the survey in the scores, 0..1: of discriminants that `dhr run` fits in a first pass to what Steps
    1 to 3 are sure of in all photographs. Where these agree less (0..1) with photographs that they were not fitted to,
    that is the weight. 0: each photograph stands for itself, and there is no such pass."""
    survey_rounds: int = 10
    """How often the discriminants are fitted, each time to scores that the last ones are joined with."""
    survey_shrinkage: float = 80.0
    """How much the discriminants distrust the features' covariance, which few photographs tell badly: their mean
    variance is added to it, times this over the number of photographs."""
    survey_sharpness: float = 1.0
    """The survey's scores are softmax of this times the discriminants."""
    stretch: bool = False
    """Whether heatmaps and transports are stretched to 0..1, each class by itself (the authors' program)."""
    overwrite: Literal["all", "vanished", "none"] = "vanished"
    """Where seeds replace the base mask: everywhere that they name a class (`all`), for classes that lost most of their
    area to the base mask (`vanished`), or nowhere (`none`)."""
    seed_margin: float = 0.0
    """Least lead of the best class of the seeds over the second, in shares of their sum, where they may replace the
    base mask, 0..1."""
    seed_background: bool = True
    """Whether the background takes part in Step 1. Without it (the authors' program) seeds never name it."""
    background: Literal["otsu", "threshold", "power"] = "otsu"
    """Score of the background where a data set has one, which has no CAM: the same everywhere in an image, at the level
    that parts its highest CAMs best (`otsu`) or a given one (`threshold`), or high where no class is seen (`power`: 1
    minus the highest normalised CAM, to a power)."""
    background_threshold: float = 0.3
    """The score, 0..1, for `threshold`: what lies below it in all normalised CAMs is background."""
    background_power: float = 4.0
    """The power for `power`."""

    def __post_init__(self) -> None:
        for name, right, expected in (
            ("eps", self.eps > 0, "above 0"),
            ("iterations", self.iterations is None or self.iterations >= 1, "1 or more, or none"),
            ("strength", self.strength is None or self.strength > 0, "above 0, or none"),
            ("prior", all(0 < share < float("inf") for share in self.prior.values()), "shares above 0"),
            ("smallest_ratio", 0 <= self.smallest_ratio < 1, "at least 0 and below 1"),
            ("rounds", self.rounds >= 1, "1 or more"),
            ("centring", 0 <= self.centring < 1, "at least 0 and below 1"),
            ("tau", -1 <= self.tau <= 1, "a cosine, -1 to 1"),
            ("uss_weight", 0 <= self.uss_weight <= 1, "in 0..1"),
            ("uss_weight_grouped", 0 <= self.uss_weight_grouped <= 1, "in 0..1"),
            ("survey", 0 <= self.survey <= 1, "in 0..1"),
            ("survey_rounds", self.survey_rounds >= 1, "1 or more"),
            ("survey_shrinkage", self.survey_shrinkage >= 0, "0 or more"),
            ("survey_sharpness", self.survey_sharpness > 0, "above 0"),
            ("seed_margin", 0 <= self.seed_margin <= 1, "in 0..1"),
            ("background_threshold", 0 <= self.background_threshold <= 1, "in 0..1"),
            ("background_power", self.background_power > 0, "above 0"),
        ):
            if not right:
                raise ConfigError(f"method.{name} must be {expected}, got {getattr(self, name)}")
        for name, known in (
            ("marginal", ("uniform", "estimated", "prior")),
            ("pooling", ("soft", "majority")),
            ("combine", ("mean", "product", "sequence")),
            ("overwrite", ("all", "vanished", "none")),
            ("background", ("otsu", "threshold", "power")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"method.{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")
        if self.prior and self.marginal != "prior":
            raise ConfigError(
                f"method.prior is given, but method.marginal is {self.marginal!r}, which does not use it; set it to "
                "prior, or leave method.prior out"
            )


BOUNDARY = BoundaryConfig()
"""The default boundary correction."""

_PAPER = MethodConfig(
    eps=0.1, marginal="uniform", rounds=1, centring=0.0, combine="product", survey=0.0, background="threshold"
)

PRESETS: Mapping[str, MethodConfig] = MappingProxyType(
    {
        "default": MethodConfig(),
        "paper": _PAPER,
        "released": replace(
            _PAPER,
            iterations=2,
            pooling="majority",
            combine="sequence",
            stretch=True,
            overwrite="all",
            seed_background=False,
        ),
    }
)
"""`paper`: the equations as printed. `released`: as the authors' program behaves, for comparison. `default`: what was
found to keep small classes (docs/method.md)."""
