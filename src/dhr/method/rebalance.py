"""The method: Steps 1 to 3 and the boundary, on a batch (paper, Section 3.2)."""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.errors import ShapeError
from dhr.method.base import add_background, labels, normalise_cams, scored_labels, soft_masks
from dhr.method.boundary import Guide, Refine, Refiners
from dhr.method.config import BOUNDARY, PRESETS, BoundaryConfig, MethodConfig
from dhr.method.heatmaps import Features, centroid_heatmaps
from dhr.method.inter import Scores, transported
from dhr.method.intra import intra_class
from dhr.method.seeds import class_marginal, overwrite_base
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
    config: MethodConfig = PRESETS["default"],
    boundary: BoundaryConfig = BOUNDARY,
) -> Rebalanced:
    """Masks from CAMs and two kinds of features: Steps 1 to 3 and the boundary correction.

    It knows nothing of files, models or training, and runs where its inputs are. All is computed on the grid of
    ``uss_features``; CAMs and WSS features are resampled to it.

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
        config: a preset, or one's own settings.
        boundary: R_c.

    Raises:
        ShapeError: the inputs do not fit together.
    """
    b, k, *_ = cams.shape
    present = torch.ones(b, k, dtype=torch.bool, device=cams.device) if valid is None else valid
    _check(cams, uss_features, wss_features, images, base)
    grid = (uss_features.shape[-2], uss_features.shape[-1])
    maps = normalise_cams(resize(cams, grid), present)
    if background:
        maps, present = add_background(maps, present, config)
    classes = present.shape[1]
    size = grid if images is None else (images.shape[-2], images.shape[-1])

    correct = Refiners.of(boundary, Guide(uss_features, edges))

    def fine(scores: Tensor, refine: Refine) -> Tensor:
        resized = resize(scores, size)
        return resized if images is None else refine(images, resized)

    def on_grid(flat: Tensor) -> Tensor:
        return flat.view(*flat.shape[:2], *grid)  # (b, k, n) -> (b, k, u, v)

    def pooled(mask: Tensor) -> Tensor:
        return soft_masks(mask, classes, grid, maps.dtype).flatten(2)  # (b, k, n)

    # Eq. 1, with the CAMs themselves as the propagated seeds.
    start = scored_labels(fine(maps, correct.base), present) if base is None else _nearest(base, size)
    # The base mask may have lost a class; the CAMs know its share.
    ratios = class_marginal(pooled(scored_labels(maps, present)), present, config)
    seed = transported(maps.flatten(2), ratios, present, config.eps)
    initial = start
    if config.overwrite != "none":
        seeds = scored_labels(fine(on_grid(seed.values), correct.seed), present)
        initial = overwrite_base(start, seeds, present, config)

    uss, wss = Features.of(uss_features), Features.of(resize(wss_features, grid))
    masks = first = pooled(initial)
    error = seed.marginal_error
    for turn in range(config.rounds):
        if turn > 0:
            again = pooled(labels(on_grid(intra.values), present))
            # A class that came out empty keeps the mask that it had: without a centroid it could never come back.
            masks = torch.where(again.sum(dim=2, keepdim=True) > 0, again, masks)
        ratios = class_marginal(masks, present, config)
        seen, known = centroid_heatmaps(uss, masks), centroid_heatmaps(wss, masks)
        groups = correlated_groups(seen.centroids, present, config.tau)
        intra: Scores = intra_class(seen.scores, known.scores, groups, ratios, present, config)
        error = torch.maximum(error, intra.marginal_error)
    inter = transported(seen.scores, ratios, present, config.eps)

    certain = resize(_shares(on_grid(intra.values)), size)
    scores = _shares(fine(on_grid(intra.values), correct.final))
    return Rebalanced(
        activation=maps,
        base=start,
        seed=on_grid(seed.values),
        initial=on_grid(first),
        inter=on_grid(inter.values),
        intra=on_grid(intra.values),
        scores=scores,
        mask=labels(scores, present),
        confidence=_margin(certain, present),
        groups=groups,
        ratios=ratios,
        marginal_error=torch.maximum(error, inter.marginal_error),
        valid=present,
    )


def _shares(scores: Tensor) -> Tensor:
    """Scores over their sum over the classes."""
    return scores / scores.sum(dim=1, keepdim=True).clamp_min(1e-12)


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


def _check(
    cams: Tensor, uss_features: Tensor, wss_features: Tensor, images: Tensor | None, base: Tensor | None
) -> None:
    given = {"cams": cams, "uss_features": uss_features, "wss_features": wss_features, "images": images, "base": base}
    counts = {name: len(value) for name, value in given.items() if value is not None}
    if len(set(counts.values())) > 1:
        raise ShapeError(f"all inputs must hold the same number of images; got {counts}")
    if cams.shape[1] == 0:
        raise ShapeError("cams hold no class; every image needs at least one tag")
