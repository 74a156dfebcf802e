"""Boundary correction R_c (paper, Eqs. 1, 2 and 5)."""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

from dhr.method.config import BoundaryConfig
from dhr.ops.pamr import pamr

Refine = Callable[[Tensor, Tensor, BoundaryConfig], Tensor]


def _pamr(images: Tensor, scores: Tensor, config: BoundaryConfig) -> Tensor:
    return pamr(images, scores, config.iterations, config.dilations)


def _none(images: Tensor, scores: Tensor, config: BoundaryConfig) -> Tensor:
    return scores


BOUNDARIES: Mapping[str, Refine] = {"pamr": _pamr, "none": _none}
"""Corrections by the name that `boundary.kind` takes."""


def refine_boundary(
    images: Float[Tensor, "b 3 h w"] | None, scores: Float[Tensor, "b k h w"], config: BoundaryConfig
) -> Float[Tensor, "b k h w"]:
    """Make ``scores`` follow the edges of ``images``; without images they stay as they are."""
    if images is None:
        return scores
    return BOUNDARIES[config.kind](images, scores, config)
