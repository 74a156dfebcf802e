"""Frozen records that pass between the stages."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Rebalanced:
    """What :func:`dhr.rebalance` made of a batch, every step of it.

    B images; K classes of an image, padded to the batch's most (index 0 is the background where there is one); u x v
    the grid of the features; H x W the size of the photographs, or of the grid where none were given. Labels count the
    classes of each image, 0..K-1, in the order of ``cams``, after the background.
    """

    activation: Float[Tensor, "b k u v"]
    """A: the CAMs, each divided by its maximum, 0..1; the background's score where there is one."""
    base: Int[Tensor, "b H W"]
    """M_base, the mask that the method starts from."""
    seed: Float[Tensor, "b k u v"]
    """Step 1: f_OT(A) * A (Eq. 2)."""
    initial: Float[Tensor, "b k u v"]
    """M_init: share of each cell that each class has once the seeds were written over M_base."""
    inter: Float[Tensor, "b k u v"]
    """Step 2: scores from USS features (Eq. 3)."""
    intra: Float[Tensor, "b k u v"]
    """Step 3: S_dhr, scores from USS and WSS features (Eq. 4)."""
    joined: Float[Tensor, "b k u v"]
    """Step 3's scores joined with the survey of the data set, where one was given: shares then, else S_dhr itself."""
    scores: Float[Tensor, "b k H W"]
    """R_c(S_dhr): after the boundary correction, summing to one over the classes (Eq. 5)."""
    mask: Int[Tensor, "b H W"]
    """M_dhr: the class of the highest score; where several are highest, or none scores, the first in ``order``."""
    confidence: Float[Tensor, "b H W"]
    """Margin between the two best classes of S_dhr over its sum, 0..1; 1 where there is one class only. Taken before
    the boundary correction, after which almost every pixel looks certain."""
    kept: Bool[Tensor, "b k"]
    """Whether a class has any pixel of the mask. A tagged class that has none has vanished."""
    quality: Float[Tensor, " b"]
    """How far each mask can be trusted, 0..1: puts masks in the order in which to look at them."""
    groups: Bool[Tensor, "b k k"]
    """Whether two classes look alike to the USS features (super-classes, Eq. 4)."""
    ratios: Float[Tensor, "b k"]
    """Class marginal that the last transport was given: share of the image of each class, summing to one."""
    moved: Float[Tensor, " b"]
    """How far the class marginal moved from the last round but one to the last (L1): near 0 once it has settled."""
    marginal_error: Float[Tensor, " b"]
    """Largest L1 distance, over the transports, between the marginal asked for and the one reached."""
    valid: Bool[Tensor, "b k"]
    """False for padding."""
    order: Int[Tensor, "b k"]
    """The classes by their claim to pixels of equal scores: the background, then those of the largest sum of A."""
