"""The whole method with its inputs as keywords, and the equations once more: plain numpy, one image at a time."""

from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax
from torch import Tensor

from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig, MethodConfig
from dhr.method.rebalance import rebalance as rebalance_batch
from dhr.method.scene import Batch
from dhr.types import Rebalanced

Array = np.ndarray[Any, np.dtype[Any]]


def rebalance(
    cams: Tensor,
    uss_features: Tensor,
    wss_features: Tensor,
    images: Tensor | None = None,
    *,
    config: MethodConfig = PRESETS["default"],
    boundary: BoundaryConfig = BOUNDARY,
    **given: Any,
) -> Rebalanced:
    """:func:`dhr.method.rebalance.rebalance` of a :class:`~dhr.method.scene.Batch` of these."""
    return rebalance_batch(Batch(cams, uss_features, wss_features, images, **given), config, boundary)


def plain_transport(scores: Array, q: Array, eps: float) -> Array:
    """N times the plan (k, n) of uniform positions, by Sinkhorn's iterations in the log domain until q is met."""
    kernel, level = scores / eps, np.zeros(scores.shape[1])
    for _ in range(100_000):
        potential = np.log(q) - (logsumexp(kernel - level, axis=1) - np.log(scores.shape[1]))
        level = logsumexp(kernel + potential[:, None], axis=0)
        assigned = softmax(kernel + potential[:, None], axis=0)
        if np.abs(assigned.mean(axis=1) - q).sum() < 1e-12:
            return assigned
    raise AssertionError("the reference itself has not converged")


def plain_heatmaps(features: Array, masks: Array, centring: float) -> tuple[Array, Array]:
    """Directions of the centroids (k, d) and cosines (k, n) of features (d, n)."""
    unit = features / np.linalg.norm(features, axis=0)
    centroids = masks @ unit.T / masks.sum(axis=1, keepdims=True)
    shift = centring * centroids.mean(axis=0)
    own, other = centroids - shift, unit.T - shift
    own, other = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (own, other))
    return centroids / np.linalg.norm(centroids, axis=1, keepdims=True), np.maximum(own @ other.T, 0)


def plain_shares(labels: Array, classes: int, config: MethodConfig) -> Array:
    """q of labels (n,); of scenes in which no class is smaller than the least share."""
    if config.marginal == "uniform":
        return np.full(classes, 1 / classes)
    q = np.bincount(labels, minlength=classes) / len(labels)
    assert q.min() >= config.smallest_ratio
    return q


def plain_steps(cams: Array, uss: Array, wss: Array, config: MethodConfig) -> dict[str, Array]:
    """Eqs. 1 to 4 for one image, all maps (_, n) on one grid, without a boundary correction: ``base`` and ``initial``
    (n,), ``seed``, ``inter`` and ``intra`` (k, n).
    """
    classes = len(cams)
    maps = np.maximum(cams, 0) / cams.max(axis=1, keepdims=True)
    base = labels = maps.argmax(axis=0)
    seed = plain_transport(maps, plain_shares(base, classes, config), config.eps) * maps  # Eq. 2
    seeded = seed.argmax(axis=0)
    for label in range(classes):
        if (base == label).sum() < 0.5 * (seeded == label).sum():
            labels = np.where(seeded == label, label, labels)
    initial = labels
    for _ in range(config.rounds):
        q, masks = plain_shares(labels, classes, config), np.eye(classes)[:, labels]
        directions, by_uss = plain_heatmaps(uss, masks, config.centring)
        _, by_wss = plain_heatmaps(wss, masks, config.centring)
        inter = plain_transport(by_uss, q, config.eps) * by_uss  # Eq. 3
        if config.combine == "mean":
            mean = config.uss_weight * by_uss + (1 - config.uss_weight) * by_wss
            intra = plain_transport(mean, q, config.eps) * mean
        else:
            linked = (directions @ directions.T > config.tau).sum(axis=1) > 1
            within = plain_transport(by_wss, q, config.eps) * inter  # Eq. 4
            intra = np.where(linked[:, None], within, inter)
        labels = intra.argmax(axis=0)
    return {"base": base, "seed": seed, "initial": initial, "inter": inter, "intra": intra}
