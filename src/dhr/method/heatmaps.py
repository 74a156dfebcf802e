"""From masks to centroids to heatmaps: what Steps 2 and 3 do with either kind of features."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dhr.ops.centroids import centroids_and_heatmaps
from dhr.ops.similarity import feature_norms


@dataclass(frozen=True)
class Features:
    """Features of a batch on the grid, with their lengths, which every round needs."""

    values: Float[Tensor, "b d n"]
    norms: Float[Tensor, "b 1 n"]

    @staticmethod
    def of(maps: Float[Tensor, "b d u v"]) -> "Features":
        """Flatten maps and measure their lengths."""
        values = maps.flatten(2)
        return Features(values, feature_norms(values))


@dataclass(frozen=True)
class Heatmaps:
    """Centroids and heatmaps of the classes by one kind of features."""

    centroids: Float[Tensor, "b k d"]
    scores: Float[Tensor, "b k n"]


def centroid_heatmaps(features: Features, masks: Float[Tensor, "b k n"], centring: float = 0.0) -> Heatmaps:
    """Pool ``masks`` to centroids (CAP), and compare all features with them.

    Features are averaged by direction, because their lengths do not depend on the class; the cosine ignores them too.
    """
    return Heatmaps(*centroids_and_heatmaps(features.values, masks, features.norms, centring))
