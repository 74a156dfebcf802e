"""Step 3: rebalancing within super-classes by WSS features (paper, Section 3.2, Eq. 4)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.method.heatmaps import Heatmaps
from dhr.method.inter import Inter
from dhr.method.scene import Scene
from dhr.method.transported import Scores, transported
from dhr.ops.transport import transport


@dataclass(frozen=True)
class Intra:
    """The result of Step 3."""

    heatmaps: Heatmaps
    """V_ws and S_ws."""
    scores: Scores
    """S_dhr."""


def intra_class(scene: Scene, masks: Float[Tensor, "b k n"], inter: Inter, config: MethodConfig) -> Intra:
    r"""Join the WSS heatmaps, :math:`S_{ws} = ReLU(cos(F_{ws}, V_{ws}))`, with those of Step 2 (Eq. 4).

    - ``combine="product"``: :math:`S_{dhr} = f_{OT}(S_{ws}) * S_{us}'` for classes that share a super-class,
      :math:`S_{us}'` for the others;
    - ``combine="mean"``: :math:`S_{dhr} = f_{OT}(S) * S` with :math:`S = w S_{us} + (1 - w) S_{ws}`. Where the USS
      features cannot separate two classes, their scores are level, and the WSS features decide.

    Args:
        scene: the images.
        masks: M, the share of each position that each class has.
        inter: Step 2 with the same masks.
        config: ``combine``, ``uss_weight`` (w), ``centring`` and ``eps``.
    """
    heatmaps = scene.heatmaps(scene.wss, masks, config.centring)
    uss, wss = inter.heatmaps.scores, heatmaps.scores
    if config.combine == "mean":
        mean = wss + config.uss_weight * (uss - wss)
        return Intra(heatmaps, transported(mean, inter.ratios, scene.valid, config.eps))
    within = transport(wss, inter.ratios, scene.valid, eps=config.eps, reach=1.0)
    shares_group = inter.groups.sum(dim=2, keepdim=True) > 1  # (b, k, 1)
    values = torch.where(shares_group, within.assignment * inter.scores.values, inter.scores.values)
    return Intra(heatmaps, Scores(values, torch.maximum(inter.scores.marginal_error, within.marginal_error)))
