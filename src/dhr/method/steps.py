"""The record of Steps 1 to 3, from the equations or from the authors' program."""

from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from dhr.method.held import Held


@dataclass(frozen=True)
class Steps:
    """The results of Steps 1 to 3 for a scene."""

    base: Int[Tensor, "b H W"]
    """M_base."""
    seed: Float[Tensor, "b k n"]
    """f_OT(A) * A (Eq. 2)."""
    initial: Float[Tensor, "b k n"]
    """M_init, as shares of the positions."""
    inter: Float[Tensor, "b k n"]
    """S_us' of the last round (Eq. 3)."""
    intra: Float[Tensor, "b k n"]
    """S_dhr of the last round (Eq. 4)."""
    alike: Bool[Tensor, "b n"]
    """Whether the USS and the WSS heatmaps name the same class."""
    groups: Bool[Tensor, "b k k"]
    """Super-classes."""
    ratios: Float[Tensor, "b k"]
    """q of the last round."""
    moved: Float[Tensor, " b"]
    """L1 distance of the last two q; 0 after one round."""
    marginal_error: Float[Tensor, " b"]
    """Largest error of the transports."""


@dataclass(frozen=True)
class Draft:
    """A batch after Steps 1 to 3. Masks follow from it, the survey and the boundary correction."""

    steps: Steps
    cams: Float[Tensor, "b k u v"]
    """A, in the order of ``steps``."""
    valid: Bool[Tensor, "b k"]
    """False for padding, in the order of ``steps``."""
    order: Int64[Tensor, "b k"]
    """The given classes in the order of ``steps`` (:mod:`dhr.method.order`)."""
    held: Held | None = None
    """Drawn parts, which the boundary correction keeps, in the order of ``steps``."""

    @property
    def size(self) -> tuple[int, int]:
        """Size of the masks."""
        return self.steps.base.shape[-2], self.steps.base.shape[-1]

    def exchanged(self, places: Int64[Tensor, "b k"]) -> "Draft":
        """Give each class the maps of the class at its place; Steps 1 to 3 do not depend on which class has which map.

        Args:
            places: for each given class the place of another one, or its own (:func:`dhr.method.swaps.exchange`).
        """
        return replace(self, order=places.gather(1, self.order))

    def maps(self, values: Float[Tensor, "b k n"]) -> Float[Tensor, "b k u v"]:
        """Return values of positions as maps on the grid."""
        return values.view(*values.shape[:2], *self.cams.shape[-2:])


def same_class(uss: Float[Tensor, "b k n"], wss: Float[Tensor, "b k n"]) -> Bool[Tensor, "b n"]:
    """Return whether two kinds of heatmaps have their maximum in the same class."""
    return uss.max(dim=1).indices == wss.max(dim=1).indices
