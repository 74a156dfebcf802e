"""Cells of a photograph, from which the survey learns."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from dhr.method.base import shares


@dataclass(frozen=True)
class SurveyCells:
    """Some cells of a photograph, after Steps 1 to 3."""

    features: Float[Tensor, "d m"]
    """:func:`~dhr.method.survey.survey_features`."""
    scores: Float[Tensor, "k m"]
    """S_dhr, or the shares of a person's labels."""
    ids: Int[Tensor, " k"]
    """Class ids of the data set, of the photograph's classes."""
    certain: bool = False
    """Whether the scores are the shares of the classes in a mask that a person accepted or mended."""


def surest(scores: Float[Tensor, "k m"]) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
    """Return the class of each cell's highest score, and its lead over the second, in shares of their sum."""
    best = shares(scores[None])[0].topk(min(2, len(scores)), dim=0)
    return best.indices[0], best.values[0] - best.values[1] if len(scores) > 1 else best.values[0]
