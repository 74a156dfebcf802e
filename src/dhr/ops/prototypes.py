"""Class-level average pooling (CAP): the mean feature of each class in an image."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def area_average(masks: Float[Tensor, "b k h w"], grid: tuple[int, int]) -> Float[Tensor, "b k u v"]:
    """Resample masks to a grid, each cell the mean of what lies under it.

    A class smaller than a cell keeps its share of it; a majority vote, as in the authors' program, would erase it.

    >>> masks = torch.zeros(1, 1, 4, 4); masks[..., 0, 0] = 1
    >>> area_average(masks, (2, 2))[0, 0, 0, 0].item()
    0.25
    """
    return masks if masks.shape[-2:] == grid else adaptive_avg_pool2d(masks, grid)


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
