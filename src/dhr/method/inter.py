"""Step 2: rebalancing between super-classes by USS features (paper, Eq. 3), and f_OT(S) * S, which all steps share."""

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.ops.transport import Transport, sinkhorn, transport


@dataclass(frozen=True)
class Scores:
    """Scores after a transport, and how well its marginals were met."""

    values: Float[Tensor, "b k n"]
    marginal_error: Float[Tensor, " b"]


def transported(
    scores: Float[Tensor, "b k n"],
    ratios: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
) -> Scores:
    """f_OT(S) * S: with CAMs Step 1 (Eq. 2), with USS heatmaps Step 2 (Eq. 3)."""
    result = solve(scores, ratios, valid, config)
    return Scores(result.assignment * scores, result.marginal_error)


def solve(
    scores: Float[Tensor, "b k n"],
    ratios: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
) -> Transport:
    """f_OT(S) as the settings ask for it: solved or a few iterations of it, held to the ratios firmly or loosely."""
    if config.iterations is None:
        strength = math.inf if config.strength is None else config.strength
        result = transport(scores, ratios, valid, eps=config.eps, strength=strength)
    else:
        result = sinkhorn(scores, ratios, valid, config.eps, config.iterations)
    if not config.stretch:
        return result
    return Transport(result.plan, stretched(result.assignment), result.marginal_error)


def stretched(values: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
    """Each class's values from 0 to 1; 0 where all are equal."""
    low, high = values.amin(dim=2, keepdim=True), values.amax(dim=2, keepdim=True)
    return (values - low) / (high - low).clamp_min(1e-12)
