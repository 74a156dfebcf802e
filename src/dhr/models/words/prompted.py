"""The protocol of networks that are asked for one name at a time: an image is encoded once, for all names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from dhr.models.words.pixels import Pixels
from dhr.models.words.vocabulary import Vocabulary


@dataclass(frozen=True)
class Encoded:
    """Images as the network's decoder needs them."""

    maps: tuple[Tensor, ...]
    """Maps of the encoder, each (b, ...)."""
    features: Float[Tensor, "b d u v"]
    """Features of unit length at every position."""


@runtime_checkable
class Prompted(Protocol):
    """A network that is asked for names."""

    vocabulary: Vocabulary
    pixels: Pixels
    together: int
    """Names that it is asked for together."""

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Encode RGB images in 0..1 of any size; no gradient."""
        ...

    def ask(self, encoded: Encoded, index: int, names: Sequence[int]) -> Float[Tensor, "n p q"]:
        """Return the maps, 0..1, of some names of the vocabulary for the image at ``index``."""
        ...
