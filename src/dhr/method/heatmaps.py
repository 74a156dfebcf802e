"""From masks to centroids to heatmaps, in Steps 2 and 3, for either kind of features."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from dhr.ops.centroids import Pooled, centroids_and_heatmaps
from dhr.ops.similarity import feature_norms


@dataclass(frozen=True)
class Features:
    """Features of a batch on the grid, with their lengths; every round uses them."""

    values: Float[Tensor, "b d n"]
    norms: Float[Tensor, "b 1 n"]

    @staticmethod
    def of(maps: Float[Tensor, "b d u v"]) -> "Features":
        """Flatten maps and measure their lengths."""
        values = maps.flatten(2)
        return Features(values, feature_norms(values))


@dataclass(frozen=True)
class Heatmaps:
    """Heatmaps of each class by one kind of features."""

    pooled: Pooled
    scores: Float[Tensor, "b k n"]


def centroid_heatmaps(
    features: Features, masks: Float[Tensor, "b k n"], centring: float = 0.0, before: Heatmaps | None = None
) -> Heatmaps:
    """Compute centroids of ``masks`` (CAP), and their cosines with all features; faster with a result ``before``.

    Features are averaged by direction, because their lengths do not depend on the class; the cosine ignores them too.
    """
    known = None if before is None else before.pooled
    centroids, scores = centroids_and_heatmaps(features.values, masks, features.norms, centring, known)
    return Heatmaps(Pooled(masks, centroids), scores)
