"""Step 3: rebalancing within super-classes by WSS features (paper, Eq. 4)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.method.inter import Scores, solve, transported


def intra_class(
    uss: Float[Tensor, "b k n"],
    wss: Float[Tensor, "b k n"],
    groups: Bool[Tensor, "b k k"],
    ratios: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
) -> Scores:
    r"""S_dhr from the heatmaps of both kinds of features.

    - ``combine="product"``: :math:`f_{OT}(S_{ws}) * S_{us}'` for the classes that share a group, :math:`S_{us}'` for
      the others (Eq. 4);
    - ``combine="sequence"``: :math:`f_{OT}(S) * S` with :math:`S = f_{OT}(S_{ws}) * S_{us}` for the classes that share
      a group, :math:`S_{us}` for the others (the authors' program);
    - ``combine="mean"``: :math:`f_{OT}(S) * S` with :math:`S = w S_{us} + (1 - w) S_{ws}`, w one weight for the classes
      that share a group, one for the others. Where the USS features cannot tell two classes apart their scores are
      level, and the WSS features decide.
    """
    shares_group = groups.sum(dim=2, keepdim=True) > 1  # (b, k, 1)
    if config.combine == "mean":
        weight = torch.where(shares_group, config.uss_weight_grouped, config.uss_weight).to(uss.dtype)
        return transported(wss + weight * (uss - wss), ratios, valid, config)
    within = solve(wss, ratios, valid, config)
    if config.combine == "sequence":
        last = transported(torch.where(shares_group, within.assignment * uss, uss), ratios, valid, config)
        return Scores(last.values, torch.maximum(last.marginal_error, within.marginal_error))
    inter = transported(uss, ratios, valid, config)
    values = torch.where(shares_group, within.assignment * inter.values, inter.values)
    return Scores(values, torch.maximum(inter.marginal_error, within.marginal_error))
