"""The method: Steps 1 to 3 and the boundary correction, on a batch (paper, Section 3.2)."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.method.base import labels, shares
from dhr.method.boundary import Correction, Guide, corrections
from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig, MethodConfig
from dhr.method.guard import guarded, in_pixels, restored
from dhr.method.held import fixed
from dhr.method.inter import inter_class
from dhr.method.intra import intra_class
from dhr.method.marginal import class_marginal
from dhr.method.order import put_back, take_classes
from dhr.method.quality import mask_quality
from dhr.method.released import released_steps
from dhr.method.scene import Batch, Scene, make_scene, nearest
from dhr.method.seeds import corrected, recover, seeds
from dhr.method.steps import Draft, Steps, same_class
from dhr.method.survey import join
from dhr.ops.upsample import resize
from dhr.types import Rebalanced


@torch.no_grad()
def rebalance(
    batch: Batch, config: MethodConfig = PRESETS["default"], boundary: BoundaryConfig = BOUNDARY
) -> Rebalanced:
    """Make masks from CAMs and two kinds of features: Steps 1 to 3 and the boundary correction.

    It is independent of files, models and training, and runs on the device of its inputs. CAMs and WSS features are
    resampled to the grid of the USS features.

    The order of the classes does not matter: permuted classes give the permuted result, bit for bit (on a GPU as far as
    its sums are reproducible), because the classes are sorted by content first (:mod:`dhr.method.order`). A pixel of
    equal scores goes to the background if it is among them, else to the class with the largest sum of A. Classes with
    identical inputs cannot be told apart; the first of them is taken.

    Raises:
        ShapeError: the inputs do not fit together, or ``config.marginal`` is `prior` and no prior is given.
        ConfigError: a prior is given that ``config.marginal`` does not use.
    """
    correct, last = corrections(boundary, Guide(batch.uss_features, batch.edges), batch.images, batch.size)
    result = finish(draft(batch, config, correct), last, config, batch.survey)
    return result if batch.base is None else replace(result, base=nearest(batch.base, batch.size))


@torch.no_grad()
def draft(batch: Batch, config: MethodConfig, correct: Correction) -> Draft:
    """Compute Steps 1 to 3; the survey has no part in them.

    Args:
        batch: the images. A survey only decides the order of classes that are equal in all else.
        config: settings.
        correct: correction of base mask and seeds.

    Raises:
        ShapeError: see :func:`rebalance`.
        ConfigError: see :func:`rebalance`.
    """
    scene, order = make_scene(batch, config)
    steps = (released_steps if config.released else steps_1_to_3)(scene, correct.holding(scene.held), config)
    return Draft(steps, scene.cams, scene.valid, order, scene.held)


@torch.no_grad()
def finish(
    made: Draft, correct: Correction, config: MethodConfig, survey: Float[Tensor, "b k u v"] | None = None
) -> Rebalanced:
    """Join S_dhr with the survey, correct its boundaries, and make masks.

    Args:
        made: the batch after Steps 1 to 3.
        correct: correction of the result.
        config: settings of the join.
        survey: see :attr:`dhr.method.scene.Batch.survey`.
    """
    found = _with_survey(made, survey, config)
    drawn = None if made.held is None else made.held.shares
    placed = guarded(found, made.valid, config.guard, made.cams.flatten(2), drawn)
    joined = made.maps(placed if made.held is None else made.held.joined(placed))
    scores = shares(correct.holding(made.held)(joined))  # R_c(S_dhr), Eq. 5
    if config.guard > 0 and correct.images is not None:
        kept = restored(scores, in_pixels(joined, made.size), config.guard)
        scores = fixed(kept, None if made.held is None else made.held.pixels)
    same = same_class(found, placed)  # where only the tag speaks for a class, nothing agrees
    return put_back(_result(made, joined, scores, made.steps.alike & same), made.order)


def steps_1_to_3(scene: Scene, correct: Correction, config: MethodConfig) -> Steps:
    """Compute Steps 1 to 3; Steps 2 and 3 are repeated ``config.rounds`` times, from masks of the round before."""
    seed = seeds(scene, config)  # Step 1 (Eq. 2)
    base, seeded = corrected(scene, seed, correct)  # M_base (Eq. 1), R_c(f_OT(A) * A)
    initial = scene.fixed(scene.cells(recover(base, seeded, scene.valid)))  # M_init
    masks, errors, ratios = initial, [seed.marginal_error], []
    inter, intra = None, None
    for _ in range(config.rounds):
        if intra is not None:
            masks = scene.fixed(_next_masks(intra.scores.values, masks, scene))
        ratios.append(class_marginal(masks, scene.valid, config, scene.prior, scene.drawn))
        inter = inter_class(scene, masks, ratios[-1], config)  # Step 2 (Eq. 3)
        intra = intra_class(scene, masks, inter, config)  # Step 3 (Eq. 4)
        errors.append(intra.scores.marginal_error)
    assert inter is not None and intra is not None  # one round or more
    errors.append(inter.scores.marginal_error)
    return Steps(
        base=base,
        seed=seed.values,
        initial=initial,
        inter=inter.scores.values,
        intra=scene.fixed(intra.scores.values),
        alike=same_class(inter.heatmaps.scores, intra.heatmaps.scores),
        groups=inter.groups,
        ratios=ratios[-1],
        moved=(ratios[-1] - ratios[max(len(ratios) - 2, 0)]).abs().sum(dim=1),
        marginal_error=torch.stack(errors).amax(dim=0),
    )


def _next_masks(scores: Float[Tensor, "b k n"], masks: Float[Tensor, "b k n"], scene: Scene) -> Float[Tensor, "b k n"]:
    """Make masks of S_dhr. A class that lost all its cells keeps its mask, because it needs a centroid to come back."""
    found = scene.cells_of(scores, scene.valid)
    return torch.where(found.sum(dim=2, keepdim=True) > 0, found, masks)


def _with_survey(made: Draft, survey: Float[Tensor, "b k u v"] | None, config: MethodConfig) -> Float[Tensor, "b k n"]:
    """Join S_dhr with the survey."""
    if survey is None:
        return made.steps.intra
    known = take_classes(survey, made.order) * made.valid[:, :, None, None]
    return join(made.steps.intra, known.flatten(2), made.valid, config)


def _result(
    made: Draft, joined: Float[Tensor, "b k u v"], scores: Float[Tensor, "b k H W"], alike: Bool[Tensor, "b n"]
) -> Rebalanced:
    """Return the record of all steps, with the mask, its confidence and its quality."""
    steps, valid = made.steps, made.valid
    mask, confidence = labels(scores, valid), margin(resize(shares(joined), made.size), valid)
    return Rebalanced(
        activation=made.cams,
        base=steps.base,
        seed=made.maps(steps.seed),
        initial=made.maps(steps.initial),
        inter=made.maps(steps.inter),
        intra=made.maps(steps.intra),
        joined=joined,
        scores=scores,
        mask=mask,
        confidence=confidence,
        kept=_has_pixels(mask, valid),
        quality=mask_quality(mask, confidence, alike.view(-1, *made.cams.shape[-2:]), valid),
        groups=steps.groups,
        ratios=steps.ratios,
        moved=steps.moved,
        marginal_error=steps.marginal_error,
        valid=valid,
        order=torch.arange(valid.shape[1], device=valid.device).expand_as(valid),
    )


def _has_pixels(mask: Int[Tensor, "b h w"], valid: Bool[Tensor, "b k"]) -> Bool[Tensor, "b k"]:
    """Return whether each class has any pixel of the mask."""
    counts = torch.zeros(valid.shape, dtype=torch.int64, device=mask.device)
    return counts.scatter_add(1, mask.flatten(1), torch.ones_like(mask.flatten(1))) > 0


def margin(scores: Float[Tensor, "b k h w"], valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b h w"]:
    """Return the difference of the two highest scores; 1 in images of one class."""
    if scores.shape[1] == 1:
        return torch.ones_like(scores[:, 0])
    best = scores.topk(2, dim=1).values
    alone = valid.sum(dim=1) == 1
    return torch.where(alone[:, None, None], 1, best[:, 0] - best[:, 1])
