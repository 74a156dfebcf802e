"""Prompts for networks that segment anything, and their answers."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Prompts:
    """Prompts for one image. Each asks for one thing, by all that is given; one kind is given at least."""

    points: Float[Tensor, "p n 2"] | None = None
    """Column and row of pixels of the image; the same number for each prompt."""
    labels: Int[Tensor, "p n"] | None = None
    """1 for points on the thing, 0 for points beside it."""
    boxes: Float[Tensor, "p 4"] | None = None
    """Left, top, right and bottom in pixels of the image."""
    low: Float[Tensor, "p u v"] | None = None
    """Logits of a coarse mask of the whole image, on a grid of any size."""


@dataclass(frozen=True)
class Proposals:
    """Masks that a network proposes for the prompts of one image."""

    logits: Float[Tensor, "p m u v"]
    """Masks, above 0 inside, on a grid that covers the whole image."""
    scores: Float[Tensor, "p m"]
    """The IoU that the network expects of each mask."""


@runtime_checkable
class Propose(Protocol):
    """Proposes masks for one image of a batch, whose embedding is known."""

    def __call__(self, index: int, prompts: Prompts) -> Proposals:
        """Return the proposals for the prompts of the image at ``index``."""
        ...
