"""A batch as it is given, and as Steps 1 to 3 use it: on the grid of the USS features, its classes in a fixed order."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int, Int64, Integer
from torch import Tensor
from torch.nn.functional import interpolate

from dhr.errors import ConfigError, ShapeError
from dhr.method.base import NOTHING, add_background, normalise_cams, on_one_scale, scored_labels
from dhr.method.config import MethodConfig
from dhr.method.heatmaps import Features, Heatmaps, centroid_heatmaps
from dhr.method.held import Held, fixed
from dhr.method.order import class_order, take_classes, take_labels
from dhr.ops.upsample import area_average, resize


@dataclass(frozen=True)
class Batch:
    """All inputs for b images with up to k tagged classes each; grids and sizes may differ."""

    cams: Float[Tensor, "b k _ _"]
    """A, one map per tagged class; any scale, negative values count as 0."""
    uss_features: Float[Tensor, "b d _ _"]
    """F_us, unsupervised features (DINO and the like). The method works on their grid."""
    wss_features: Float[Tensor, "b e _ _"]
    """F_ws, features of the network that made the CAMs."""
    images: Float[Tensor, "b 3 _ _"] | None = None
    """RGB, 0..1. Masks get their size and follow their edges; without images, masks are on the grid, and R_c is left
    out."""
    valid: Bool[Tensor, "b k"] | None = None
    """False where ``cams`` is padding. Every image needs at least one class."""
    base: Integer[Tensor, "b _ _"] | None = None
    """M_base of another method: labels 0..k-1, with ``background`` 0..k with 0 the background; other labels are void.
    Without it, M_base is R_c(A)."""
    edges: Float[Tensor, "b 1 _ _"] | None = None
    """Probability of a class boundary, for the random walk (IRN)."""
    background: bool = False
    """Whether there is a background class. It has no CAM, gets a score by ``config.background_level``, and becomes
    class 0."""
    prior: Float[Tensor, "b _"] | None = None
    """For ``config.marginal`` `prior`: share of the image that each class covers, in any unit; with ``background``, the
    background's first."""
    survey: Float[Tensor, "b _ _ _"] | None = None
    """P, shares of the classes in each cell of the grid by a survey of the data set
    (:class:`dhr.method.survey.Survey`), all 0 where they are unknown; with ``background``, the background's first. They
    are joined with Step 3 with the weight ``config.survey``, see :meth:`~dhr.method.survey.Survey.weighed`.
    """
    held: Float[Tensor, "b _ _ _"] | None = None
    """Share of each pixel that a person has drawn as each class, on a grid of its own, at most 1 in sum over the
    classes; with ``background``, the background's first. Drawn pixels are held fixed (:mod:`dhr.method.held`)."""

    @property
    def size(self) -> tuple[int, int]:
        """Size of the masks: that of the images, or of the grid."""
        shape = (self.uss_features if self.images is None else self.images).shape
        return shape[-2], shape[-1]


@dataclass(frozen=True)
class Scene:
    """A batch on the grid of the USS features, with the background among its classes.

    b images, k classes, padded; n positions of the u x v grid; H x W the size of the masks.
    """

    cams: Float[Tensor, "b k u v"]
    """A, each map in 0..1; the background's score where there is one."""
    valid: Bool[Tensor, "b k"]
    """False for padding."""
    uss: Features
    wss: Features
    size: tuple[int, int]
    """Size of the masks: that of the images, or of the grid."""
    background: bool
    base: Int[Tensor, "b H W"] | None
    prior: Float[Tensor, "b k"] | None
    held: Held | None = None
    """The drawn parts; ``cams`` have them already."""

    @property
    def drawn(self) -> Float[Tensor, "b k"] | None:
        """Share of the image that was drawn for each class."""
        return None if self.held is None else self.held.shares

    def fixed(self, values: Float[Tensor, "b k n"]) -> Float[Tensor, "b k n"]:
        """Return values of positions with the drawn parts in their place."""
        return fixed(values, None if self.held is None else self.held.cells)

    def heatmaps(self, features: Features, masks: Float[Tensor, "b k n"], centring: float = 0.0) -> Heatmaps:
        """Return centroids of ``masks`` and their heatmaps, certain where something is drawn."""
        found = centroid_heatmaps(features, masks, centring)
        return replace(found, scores=self.fixed(found.scores))

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the grid."""
        return self.cams.shape[-2], self.cams.shape[-1]

    def maps(self, values: Float[Tensor, "b k n"]) -> Float[Tensor, "b k u v"]:
        """Return values of positions as maps on the grid."""
        return values.view(*values.shape[:2], *self.grid)

    def cells(self, mask: Int[Tensor, "b h w"]) -> Float[Tensor, "b k n"]:
        """Return the share of each cell of the grid that each class of a mask covers; void has no share."""
        ids = torch.arange(self.valid.shape[1], device=mask.device, dtype=mask.dtype).view(1, -1, 1, 1)
        covered = area_average((mask.unsqueeze(1) == ids).to(self.cams.dtype), self.grid)  # (b, k, u, v)
        return covered.flatten(2)

    def cells_of(self, scores: Float[Tensor, "b k n"], valid: Bool[Tensor, "b k"]) -> Float[Tensor, "b k n"]:
        """Return shares of each cell: all of it belongs to the class of its highest score."""
        return self.cells(scored_labels(self.maps(scores), valid))


def make_scene(batch: Batch, config: MethodConfig) -> tuple[Scene, Int64[Tensor, "b k"]]:
    """Return the batch on the grid of its USS features, and the order of its classes there (:mod:`dhr.method.order`).

    Raises:
        ShapeError: the inputs do not fit together.
        ConfigError: a prior is given that ``config.marginal`` does not use.
    """
    uss, wss, background = batch.uss_features, batch.wss_features, batch.background
    _check_counts(batch)
    grid, size = (uss.shape[-2], uss.shape[-1]), batch.size
    _check_classes(batch, grid, config)
    valid = torch.ones_like(batch.cams[:, :, 0, 0], dtype=torch.bool) if batch.valid is None else batch.valid
    cams = normalise_cams(resize(on_one_scale(batch.cams), grid), valid)
    if background:
        cams, valid = add_background(cams, valid, config.background_level)
    base = None if batch.base is None else nearest(batch.base, size)
    order = class_order(cams, valid, background, base, batch.prior, batch.survey, batch.held)
    cams = take_classes(cams, order)
    present, features = take_classes(valid, order), (Features.of(uss), Features.of(resize(wss, grid)))
    held = None
    if batch.held is not None:
        held = Held.of(take_classes(batch.held, order), present, (grid, size), features, config.uss_weight)
        cams = fixed(cams, held.cells.view_as(cams))
    scene = Scene(
        cams=cams,
        valid=present,
        uss=features[0],
        wss=features[1],
        size=size,
        background=background,
        base=None if base is None else take_labels(base, order.argsort(dim=1).masked_fill(~valid, NOTHING)),
        prior=None if batch.prior is None else take_classes(batch.prior, order),
        held=held,
    )
    return scene, order


def nearest(mask: Integer[Tensor, "b _ _"], size: tuple[int, int]) -> Int64[Tensor, "b h w"]:
    """Resize the mask by the nearest pixel."""
    if mask.shape[-2:] == size:
        return mask.long()
    return interpolate(mask[:, None].float(), size, mode="nearest-exact")[:, 0].long()


def _check_counts(batch: Batch) -> None:
    names = ("cams", "uss_features", "wss_features", "images", "base", "prior", "held")
    counts = {name: len(value) for name in names if (value := getattr(batch, name)) is not None}
    if len(set(counts.values())) > 1:
        raise ShapeError(f"all inputs must hold the same number of images; got {counts}")
    if batch.cams.shape[1] == 0:
        raise ShapeError("cams hold no class; every image needs at least one tag")
    if len(batch.cams) == 0:
        raise ShapeError("cams hold no image; leave an empty batch out")


def _check_classes(batch: Batch, grid: tuple[int, int], config: MethodConfig) -> None:
    prior, survey, held = batch.prior, batch.survey, batch.held
    expected = (batch.cams.shape[0], batch.cams.shape[1] + batch.background)
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
    if held is not None and held.shape[:2] != expected:
        raise ShapeError(f"held must be {expected} (images, classes), rows and columns, got {tuple(held.shape)}")
