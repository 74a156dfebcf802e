"""Settings of the method, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from dhr.errors import ConfigError

Base = Literal["crf", "pamr", "random_walk", "none"]
"""Names of the boundary corrections of base mask and seeds."""
Kind = Literal["crf", "pamr", "random_walk", "sam", "none"]
"""Names of the boundary corrections."""


@dataclass(frozen=True)
class CrfConfig:
    """Dense CRF (Kraehenbuehl and Koltun 2011); its parameters are those of pydensecrf."""

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

    def __post_init__(self) -> None:
        _not_negative("crf", self, "iterations", "gaussian_compat", "bilateral_compat")
        _positive("crf", self, "gaussian_sxy", "bilateral_sxy", "bilateral_srgb")


@dataclass(frozen=True)
class PamrConfig:
    """Pixel-adaptive mask refinement (Araslanov and Roth 2020)."""

    iterations: int = 10
    """Rounds of refinement."""
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Distances, in pixels, to the neighbours that each pixel is compared with."""

    def __post_init__(self) -> None:
        _not_negative("pamr", self, "iterations")
        if not self.dilations or min(self.dilations) < 1:
            raise ConfigError(f"boundary.pamr.dilations must be distances of 1 or more, got {self.dilations}")


@dataclass(frozen=True)
class RandomWalkConfig:
    """Random walk between positions of similar features and colours (PSA, Ahn and Kwak 2018).

    With class boundaries (`wss.kind irn`) it walks on their grid, and does not cross them (IRN, Ahn et al. 2019). IRN's
    program first weakens scores on a boundary; here they stay.
    """

    radius: int = 5
    """Longest distance of a step, in cells of the grid."""
    beta: float = 10.0
    """Power of the affinity; higher values separate positions that differ a little."""
    steps: int = 256
    """Steps of the walk."""
    sigma_colour: float = 0.1
    """Standard deviation of the colour difference (0..1) in the affinity."""

    def __post_init__(self) -> None:
        _not_negative("random_walk", self, "steps")
        _positive("random_walk", self, "radius", "beta", "sigma_colour")


@dataclass(frozen=True)
class SamConfig:
    """A network that segments what prompts point to (Kirillov et al. 2023), after the CRF."""

    model: str = "facebook/sam2.1-hiera-small"
    """A SAM, SAM-HQ, SAM 2, SAM 3 tracker or EdgeTAM: a name of transformers' hub, or a folder as `save_pretrained`
    writes it."""
    weights: str = "hub"
    """`hub` (those of `model`), `none` (random), or a folder as `save_pretrained` writes it."""
    regions: int = 3
    """Prompts per class: its largest connected regions, each with the peak of its score, its box and a coarse mask."""
    agreement: float = 0.6
    """Agreement with the scores, 0..1, from which a mask of the network counts. 0 is that of random masks, 1 that of
    the region itself. Where no mask agrees, the class stays as the CRF has it."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigError("boundary.sam.model must name a model; got nothing")
        if self.regions < 1:
            raise ConfigError(f"boundary.sam.regions must be 1 or more, got {self.regions}")
        if not 0 <= self.agreement < 1:
            raise ConfigError(f"boundary.sam.agreement must be at least 0 and below 1, got {self.agreement}")


@dataclass(frozen=True)
class BoundaryConfig:
    """Boundary correction: base mask, seeds and result follow the edges of the photograph (R_c of Eqs. 1, 2 and 5)."""

    kind: Kind = "crf"
    """Correction of the final mask: `crf` (dense CRF), `pamr` (pixel-adaptive mask refinement), `random_walk` (on the
    grid of the features), `sam` (a network that segments anything, after the CRF), or `none`."""
    base: Base = "pamr"
    """Correction of the base mask and of the seeds. A CRF erases small classes there before Steps 2 and 3."""
    crf: CrfConfig = field(default_factory=CrfConfig)
    pamr: PamrConfig = field(default_factory=PamrConfig)
    random_walk: RandomWalkConfig = field(default_factory=RandomWalkConfig)
    sam: SamConfig = field(default_factory=SamConfig)

    def __post_init__(self) -> None:
        for name, known in (("kind", get_args(Kind)), ("base", get_args(Base))):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"boundary.{name} must be one of {', '.join(known)}; got {value!r}")


def _positive(part: str, config: object, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ConfigError(f"boundary.{part}.{name} must be above 0, got {getattr(config, name)}")


def _not_negative(part: str, config: object, *names: str) -> None:
    for name in names:
        if not getattr(config, name) >= 0:
            raise ConfigError(f"boundary.{part}.{name} must be 0 or more, got {getattr(config, name)}")


_AUTHORS = {"marginal": "uniform", "rounds": 1, "centring": 0.0, "combine": "product", "guard": 0.0}
"""Settings that have one value in the authors' program."""


@dataclass(frozen=True)
class MethodConfig:
    """Rebalancing, Steps 1 to 3. docs/method.md shows how each setting changes the masks."""

    eps: float = 0.2
    """Strength of the entropy in the transport (lambda of the paper, 0.1 there); smaller values give harder masks."""
    marginal: Literal["uniform", "estimated", "prior"] = "estimated"
    """Share of the image that the transport gives each class: `uniform` (the paper: the same for all tagged classes),
    `estimated` (from the current mask, in every round) or `prior` (given)."""
    prior: dict[str, float] = field(default_factory=dict)
    """Shares for `prior` in `dhr run`: class names (`background` too) and the area that they cover in an image with
    that class, in any unit. Classes that are not named get the mean of the given shares."""
    smallest_ratio: float = 0.05
    """Smallest estimated share of a tagged class (1 / classes if there are too many classes for that). Below this
    share, the survey cannot take area from a class."""
    guard: float = 0.03
    """Least share of a tagged class in the image. If the evidence leaves a class less, it gets the positions where the
    evidence against it is weakest. If the boundary correction erases it, it gets its pixels back. 0: classes may
    vanish."""
    rounds: int = 6
    """Rounds of Steps 2 and 3; each starts with the masks of the one before."""
    centring: float = 0.5
    """Part of the mean of all centroids that is subtracted from the features before they are compared: 0 (the paper) to
    below 1."""
    tau: float = 0.8
    """Classes whose USS centroids have a cosine above this form a group (super-class)."""
    combine: Literal["product", "mean"] = "mean"
    """Combination of WSS and USS features: `mean` (weighted mean of the heatmaps, one transport) or `product` (Eq. 4:
    inside groups, USS scores times the WSS transport)."""
    uss_weight: float = 0.6
    """Weight of the USS heatmaps in `mean`, 0..1; the WSS heatmaps have the rest."""
    survey: float = 0.6
    """Weight of the survey in the scores, 0..1, where it is as good as the maps. `dhr run` fits discriminants to all
    photographs in a first pass. Where other photographs contradict the maps, the weight rises to 1. Where the survey
    does not find classes where they are tagged, it falls to 0. 0 skips the pass."""
    survey_rounds: int = 10
    """Number of fits of the discriminants; each uses scores that include the fit before."""
    background_level: float | None = None
    """Score of the background, which has no CAM, 0..1: where all normalised CAMs are lower, there is background. null:
    the level that best splits the highest CAMs of each image (Otsu)."""
    released: bool = False
    """Follow the authors' released program instead of the equations. Of the other settings only `eps`, `tau`,
    `background_level` and those of the survey can be changed then."""

    def __post_init__(self) -> None:
        for name, right, expected in (
            ("eps", self.eps > 0, "above 0"),
            ("prior", all(0 < share < float("inf") for share in self.prior.values()), "shares above 0"),
            ("smallest_ratio", 0 <= self.smallest_ratio < 1, "at least 0 and below 1"),
            ("guard", 0 <= self.guard < 1, "at least 0 and below 1"),
            ("rounds", self.rounds >= 1, "1 or more"),
            ("centring", 0 <= self.centring < 1, "at least 0 and below 1"),
            ("tau", -1 <= self.tau <= 1, "a cosine, -1 to 1"),
            ("uss_weight", 0 <= self.uss_weight <= 1, "in 0..1"),
            ("survey", 0 <= self.survey <= 1, "in 0..1"),
            ("survey_rounds", self.survey_rounds >= 1, "1 or more"),
            ("background_level", self.background_level is None or 0 <= self.background_level <= 1, "in 0..1, or null"),
        ):
            if not right:
                raise ConfigError(f"method.{name} must be {expected}, got {getattr(self, name)}")
        for name, known in (("marginal", ("uniform", "estimated", "prior")), ("combine", ("mean", "product"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"method.{name} must be one of {', '.join(known)}; got {getattr(self, name)!r}")
        if self.prior and self.marginal != "prior":
            raise ConfigError(
                f"method.prior is given, but method.marginal is {self.marginal!r}, which does not use it; set it to "
                "prior, or leave method.prior out"
            )
        for name, only in _AUTHORS.items():
            if self.released and getattr(self, name) != only:
                raise ConfigError(
                    f"method.{name} is always {only} in the authors' program, got {getattr(self, name)}; leave it out, "
                    "or choose another preset than released"
                )


BOUNDARY = BoundaryConfig()
"""The default boundary correction."""


def _paper(released: bool) -> MethodConfig:
    return MethodConfig(
        eps=0.1, marginal="uniform", guard=0.0, rounds=1, centring=0.0, combine="product", survey=0.0,
        background_level=0.3, released=released,
    )  # fmt: skip


PRESETS: Mapping[str, MethodConfig] = MappingProxyType(
    {"default": MethodConfig(), "paper": _paper(released=False), "released": _paper(released=True)}
)
"""`paper`: the equations as printed. `released`: the authors' program, for comparison. `default`: keeps small classes
best (docs/method.md)."""
