"""Lengths of features, and which centroids look alike."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_SLICE = 128


@torch.no_grad()
def feature_norms(features: Float[Tensor, "b d n"]) -> Float[Tensor, "b 1 n"]:
    """Length of the feature at each position, at least 1e-8 so that it can be divided by. No gradient is recorded."""
    from dhr.ops.centroid_kernels import LANES

    if features.device.type == "cpu" and features.dtype == torch.float32 and features.shape[2] >= LANES:
        squares = _compiled_squares(features)
    else:
        # In slices, or the squares would take as much memory as the features.
        parts = [part.square().sum(dim=1, keepdim=True) for part in torch.split(features, _SLICE, dim=1)]
        squares = torch.stack(parts).sum(dim=0)
    return squares.sqrt().clamp_min(1e-8)


def _compiled_squares(features: Float[Tensor, "b d n"]) -> Float[Tensor, "b 1 n"]:
    """Compute sums of squares over the channels, in one pass through memory."""
    from dhr.ops import centroid_kernels as kernels
    from dhr.ops.parallel import run_parallel, split

    b, d, n = features.shape
    units = -(-d // kernels.CHANNELS)
    sums = features.new_zeros(b, units, n)
    arrays = (features.detach().contiguous().numpy(), sums.numpy())
    run_parallel(kernels.sum_squares, ((*arrays, *part) for part in split(b * units, min(d, kernels.CHANNELS) * n)))
    return sums.sum(dim=1, keepdim=True)


def correlated_groups(
    centroids: Float[Tensor, "b k d"], valid: Bool[Tensor, "b k"], tau: float
) -> Bool[Tensor, "b k k"]:
    """Find classes that look alike: the transitive closure of "cosine of the centroids above ``tau``" (paper, Eq. 4).

    The closure makes it a partition that does not depend on the order of the classes: if a looks like b and b like
    c, all three are one group.

    Returns:
        Same-group relation; a class is always in its own group, padding never is.
    """
    k = centroids.shape[1]
    lengths: Tensor = torch.linalg.vector_norm(centroids, dim=2, keepdim=True)
    directions = centroids / lengths.clamp_min(1e-8)
    linked = directions @ directions.transpose(1, 2) > tau
    linked = linked | torch.eye(k, dtype=torch.bool, device=centroids.device)
    linked = linked & valid.unsqueeze(1) & valid.unsqueeze(2)
    reach = 1
    while reach < k:  # squaring the relation doubles the length of the chains that it closes
        relation = linked.to(centroids.dtype)
        linked = relation @ relation > 0
        reach *= 2
    return linked
