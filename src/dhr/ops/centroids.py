"""Centroids of masks, and the heatmaps of those centroids."""

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 1e-8  # length below which a feature or a centroid has no direction


def class_average_pooling(
    features: Float[Tensor, "b d n"], masks: Float[Tensor, "b k n"], norms: Float[Tensor, "b 1 n"] | None = None
) -> Float[Tensor, "b k d"]:
    r"""Centroid of each class, :math:`V_k = \sum_n M_{kn} F_n / \sum_n M_{kn}` (paper, Section 3.2, CAP).

    The method gives ``norms``, so that it pools directions, :math:`F_n / |F_n|`, where the paper has the features.

    Args:
        features: F.
        masks: soft masks M, >= 0.
        norms: lengths of the features; if given, each feature counts by its direction only (F_n / norms_n).

    Returns:
        Centroids; zero for a class without any weight.
    """
    weights = masks if norms is None else masks / norms
    mass = masks.sum(dim=2, keepdim=True)
    return torch.where(mass > 0, weights @ features.transpose(1, 2) / mass, 0)


@torch.no_grad()
def centroids_and_heatmaps(
    features: Float[Tensor, "b d n"],
    masks: Float[Tensor, "b k n"],
    norms: Float[Tensor, "b 1 n"],
    centring: float = 0.0,
) -> tuple[Float[Tensor, "b k d"], Float[Tensor, "b k n"]]:
    r"""CAP over masks gives centroids V, and those heatmaps S: Steps 2 and 3 for one kind of features (Eqs. 3, 4).

    .. math:: V_k = \frac{\sum_n M_{kn} \hat F_n}{\sum_n M_{kn}}, \quad
              S_{kn} = ReLU(cos(\hat F_n - c \bar V,\; V_k - c \bar V)), \quad \hat F_n = F_n / |F_n|

    with :math:`\bar V` the mean of the centroids of all classes that have any weight, and c the ``centring``; 0 is the
    paper. All features of one photograph share a direction, and next to it what tells the classes apart is small: the
    cosines of all classes are high everywhere. Each class counts the same in :math:`\bar V`, however large it is: the
    mean of all positions would take away the largest class's own direction first.

    No centred feature is ever made, as all follows from :math:`\hat F \cdot V_k` and :math:`V_j \cdot V_k`. No
    gradient is recorded.

    Args:
        features: F.
        masks: soft masks M, >= 0.
        norms: :func:`~dhr.ops.similarity.feature_norms` of the features.
        centring: c, 0 to below 1.

    Returns:
        V, zero for a class without any weight, and S, in 0..1; 0 for such a class, and where a feature has no length.

    >>> features = torch.tensor([[[1.0, 1.0, 1.0], [0.1, 0.0, -0.1]]])
    >>> masks = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])
    >>> norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    >>> centroids_and_heatmaps(features, masks, norms)[1][0, 0]
    tensor([1.0000, 0.9950, 0.9802])
    >>> centroids_and_heatmaps(features, masks, norms, centring=0.9)[1][0, 0]
    tensor([1.0000, 0.7071, 0.0000])
    """
    centroids = class_average_pooling(features, masks, norms)
    return centroids, _cosines(centroids @ features / norms, centroids, masks, norms, centring)


def _cosines(products: Tensor, centroids: Tensor, masks: Tensor, norms: Tensor, centring: float) -> Tensor:
    """Compute heatmaps from the products (b, k, n) of centroids and unit features."""
    seen = (masks.sum(dim=2, keepdim=True) > 0).to(products.dtype)  # (b, k, 1)
    real = (norms > _LEAST).to(products.dtype)  # (b, 1, n)
    gram = centroids @ centroids.transpose(1, 2)
    lengths = gram.diagonal(dim1=1, dim2=2).unsqueeze(2)  # squared, (b, k, 1)
    if centring == 0:
        return (products / lengths.sqrt().clamp_min(_LEAST)).clamp(0, 1) * seen
    weights = centring * seen / seen.sum(dim=1, keepdim=True).clamp_min(1)  # times V: c V-bar
    along = weights.transpose(1, 2) @ products  # its products with the unit features, (b, 1, n),
    across = gram @ weights  # with the centroids, (b, k, 1),
    own = weights.transpose(1, 2) @ across  # and with itself, (b, 1, 1)
    spread = (1 - 2 * along + own).clamp_min(0).sqrt() * (lengths - 2 * across + own).clamp_min(0).sqrt()
    return ((products - along - across + own) / spread.clamp_min(_LEAST)).clamp(0, 1) * seen * real
