"""f_OT(S) * S: scores after a transport; Steps 1 to 3 all use it (paper, Section 3.2)."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from dhr.ops.transport import transport


@dataclass(frozen=True)
class Scores:
    """Scores after a transport, and how well it met its marginals."""

    values: Float[Tensor, "b k n"]
    marginal_error: Float[Tensor, " b"]


def transported(
    scores: Float[Tensor, "b k n"], ratios: Float[Tensor, "b k"], valid: Bool[Tensor, "b k"], eps: float
) -> Scores:
    """f_OT(S) * S, with the plan as shares of each position: with CAMs Eq. 2, with USS heatmaps Eq. 3.

    Scores lie in 0..1.
    """
    solved = transport(scores, ratios, valid, eps=eps, reach=1.0)
    return Scores(solved.assignment * scores, solved.marginal_error)
