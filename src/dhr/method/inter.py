"""Step 2: rebalancing between super-classes by USS features (paper, Section 3.2, Eq. 3)."""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Bool, Float
from torch import Tensor

from dhr.method.config import MethodConfig
from dhr.method.heatmaps import Heatmaps
from dhr.method.scene import Scene
from dhr.method.transported import Scores, transported
from dhr.ops.similarity import correlated_groups


@dataclass(frozen=True)
class Inter:
    """The result of Step 2."""

    heatmaps: Heatmaps
    """V_us and S_us."""
    groups: Bool[Tensor, "b k k"]
    """Super-classes: whether two classes look alike to the USS features."""
    ratios: Float[Tensor, "b k"]
    """q."""
    valid: Bool[Tensor, "b k"]
    eps: float

    @cached_property
    def scores(self) -> Scores:
        r""":math:`S_{us}' = f_{OT}(S_{us}) * S_{us}`, solved at the first use: the mean in Step 3 does without."""
        return transported(self.heatmaps.scores, self.ratios, self.valid, self.eps)


def inter_class(
    scene: Scene, masks: Float[Tensor, "b k n"], ratios: Float[Tensor, "b k"], config: MethodConfig
) -> Inter:
    r"""Centroids, heatmaps, super-classes and scores by the USS features (Eq. 3).

    .. math:: V_{us} = CAP(F_{us}, M), \quad S_{us} = ReLU(cos(F_{us}, V_{us})), \quad S_{us}' = f_{OT}(S_{us}) * S_{us}

    Args:
        scene: the images.
        masks: M, the share of each position that each class has.
        ratios: q, the class marginal.
        config: ``centring`` (c of :func:`~dhr.ops.centroids.centroids_and_heatmaps`), ``tau`` and ``eps``.
    """
    heatmaps = scene.heatmaps(scene.uss, masks, config.centring)
    groups = correlated_groups(heatmaps.centroids, scene.valid, config.tau)
    return Inter(heatmaps, groups, ratios, scene.valid, config.eps)
