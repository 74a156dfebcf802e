"""Steps 2 and 3 together: USS features between super-classes, WSS features within them (paper, Eqs. 3 and 4)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.method.inter import Features, centroid_heatmaps
from dhr.ops.similarity import correlated_groups
from dhr.ops.transport import transport


@dataclass(frozen=True)
class Propagated:
    """One round of Steps 2 and 3."""

    inter: Float[Tensor, "b k n"]
    intra: Float[Tensor, "b k n"]
    groups: Bool[Tensor, "b k k"]
    marginal_error: Float[Tensor, " b"]


def propagate(
    uss: Features,
    wss: Features,
    masks: Float[Tensor, "b k n"],
    ratios: Float[Tensor, "b k"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
) -> Propagated:
    r"""Scores from the centroids of ``masks``.

    Step 2: :math:`S_{us}' = f_{OT}(S_{us}) * S_{us}`. Step 3, ``combine="product"``: :math:`S_{dhr} = f_{OT}(S_{ws}) *
    S_{us}'` for the classes that share a group, :math:`S_{us}'` for the others (Eq. 4). ``combine="mean"``:
    :math:`S = (S_{us} + S_{ws}) / 2,\; S_{dhr} = f_{OT}(S) * S` for all classes: where the USS features cannot tell two
    classes apart their scores are level, and the WSS features decide.

    Args:
        masks: M_init, soft, on the features' grid.
        ratios: class marginal of every transport.
    """
    centroids, uss_scores = centroid_heatmaps(uss, masks)
    _, wss_scores = centroid_heatmaps(wss, masks)
    groups = correlated_groups(centroids, valid, config.tau)
    first = transport(uss_scores, ratios, valid, eps=config.eps)
    inter = first.assignment * uss_scores
    if config.combine == "mean":
        scores = (uss_scores + wss_scores) / 2
        second = transport(scores, ratios, valid, eps=config.eps)
        intra = second.assignment * scores
    else:
        second = transport(wss_scores, ratios, valid, eps=config.eps)
        shares_group = groups.sum(dim=2, keepdim=True) > 1  # (b, k, 1)
        intra = torch.where(shares_group, second.assignment * inter, inter)
    return Propagated(inter, intra, groups, torch.maximum(first.marginal_error, second.marginal_error))
