"""Steps 1 to 3 as the authors' released program does them, for comparison (preset `released`; docs/method.md).

It differs from the equations in this: it stops Sinkhorn's method after two iterations, stretches plans and heatmaps
to 0..1, keeps the background out of Step 1, lets all seeds overwrite the base mask, gives each cell of the grid to its
largest class, and transports once more after Step 3. Two of its properties are left out: its groups depend on the order
of the classes, and it stretches the cosines before the ReLU.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dhr.method.base import scored_labels
from dhr.method.boundary import Correction
from dhr.method.config import MethodConfig
from dhr.method.heatmaps import centroid_heatmaps
from dhr.method.marginal import lifted
from dhr.method.scene import Scene
from dhr.method.seeds import base_mask
from dhr.method.steps import Steps, same_class
from dhr.ops.similarity import correlated_groups
from dhr.ops.transport import Transport, sinkhorn

ITERATIONS = 2
"""Iterations of Sinkhorn's method; in practice the program stops after these."""


def released_steps(scene: Scene, correct: Correction, config: MethodConfig) -> Steps:
    """Compute Steps 1 to 3 of the authors' program; only ``config.eps`` and ``config.tau`` count."""
    base, cams = base_mask(scene, correct), scene.cams.flatten(2)
    ids = torch.arange(scene.valid.shape[1], device=scene.valid.device)
    seeded = scene.valid & (ids >= int(scene.background))  # in Step 1 there is no background
    first = _transport(cams, _ratios(scene, seeded), seeded, config.eps)
    seed = first.assignment * cams
    labels = scored_labels(correct(scene.maps(seed)), seeded)
    masks = scene.fixed(majority(scene.cells(torch.where(labels >= 0, labels, base))))

    seen, known = (centroid_heatmaps(features, masks) for features in (scene.uss, scene.wss))
    groups = correlated_groups(seen.centroids, scene.valid, config.tau)
    uss, wss = (scene.fixed(stretched(one.scores)) for one in (seen, known))
    ratios = _ratios(scene, scene.valid)
    within = _transport(wss, ratios, scene.valid, config.eps)
    shares_group = groups.sum(dim=2, keepdim=True) > 1  # (b, k, 1)
    scores = torch.where(shares_group, within.assignment * uss, uss)
    last, inter = (_transport(one, ratios, scene.valid, config.eps) for one in (scores, uss))
    errors = torch.stack([one.marginal_error for one in (first, within, last, inter)])
    return Steps(
        base=base,
        seed=seed,
        initial=masks,
        inter=inter.assignment * uss,
        intra=scene.fixed(last.assignment * scores),
        alike=same_class(uss, wss),
        groups=groups,
        ratios=ratios,
        moved=torch.zeros_like(errors[0]),
        marginal_error=errors.amax(dim=0),
    )


def majority(masks: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
    """Give each cell to the class that covers most of it, in equal parts to several such classes."""
    most = ((masks == masks.amax(dim=1, keepdim=True)) & (masks > 0)).to(masks.dtype)
    return most / most.sum(dim=1, keepdim=True).clamp_min(1)


def stretched(values: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
    """Stretch the values of each class linearly to 0..1; 0 where all are equal."""
    low, high = values.amin(dim=2, keepdim=True), values.amax(dim=2, keepdim=True)
    return (values - low) / (high - low).clamp_min(1e-12)


def _transport(
    scores: Float[Tensor, "b k n"], ratios: Float[Tensor, "b k"], valid: Bool[Tensor, "b k"], eps: float
) -> Transport:
    """Run a few iterations towards the shares, and stretch the plan."""
    found = sinkhorn(scores, ratios, valid, eps, ITERATIONS)
    return Transport(found.plan, stretched(found.assignment), found.marginal_error)


def _ratios(scene: Scene, valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b k"]:
    """Return the same share for every valid class, or more if more was drawn for it."""
    ratios = valid.to(scene.cams.dtype)
    drawn = None if scene.drawn is None else scene.drawn * valid
    return lifted(ratios / ratios.sum(dim=1, keepdim=True).clamp_min(1e-12), valid, 0.0, drawn)
