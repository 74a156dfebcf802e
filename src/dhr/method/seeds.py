"""Step 1: seeds bring back classes that the base mask has lost (paper, Section 3.2, Eqs. 1 and 2)."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.method.base import scored_labels
from dhr.method.boundary import Correction
from dhr.method.config import MethodConfig
from dhr.method.marginal import class_marginal
from dhr.method.scene import Scene
from dhr.method.transported import Scores, transported

LOST = 0.5
"""A class counts as lost where the base mask has less than this part of its seeds' area."""


def base_mask(scene: Scene, correct: Correction) -> Int[Tensor, "b H W"]:
    """Return M_base: the given mask, or that of R_c(A) (Eq. 1, with the CAMs themselves as the propagated seeds)."""
    return scored_labels(correct(scene.cams), scene.valid) if scene.base is None else scene.base


def seeds(scene: Scene, config: MethodConfig) -> Scores:
    r"""Compute the seeds before the boundary correction, :math:`f_{OT}(A) * A` (Eq. 2).

    Shares are estimated from the CAMs: the base mask may have lost a class, but the CAMs have not.
    """
    cams = scene.cams.flatten(2)
    ratios = class_marginal(scene.cells_of(cams, scene.valid), scene.valid, config, scene.prior, scene.drawn)
    return transported(cams, ratios, scene.valid, config.eps)


def corrected(scene: Scene, seed: Scores, correct: Correction) -> tuple[Int[Tensor, "b H W"], Float[Tensor, "b k H W"]]:
    """Return M_base (:func:`base_mask`) and the corrected seeds."""
    if scene.base is not None:
        return scene.base, correct(scene.maps(seed.values))
    cams, seeded = correct.both(scene.cams, scene.maps(seed.values))
    return scored_labels(cams, scene.valid), seeded


def recover(
    base: Int[Tensor, "b H W"], seeded: Float[Tensor, "b k H W"], valid: Bool[Tensor, "b k"]
) -> Int[Tensor, "b H W"]:
    """Return M_init: the base mask, overwritten by the corrected seeds R_c(f_OT(A) * A) of the classes that it lost.

    In the paper the minor classes overwrite M_base. Here these are the classes with less than :data:`LOST` of their
    seeds' area in the base mask.
    """
    labels = scored_labels(seeded, valid)
    ids = torch.arange(valid.shape[1], device=base.device).view(1, -1, 1, 1)
    kept, found = ((mask.unsqueeze(1) == ids).sum(dim=(2, 3)) for mask in (base, labels))  # (b, k)
    lost = kept < LOST * found
    wins = (labels >= 0) & lost.gather(1, labels.clamp_min(0).flatten(1)).view_as(labels)
    return torch.where(wins, labels, base)
