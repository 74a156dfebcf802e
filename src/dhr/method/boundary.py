"""Boundary correction R_c (paper, Eqs. 1, 2 and 5): one protocol, one entry per kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.errors import ConfigError
from dhr.method.base import shares
from dhr.method.config import BoundaryConfig
from dhr.method.guard import covered, restored
from dhr.method.held import Held, fixed
from dhr.method.segments import ask, claims, joined, with_peaks
from dhr.ops.crf import Bilateral, DenseCrf, Gaussian
from dhr.ops.pamr import Pamr
from dhr.ops.random_walk import boundary_affinity, feature_affinity, random_walk, transition
from dhr.ops.upsample import area_average, resize
from dhr.prompts import Propose


@runtime_checkable
class Refine(Protocol):
    """Makes scores follow the edges of images: takes and returns one non-negative map per class, of the images' size.

    Images are RGB in 0..1. It may cache data of the images, because more scores of the same images often follow.
    """

    def __call__(self, images: Float[Tensor, "b 3 h w"], scores: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        """Return refined scores, of any scale."""
        ...


@dataclass(frozen=True)
class Guide:
    """Other data of the images that a correction may use."""

    features: Float[Tensor, "b d u v"] | None = None
    """Dense features of the images."""
    edges: Float[Tensor, "b 1 p q"] | None = None
    """Probability of a class boundary, 0..1."""
    propose: Propose | None = None
    """A network that segments anything, which has embedded the images."""


class _Nothing:
    def __init__(self, config: BoundaryConfig, guide: Guide) -> None: ...

    def __call__(self, images: Tensor, scores: Tensor) -> Tensor:
        return scores


class _Pamr:
    def __init__(self, config: BoundaryConfig, guide: Guide) -> None:
        self.config = config.pamr
        self.made: Pamr | None = None

    def __call__(self, images: Tensor, scores: Tensor) -> Tensor:
        if self.made is None or self.made.images is not images:
            self.made = Pamr(images, self.config.dilations)
        return self.made(scores, self.config.iterations)


class _Crf:
    def __init__(self, config: BoundaryConfig, guide: Guide) -> None:
        self.config = config.crf
        self.made: tuple[Tensor, DenseCrf] | None = None

    def __call__(self, images: Tensor, scores: Tensor) -> Tensor:
        config = self.config
        if self.made is None or self.made[0] is not images:
            gaussian = Gaussian(config.gaussian_sxy, config.gaussian_compat)
            bilateral = Bilateral(config.bilateral_sxy, config.bilateral_srgb, config.bilateral_compat)
            self.made = images, DenseCrf(images, gaussian, bilateral)
        chances, seen = probabilities(scores)
        return self.made[1](chances, config.iterations, seen)


class _RandomWalk:
    def __init__(self, config: BoundaryConfig, guide: Guide) -> None:
        if guide.features is None and guide.edges is None:
            raise ConfigError("boundary random_walk compares features of the images; give some, or class boundaries")
        self.config, self.guide = config.random_walk, guide
        self.made: tuple[Tensor, Tensor] | None = None

    def __call__(self, images: Tensor, scores: Tensor) -> Tensor:
        if self.made is None or self.made[0] is not images:
            self.made = images, transition(self._affinity(images), self.config.beta)
        walk, size = self.made[1], (scores.shape[-2], scores.shape[-1])
        coarse = area_average(scores, (walk.shape[-2], walk.shape[-1]))
        return resize(random_walk(walk, coarse, self.config.radius, self.config.steps), size)

    def _affinity(self, images: Tensor) -> Tensor:
        features, edges = self.guide.features, self.guide.edges
        if edges is not None:  # on their own grid: class boundaries are thin
            return boundary_affinity(edges, self.config.radius)
        assert features is not None
        return feature_affinity(features, images, self.config.radius, self.config.sigma_colour)


class _Sam:
    def __init__(self, config: BoundaryConfig, guide: Guide) -> None:
        if guide.propose is None:
            raise ConfigError("boundary sam needs a network that segments anything; dhr.refine and dhr run load one")
        self.config, self.propose, self.crf = config.sam, guide.propose, _Crf(config, guide)

    def __call__(self, images: Tensor, scores: Tensor) -> Tensor:
        before, _ = probabilities(scores)
        base = restored(shares(self.crf(images, scores)), covered(before))
        asked = ask(base, before, self.config.regions)
        proposals = [self.propose(index, prompts) for index, prompts in enumerate(asked.prompts)]
        size = (images.shape[-2], images.shape[-1])
        claimed = claims(asked, proposals, self.config.agreement, size)
        return with_peaks(joined(claimed, base, before), before)


BOUNDARIES: Mapping[str, Callable[[BoundaryConfig, Guide], Refine]] = {
    "crf": _Crf,
    "pamr": _Pamr,
    "random_walk": _RandomWalk,
    "sam": _Sam,
    "none": _Nothing,
}
"""Makers of corrections by the name in `boundary.kind`."""


_APART = frozenset(("pamr", "none"))
"""Kinds that correct each map by itself."""


@dataclass(frozen=True)
class Correction:
    """R_c for one batch: scores get the size of the images and follow their edges; without images, the size alone."""

    refine: Refine
    images: Float[Tensor, "b 3 h w"] | None
    size: tuple[int, int]
    apart: bool = False
    """Whether each map is corrected by itself."""
    held: Float[Tensor, "b k H W"] | None = None
    """Shares of pixels that were drawn: certain before the correction, and afterwards."""

    def holding(self, held: Held | None) -> "Correction":
        """Return the same with drawn parts that it keeps."""
        return replace(self, held=None if held is None else held.pixels)

    def __call__(self, scores: Float[Tensor, "b k u v"]) -> Float[Tensor, "b k H W"]:
        """Corrected scores."""
        return self._refined([scores])[0]

    def both(
        self, first: Float[Tensor, "b k u v"], second: Float[Tensor, "b k u v"]
    ) -> tuple[Float[Tensor, "b k H W"], Float[Tensor, "b k H W"]]:
        """Return two kinds of corrected scores. If possible they are corrected together, which takes less time."""
        if not self.apart:
            return self(first), self(second)
        one, other = self._refined([first, second])
        return one, other

    def _refined(self, maps: Sequence[Float[Tensor, "b k u v"]]) -> list[Float[Tensor, "b k H W"]]:
        """Correct maps of the same classes at once."""
        resized = [fixed(resize(one, self.size), self.held) for one in maps]
        if self.images is None:
            return resized
        together = self.refine(self.images, resized[0] if len(resized) == 1 else torch.cat(resized, dim=1))
        return [fixed(one, self.held) for one in torch.split(together, maps[0].shape[1], dim=1)]


def corrections(
    config: BoundaryConfig, guide: Guide, images: Float[Tensor, "b 3 h w"] | None, size: tuple[int, int]
) -> tuple[Correction, Correction]:
    """Make the corrections of base mask and seeds, and of the result; two of one kind share their work."""
    made = {kind: BOUNDARIES[kind](config, guide) for kind in dict.fromkeys((config.base, config.kind))}
    base, last = (Correction(made[kind], images, size, kind in _APART) for kind in (config.base, config.kind))
    return base, last


def probabilities(scores: Float[Tensor, "b k h w"]) -> tuple[Float[Tensor, "b k h w"], Bool[Tensor, "b k"]]:
    """Divide scores by their sum; also return the classes that score in an image, which share pixels without scores."""
    positive = scores.clamp_min(0)
    highest = positive / positive.amax(dim=1, keepdim=True).clamp_min(1e-30)  # tiny scores keep their digits
    total = highest.sum(dim=1, keepdim=True)
    seen = positive.amax(dim=(2, 3)) > 0  # (b, k)
    seen = seen | ~seen.any(dim=1, keepdim=True)
    fair = seen / seen.sum(dim=1, keepdim=True)
    chosen = torch.where(total > 0, highest / total.clamp_min(1e-30), fair[:, :, None, None].to(scores.dtype))
    return chosen, seen
