"""Centroids of masks, and the heatmaps of those centroids, in one pass over the features where that can be."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 1e-8  # length below which a feature or a centroid has no direction
_KEPT = 0.1  # of a class's weight: if less of it is left, its sum is not taken on, or differences would cost digits


@dataclass(frozen=True)
class Pooled:
    """Masks, and the centroids of them that are known."""

    masks: Float[Tensor, "b k n"]
    centroids: Float[Tensor, "b k d"]


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
    before: Pooled | None = None,
) -> tuple[Float[Tensor, "b k d"], Float[Tensor, "b k n"]]:
    r"""CAP over masks gives centroids V, and those heatmaps S: Steps 2 and 3 for one kind of features (Eqs. 3, 4).

    .. math:: V_k = \frac{\sum_n M_{kn} \hat F_n}{\sum_n M_{kn}}, \quad
              S_{kn} = ReLU(cos(\hat F_n - c \bar V,\; V_k - c \bar V)), \quad \hat F_n = F_n / |F_n|

    with :math:`\bar V` the mean of the centroids of all classes that have any weight, and c the ``centring``; 0 is the
    paper. All features of one photograph share a direction, and next to it what tells the classes apart is small: the
    cosines of all classes are high everywhere. Each class counts the same in :math:`\bar V`, however large it is: the
    mean of all positions would take away the largest class's own direction first.

    No centred feature is ever made, as all follows from :math:`\hat F \cdot V_k` and :math:`V_j \cdot V_k`. No
    gradient is recorded. On the CPU in float32 compiled kernels read the features once instead of twice, and pool only
    where masks have changed (docs/measurements.md).

    Args:
        features: F.
        masks: soft masks M, >= 0.
        norms: :func:`~dhr.ops.similarity.feature_norms` of the features.
        centring: c, 0 to below 1.
        before: other masks and their centroids in the same features. The result is the same to rounding; the more alike
        the masks are, the sooner it is there.

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
    from dhr.ops.centroid_kernels import LANES

    alike = features.dtype == masks.dtype == norms.dtype == torch.float32
    if features.device.type == masks.device.type == "cpu" and alike and features.shape[2] >= LANES:
        return _compiled(features, masks, norms, centring, before)
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


def _compiled(
    features: Tensor, masks: Tensor, norms: Tensor, centring: float, before: Pooled | None
) -> tuple[Tensor, Tensor]:
    """Compute the same by kernels."""
    import numpy as np

    from dhr.ops import centroid_kernels as kernels
    from dhr.ops.parallel import run_parallel, split

    (b, d, n), k = features.shape, masks.shape[1]
    rows, width = -(-k // kernels.CLASSES) * kernels.CLASSES, -(-n // kernels.LANES) * kernels.LANES
    # Small arrays are numpy's: for each, PyTorch would wake its threads.
    weights, lengths = masks.contiguous().numpy(), norms.contiguous().numpy()
    mass, changes = weights.sum(axis=2), weights
    kept, scale = np.zeros((2, b, rows), np.float32)
    if before is None:
        start = np.zeros((b, k, 1), np.float32)  # nothing of it is kept
    else:
        start, known = before.centroids.contiguous().numpy(), before.masks.numpy().sum(axis=2)
        lasting = mass >= _KEPT * known
        changes = weights - lasting[..., None] * before.masks.numpy()
        kept[:, :k] = lasting * known
    changes = changes / lengths
    # The last register ends with the last position; what it shares with the one before has no weight in it.
    whole = n // kernels.LANES * kernels.LANES
    rest = width - (n - whole)
    laid = np.zeros((b, rows, width), np.float32)
    laid[:, :k, :whole] = changes[..., :whole]
    laid[:, :k, rest:] = changes[..., whole:]
    seen = mass > 0
    scale[:, :k] = seen / np.where(seen, mass, 1)
    units = -(-d // kernels.CHANNELS)
    products = np.zeros((b, units, rows, width), np.float32)
    centroids = masks.new_empty(b, rows, d)
    arrays = (features.contiguous().numpy(), laid, start, kept, scale, centroids.numpy(), products)
    run_parallel(
        kernels.pool_and_compare, ((*arrays, *part) for part in split(b * units, min(d, kernels.CHANNELS) * n))
    )
    maps = torch.empty_like(masks, memory_format=torch.contiguous_format)
    found = (products, centroids.numpy(), seen.astype(np.float32), lengths, centring, maps.numpy())
    run_parallel(kernels.heatmaps, ((*found, *part) for part in split(b, rows * width)))
    return centroids[:, :k], maps
