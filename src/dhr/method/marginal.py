"""q, the class marginal of the transports: the share of the image that each class receives."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.errors import ShapeError
from dhr.method.config import MethodConfig

_LEAST = 1e-6  # a class of marginal 0 would take no part in the transport


def class_marginal(
    masks: Float[Tensor, "b k n"],
    valid: Bool[Tensor, "b k"],
    config: MethodConfig,
    prior: Float[Tensor, "b k"] | None = None,
) -> Float[Tensor, "b k"]:
    """Return shares by ``config.marginal``: the same for every valid class, those of ``masks``, or the given ones.

    Estimated shares are at least ``config.smallest_ratio`` (:func:`at_least`); given shares are used as they are.

    Raises:
        ShapeError: ``config.marginal`` is `prior` and no prior is given.
    """
    if config.marginal == "estimated":
        return at_least(masks.sum(dim=2), valid, max(config.smallest_ratio, _LEAST))
    ratios = valid.to(masks.dtype)
    if config.marginal == "prior":
        if prior is None:
            raise ShapeError("method.marginal is 'prior', which needs the ratios: pass prior, (images, classes)")
        ratios = torch.where(valid, prior.to(masks.dtype).clamp_min(_LEAST), 0)
    return ratios / ratios.sum(dim=1, keepdim=True).clamp_min(1e-12)


def at_least(areas: Float[Tensor, "b k"], valid: Bool[Tensor, "b k"], least: float) -> Float[Tensor, "b k"]:
    r"""Return shares of the areas of the K valid classes, at least ``least``; the other shares shrink in proportion.

    .. math:: q_k = \max(f, t a_k), \quad f = \min(\text{least}, 1 / K), \quad t \text{ such that } \sum_k q_k = 1

    This is the nearest such q to the areas' shares by Kullback-Leibler divergence.

    Args:
        areas: 0 or more; where all are 0 the shares are equal.
        valid: False for padding, which has no share.
        least: f, where K f is at most 1.

    >>> at_least(torch.tensor([[96.0, 4.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool), 0.1)
    tensor([[0.8000, 0.1000, 0.1000]])
    >>> at_least(torch.tensor([[96.0, 4.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool), 0.5)
    tensor([[0.3333, 0.3333, 0.3333]])
    """
    areas = areas.clamp_min(1e-30) * valid
    count = valid.sum(dim=1, keepdim=True).to(areas.dtype)
    floor = count.reciprocal().clamp_max(least)
    # As sum_k max(f, t a_k) is 1, t a_k over any j classes and f for the others are 1 at most; for one choice they are.
    rank = torch.arange(1, areas.shape[1] + 1, device=areas.device)
    scale = (1 - (count - rank) * floor) / areas.sort(dim=1, descending=True).values.cumsum(dim=1)
    return torch.where(valid, torch.maximum(areas * scale.amin(dim=1, keepdim=True), floor), 0)
