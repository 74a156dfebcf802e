"""Step 2: rebalancing between super-classes by USS features (paper, Eq. 3), and f_OT(S) * S, which all steps share."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from dhr.ops.transport import transport


@dataclass(frozen=True)
class Scores:
    """Scores after a transport, and how well its marginals were met."""

    values: Float[Tensor, "b k n"]
    marginal_error: Float[Tensor, " b"]


def transported(
    scores: Float[Tensor, "b k n"], ratios: Float[Tensor, "b k"], valid: Bool[Tensor, "b k"], eps: float
) -> Scores:
    """f_OT(S) * S: with CAMs Step 1 (Eq. 2), with USS heatmaps Step 2 (Eq. 3)."""
    result = transport(scores, ratios, valid, eps=eps)
    return Scores(result.assignment * scores, result.marginal_error)
