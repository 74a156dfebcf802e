"""The method: Steps 1 to 3 and the boundary, on a batch (paper, Section 3.2)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.errors import ConfigError, ShapeError
from dhr.method.base import (
    NOTHING,
    add_background,
    labels,
    majority,
    normalise_cams,
    on_one_scale,
    scored_labels,
    shares,
    soft_masks,
)
from dhr.method.boundary import Guide, Refine, Refiners
from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig, MethodConfig
from dhr.method.heatmaps import Features, centroid_heatmaps
from dhr.method.inter import stretched, transported
from dhr.method.intra import intra_class
from dhr.method.order import class_order, put_back, take_classes, take_labels
from dhr.method.quality import mask_quality
from dhr.method.seeds import class_marginal, overwrite_base
from dhr.method.survey import join
from dhr.ops.similarity import correlated_groups
from dhr.ops.upsample import resize
from dhr.types import Rebalanced


@torch.no_grad()
def rebalance(
    cams: Float[Tensor, "b k _ _"],
    uss_features: Float[Tensor, "b d u v"],
    wss_features: Float[Tensor, "b e _ _"],
    images: Float[Tensor, "b 3 h w"] | None = None,
    valid: Bool[Tensor, "b k"] | None = None,
    base: Integer[Tensor, "b _ _"] | None = None,
    edges: Float[Tensor, "b 1 _ _"] | None = None,
    background: bool = False,
    prior: Float[Tensor, "b _"] | None = None,
    survey: Float[Tensor, "b _ _ _"] | None = None,
    config: MethodConfig = PRESETS["default"],
    boundary: BoundaryConfig = BOUNDARY,
) -> Rebalanced:
    """Masks from CAMs and two kinds of features: Steps 1 to 3 and the boundary correction.

    It knows nothing of files, models or training, and runs where its inputs are. All is computed on the grid of
    ``uss_features``; CAMs and WSS features are resampled to it.

    The order of the classes decides nothing: permuted classes give the permuted result, bit for bit (on a GPU as far as
    its sums are the same twice), as the classes are handled in an order that follows from their content
    (:mod:`dhr.method.order`). Where scores are equal, or no class scores, a pixel goes to the background if that is
    among them, else to the class of the largest sum of A. Only classes that are the same in all that is given of them
    cannot be told apart: of these, the first.

    Args:
        cams: A, one map for each class of the image that is tagged; any scale, negative values count as 0.
        uss_features: F_us, unsupervised features (DINO and the like).
        wss_features: F_ws, features of the network that made the CAMs.
        images: RGB, 0..1; masks get their size and follow their edges. Without them masks are on the grid and R_c does
            nothing.
        valid: False where ``cams`` is padding, for images with fewer classes than others of the batch. Every image must
            have at least one class.
        base: M_base of another method: labels 0..k-1, or with ``background`` 0..k, 0 the background; anything else is
            void. Without it, M_base is R_c(A).
        edges: probability of a class boundary, for the random walk (IRN).
        background: whether there is a background class, without CAM, scored by ``config.background``; it becomes class
            0.
        prior: for ``config.marginal`` `prior`, the share of the image that each class covers, in any unit; with
            ``background``, of the background first.
        survey: P, shares of the classes in each cell of the grid by what all photographs of the data set say of this
            one (:class:`dhr.method.survey.Survey`); with ``background`` of the background first; all 0 where nothing is
            said. Joined to Step 3 with the weight ``config.survey``
            (:meth:`~dhr.method.survey.Survey.weighed` gives the one that the survey deserves).
        config: a preset, or one's own settings.
        boundary: R_c.

    Raises:
        ShapeError: the inputs do not fit together, or ``config.marginal`` is `prior` and none is given.
        ConfigError: ``prior`` is given, and ``config.marginal`` is another.
    """
    b, k, *_ = cams.shape
    present = torch.ones(b, k, dtype=torch.bool, device=cams.device) if valid is None else valid
    grid = (uss_features.shape[-2], uss_features.shape[-1])
    _check_counts(cams, uss_features, wss_features, images, base, prior)
    _check_classes(prior, survey, (b, k + background), grid, config)
    maps = normalise_cams(resize(on_one_scale(cams), grid), present)
    if background:
        maps, present = add_background(maps, present, config)
    start = None if base is None else _nearest(base, grid if images is None else (images.shape[-2], images.shape[-1]))
    order = class_order(maps, present, background, start, prior, survey)
    ordered = _Ordered(
        maps=take_classes(maps, order),
        valid=take_classes(present, order),
        base=None if start is None else take_labels(start, order.argsort(dim=1).masked_fill(~present, NOTHING)),
        prior=None if prior is None else take_classes(prior, order),
        survey=None if survey is None else take_classes(survey, order),
        background=background,
    )
    guide = Guide(uss_features, edges)
    result = put_back(_steps(ordered, uss_features, resize(wss_features, grid), images, guide, config, boundary), order)
    return result if start is None else replace(result, base=start)


@dataclass(frozen=True)
class _Ordered:
    """What is given of the classes, in the order of :mod:`dhr.method.order`."""

    maps: Tensor
    valid: Tensor
    base: Tensor | None
    prior: Tensor | None
    survey: Tensor | None
    background: bool


def _steps(
    given: _Ordered,
    uss_features: Tensor,
    wss_features: Tensor,
    images: Tensor | None,
    guide: Guide,
    config: MethodConfig,
    boundary: BoundaryConfig,
) -> Rebalanced:
    """:func:`rebalance` on the grid, whose classes come and go in that order."""
    maps, present, base, prior, survey = given.maps, given.valid, given.base, given.prior, given.survey
    classes, grid = present.shape[1], (maps.shape[-2], maps.shape[-1])
    size = grid if images is None else (images.shape[-2], images.shape[-1])
    correct = Refiners.of(boundary, guide)

    def fine(scores: Tensor, refine: Refine) -> Tensor:
        resized = resize(scores, size)
        return resized if images is None else refine(images, resized)

    def on_grid(flat: Tensor) -> Tensor:
        return flat.view(*flat.shape[:2], *grid)  # (b, k, n) -> (b, k, u, v)

    def pooled(mask: Tensor) -> Tensor:
        shares = soft_masks(mask, classes, grid, maps.dtype)
        return (majority(shares) if config.pooling == "majority" else shares).flatten(2)  # (b, k, n)

    # Eq. 1, with the CAMs themselves as the propagated seeds.
    start = scored_labels(fine(maps, correct.base), present) if base is None else base
    seeded = present
    if given.background and not config.seed_background:
        seeded = present & (torch.arange(classes, device=present.device) > 0)
    # The base mask may have lost a class; the CAMs know its share.
    ratios = class_marginal(pooled(scored_labels(maps, seeded)), seeded, config, prior)
    seed = transported(maps.flatten(2), ratios, seeded, config)
    initial = start
    if config.overwrite != "none":
        refined = fine(on_grid(seed.values), correct.seed)
        margin = _margin(shares(refined), seeded)
        initial = overwrite_base(start, scored_labels(refined, seeded), margin, present, config)

    uss, wss = Features.of(uss_features), Features.of(wss_features)
    masks = first = pooled(initial)
    error, ratios = seed.marginal_error, class_marginal(first, present, config, prior)
    moved, intra = torch.zeros_like(error), seed  # until the first round
    seen = known = None
    for turn in range(config.rounds):
        if turn > 0:
            again = pooled(scored_labels(on_grid(intra.values), present))
            # A class that came out empty keeps the mask that it had: without a centroid it could never come back.
            masks = torch.where(again.sum(dim=2, keepdim=True) > 0, again, masks)
            before, ratios = ratios, class_marginal(masks, present, config, prior)
            moved = (ratios - before).abs().sum(dim=1)
        seen = centroid_heatmaps(uss, masks, config.centring, seen)
        known = centroid_heatmaps(wss, masks, config.centring, known)
        groups = correlated_groups(seen.pooled.centroids, present, config.tau)
        by_uss, by_wss = (stretched(one.scores) if config.stretch else one.scores for one in (seen, known))
        intra = intra_class(by_uss, by_wss, groups, ratios, present, config)
        error = torch.maximum(error, intra.marginal_error)
    inter = transported(by_uss, ratios, present, config)
    alike = by_uss.max(dim=1).indices == by_wss.max(dim=1).indices

    joined = on_grid(intra.values)
    if survey is not None:
        said = (survey * present[:, :, None, None]).flatten(2)
        joined = on_grid(join(intra.values, said, present, config))
    certain = resize(shares(joined), size)
    scores = shares(fine(joined, correct.final))
    mask, confidence = labels(scores, present), _margin(certain, present)
    return Rebalanced(
        activation=maps,
        base=start,
        seed=on_grid(seed.values),
        initial=on_grid(first),
        inter=on_grid(inter.values),
        intra=on_grid(intra.values),
        joined=joined,
        scores=scores,
        mask=mask,
        confidence=confidence,
        kept=_has_pixels(mask, present),
        quality=mask_quality(mask, confidence, on_grid(alike.unsqueeze(1))[:, 0], present),
        groups=groups,
        ratios=ratios,
        moved=moved,
        marginal_error=torch.maximum(error, inter.marginal_error),
        valid=present,
        order=torch.arange(classes, device=present.device).expand_as(present),
    )


def _has_pixels(mask: Tensor, valid: Tensor) -> Tensor:
    """Whether each class has any pixel of the mask (b, k)."""
    counts = torch.zeros(valid.shape, dtype=torch.int64, device=mask.device)
    return counts.scatter_add(1, mask.flatten(1), torch.ones_like(mask.flatten(1))) > 0


def _margin(scores: Tensor, valid: Tensor) -> Tensor:
    """Difference of the two highest scores, (b, h, w); 1 in images of one class."""
    if scores.shape[1] == 1:
        return torch.ones_like(scores[:, 0])
    best = scores.topk(2, dim=1).values
    alone = valid.sum(dim=1) == 1
    return torch.where(alone[:, None, None], 1, best[:, 0] - best[:, 1])


def _nearest(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """The mask at another size, as int64."""
    if mask.shape[-2:] == size:
        return mask.long()
    return interpolate(mask[:, None].float(), size, mode="nearest-exact")[:, 0].long()


def _check_counts(
    cams: Tensor,
    uss_features: Tensor,
    wss_features: Tensor,
    images: Tensor | None,
    base: Tensor | None,
    prior: Tensor | None,
) -> None:
    given = {"cams": cams, "uss_features": uss_features, "wss_features": wss_features, "images": images, "base": base}
    given["prior"] = prior
    counts = {name: len(value) for name, value in given.items() if value is not None}
    if len(set(counts.values())) > 1:
        raise ShapeError(f"all inputs must hold the same number of images; got {counts}")
    if cams.shape[1] == 0:
        raise ShapeError("cams hold no class; every image needs at least one tag")
    if len(cams) == 0:
        raise ShapeError("cams hold no image; leave an empty batch out")


def _check_classes(
    prior: Tensor | None,
    survey: Tensor | None,
    expected: tuple[int, int],
    grid: tuple[int, int],
    config: MethodConfig,
) -> None:
    if prior is not None and config.marginal != "prior":
        raise ConfigError(
            f"prior is given, but method.marginal is {config.marginal!r}, which does not use it; set it to 'prior', or "
            "leave prior out"
        )
    if prior is not None and prior.shape != expected:
        raise ShapeError(f"prior must be {expected} (images, classes), got {tuple(prior.shape)}")
    if survey is not None and survey.shape != (*expected, *grid):
        raise ShapeError(
            f"survey must be {(*expected, *grid)} (images, classes, the grid of uss_features), got "
            f"{tuple(survey.shape)}"
        )
