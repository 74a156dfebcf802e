"""Step 3: rebalancing within super-classes by WSS features (paper, Eq. 4)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.method.inter import Scores, transported
from dhr.ops.transport import transport


def intra_class(
    uss: Float[Tensor, "b k n"],
    wss: Float[Tensor, "b k n"],
    groups: Bool[Tensor, "b k k"],
    ratios: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
) -> Scores:
    r"""S_dhr from the heatmaps of both kinds of features.

    ``combine="product"``: :math:`f_{OT}(S_{ws}) * S_{us}'` for the classes that share a group, :math:`S_{us}'` for the
    others (Eq. 4). ``combine="mean"``: :math:`f_{OT}(S) * S` with :math:`S = (S_{us} + S_{ws}) / 2` for all classes:
    where the USS features cannot tell two classes apart their scores are level, and the WSS features decide.
    """
    if config.combine == "mean":
        return transported((uss + wss) / 2, ratios, valid, config.eps)
    inter = transported(uss, ratios, valid, config.eps)
    within = transport(wss, ratios, valid, eps=config.eps)
    shares_group = groups.sum(dim=2, keepdim=True) > 1  # (b, k, 1)
    values = torch.where(shares_group, within.assignment * inter.values, inter.values)
    return Scores(values, torch.maximum(inter.marginal_error, within.marginal_error))
