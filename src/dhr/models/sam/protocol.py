"""The protocol of networks that segment anything."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.prompts import Prompts, Proposals


@dataclass(frozen=True)
class Embedding:
    """Images as the network's decoder needs them. It is made once, for any number of prompts."""

    maps: tuple[Tensor, ...]
    """Maps of the images, each (b, ...), in half precision."""
    size: tuple[int, int]
    """Rows and columns of the images."""

    @property
    def bytes(self) -> int:
        """Bytes of its maps."""
        return sum(value.numel() * value.element_size() for value in self.maps)

    def one(self, index: int) -> "Embedding":
        """Return the embedding of one image of the batch; it holds no memory of the others."""
        return replace(self, maps=tuple(value[index : index + 1].clone() for value in self.maps))

    def to(self, device: torch.device) -> "Embedding":
        """Move it to a device."""
        return replace(self, maps=tuple(value.to(device) for value in self.maps))

    @staticmethod
    def together(parts: "list[Embedding]") -> "Embedding":
        """Join embeddings of images of one size."""
        return Embedding(
            tuple(torch.cat(maps) for maps in zip(*(part.maps for part in parts), strict=True)), parts[0].size
        )


@runtime_checkable
class Segmenter(Protocol):
    """Segments anything that a prompt points to. Images are embedded once; prompts are cheap."""

    def embed(self, images: Float[Tensor, "b 3 h w"]) -> Embedding:
        """Embed RGB images in 0..1."""
        ...

    def masks(self, embedding: Embedding, index: int, prompts: Prompts) -> Proposals:
        """Propose masks for the prompts of the image at ``index``."""
        ...
