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
    drawn: Float[Tensor, "b k"] | None = None,
) -> Float[Tensor, "b k"]:
    """Return shares by ``config.marginal``: the same for every valid class, those of ``masks``, or the given ones.

    Estimated shares are at least ``config.smallest_ratio`` (:func:`at_least`); given shares are used as they are. A
    class that was ``drawn`` on a share of the image has at least this share (:func:`lifted`).

    Raises:
        ShapeError: ``config.marginal`` is `prior` and no prior is given.
    """
    if config.marginal == "estimated":
        least = max(config.smallest_ratio, _LEAST)
        return lifted(at_least(masks.sum(dim=2), valid, least), valid, least, drawn)
    ratios = valid.to(masks.dtype)
    if config.marginal == "prior":
        if prior is None:
            raise ShapeError("method.marginal is 'prior', which needs the ratios: pass prior, (images, classes)")
        ratios = torch.where(valid, prior.to(masks.dtype).clamp_min(_LEAST), 0)
    return lifted(ratios / ratios.sum(dim=1, keepdim=True).clamp_min(1e-12), valid, 0.0, drawn)


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


def lifted(
    ratios: Float[Tensor, "b k"], valid: Bool[Tensor, "b k"], least: float, drawn: Float[Tensor, "b k"] | None
) -> Float[Tensor, "b k"]:
    r"""Return shares that give each class at least its drawn share; as they are in images in which nothing is drawn.

    .. math:: q_k = \max(f_k, t a_k), \quad f_k = d_k + s \, \max(0, \min(\text{least}, 1 / K) - d_k), \quad
              t \text{ such that } \sum_k q_k = 1

    with s = 1, or the largest that leaves :math:`\sum_k f_k \le 1`.

    Args:
        ratios: a, shares that sum to one.
        valid: False for padding, which has no share.
        least: smallest share of a class, as far as there is room for it.
        drawn: d, 0 or more, at most 1 in sum.

    >>> ratios, valid = torch.tensor([[0.7, 0.2, 0.1]]), torch.ones(1, 3, dtype=torch.bool)
    >>> lifted(ratios, valid, 0.05, torch.tensor([[0.0, 0.1, 0.4]]))
    tensor([[0.4667, 0.1333, 0.4000]])
    """
    if drawn is None:
        return ratios
    count = valid.sum(dim=1, keepdim=True).to(ratios.dtype)
    missing = (count.reciprocal().clamp_max(least) * valid - drawn).clamp_min(0)
    room = (1 - drawn.sum(dim=1, keepdim=True)).clamp_min(0)
    floors = drawn + missing * (room / missing.sum(dim=1, keepdim=True).clamp_min(1e-30)).clamp_max(1)
    # As in `at_least`, t is the least over the classes that are above their floor: a beginning of this order.
    order = (ratios / floors.clamp_min(1e-30)).argsort(dim=1, descending=True, stable=True)
    areas, below = ratios.gather(1, order).cumsum(dim=1), floors.gather(1, order).cumsum(dim=1)
    scale = (1 - floors.sum(dim=1, keepdim=True) + below) / areas.clamp_min(1e-30)
    found = torch.where(valid, torch.maximum(ratios * scale.amin(dim=1, keepdim=True), floors), 0)
    return torch.where((drawn > 0).any(dim=1, keepdim=True), found, ratios)
