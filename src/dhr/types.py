"""Frozen records that pass between the stages."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, repr=False)
class Rebalanced:
    """The result of :func:`dhr.rebalance` for a batch, with every step.

    B images; K classes per image, padded to the largest number (index 0 is the background where there is one); u x v
    the grid of the features; H x W the size of the images, or of the grid without images. Labels count the classes of
    each image, 0..K-1, in the order of ``cams``, after the background.
    """

    activation: Float[Tensor, "b k u v"]
    """A: the CAMs, each divided by its maximum, 0..1; the background's score where there is one."""
    base: Int[Tensor, "b H W"]
    """M_base, the mask that the method starts from."""
    seed: Float[Tensor, "b k u v"]
    """Step 1: f_OT(A) * A (Eq. 2)."""
    initial: Float[Tensor, "b k u v"]
    """M_init: share of each cell that each class covers after seeds have overwritten M_base."""
    inter: Float[Tensor, "b k u v"]
    """Step 2: scores from USS features (Eq. 3)."""
    intra: Float[Tensor, "b k u v"]
    """Step 3: S_dhr, scores from USS and WSS features (Eq. 4)."""
    joined: Float[Tensor, "b k u v"]
    """The scores of Step 3 joined with the survey, as shares; without a survey S_dhr itself."""
    scores: Float[Tensor, "b k H W"]
    """R_c(S_dhr): after the boundary correction, summing to one over the classes (Eq. 5)."""
    mask: Int[Tensor, "b H W"]
    """M_dhr: the class of the highest score, of equal scores the first in ``order``."""
    confidence: Float[Tensor, "b H W"]
    """Margin between the two best classes of S_dhr over its sum, 0..1; 1 with a single class. It is taken before the
    boundary correction, after which almost every pixel looks certain."""
    kept: Bool[Tensor, "b k"]
    """Whether a class has any pixel of the mask. A tagged class without pixels has vanished."""
    quality: Float[Tensor, " b"]
    """How far each mask can be trusted, 0..1; review masks in this order."""
    groups: Bool[Tensor, "b k k"]
    """Whether two classes look alike to the USS features (super-classes, Eq. 4)."""
    ratios: Float[Tensor, "b k"]
    """Class marginal of the last transport: share of the image for each class, summing to one."""
    moved: Float[Tensor, " b"]
    """L1 distance of the class marginals of the last two rounds; near 0 once they have settled."""
    marginal_error: Float[Tensor, " b"]
    """Largest L1 distance, over the transports, between the given class marginal and the one reached."""
    valid: Bool[Tensor, "b k"]
    """False for padding."""
    order: Int[Tensor, "b k"]
    """The classes in the order in which they get pixels of equal scores: the background, then by the sum of A."""

    def __repr__(self) -> str:
        b, k = self.valid.shape
        u, v = self.activation.shape[-2:]
        height, width = self.mask.shape[-2:]
        kind = f"{str(self.scores.dtype).removeprefix('torch.')} on {self.scores.device}"
        return f"Rebalanced({b} mask{'s' * (b != 1)} of {height} x {width}, up to {k} classes, grid {u} x {v}, {kind})"
