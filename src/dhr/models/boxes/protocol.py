"""The protocol of detectors that are asked for names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dhr.models.pretrained import Place
from dhr.models.words.texts import phrase, sentences
from dhr.models.words.vocabulary import Vocabulary

Encoded = tuple[Tensor, ...]
"""Images of one size as a detector's decoder needs them, each (b, ...)."""


@dataclass(frozen=True)
class Boxes:
    """Boxes for some texts in one image."""

    corners: Float[Tensor, "n q 4"]
    """Left, top, right and bottom, as shares of the width and the height; they may lie outside 0..1."""
    scores: Float[Tensor, "n q"]
    """0..1."""

    def best(self, count: int) -> "Boxes":
        """Return the boxes with the highest scores of each text."""
        found = self.scores.topk(min(count, self.scores.shape[1]), dim=1)
        return Boxes(self.corners.gather(1, found.indices.unsqueeze(2).expand(-1, -1, 4)), found.values)


@runtime_checkable
class Detector(Protocol):
    """Finds boxes. Each name is a prompt of its own, because names that are asked for together merge."""

    texts: "Texts"
    together: int
    """Texts that it is asked for together, each by itself."""

    def encode(self, images: Float[Tensor, "b 3 h w"]) -> Encoded:
        """Encode RGB images in 0..1, once for all texts; no gradient."""
        ...

    def ask(self, encoded: Encoded, index: int, texts: Sequence[int]) -> Boxes:
        """Return the boxes for some texts in the image at ``index``."""
        ...


@dataclass(frozen=True)
class Texts:
    """What a detector is asked for: each name of the vocabulary in each sentence."""

    vocabulary: Vocabulary
    whole: tuple[str, ...]
    """The sentences of the first name, then those of the next one."""
    each: int
    """Sentences per name."""

    @staticmethod
    def of(vocabulary: Vocabulary, prompts: Sequence[str]) -> "Texts":
        """Put all names, without separators, into the sentences.

        Raises:
            ConfigError: a name consists of separators.
        """
        whole = tuple(text for name in vocabulary.names for text in sentences(phrase(name), prompts))
        return Texts(vocabulary, whole, len(prompts))

    def of_names(self, names: Sequence[int]) -> list[int]:
        """Return the indices of the texts of some names."""
        return [name * self.each + place for name in names for place in range(self.each)]


def corners_of(centres: Float[Tensor, "*s 4"]) -> Float[Tensor, "*s 4"]:
    """Return left, top, right and bottom of boxes that are given by their middle and their size.

    >>> corners_of(torch.tensor([0.5, 0.5, 0.25, 0.5])).tolist()
    [0.375, 0.25, 0.625, 0.75]
    """
    middle, half = centres[..., :2], centres[..., 2:] / 2
    return torch.cat([middle - half, middle + half], dim=-1)


@dataclass(frozen=True)
class Prepared:
    """The processor of a detector's images."""

    processor: Any

    def __call__(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 _ _"]:
        """Resize and scale RGB images in 0..1."""
        made = self.processor(
            images=[*images.float()], do_rescale=False, input_data_format="channels_first", return_tensors="pt"
        )
        pixels: Tensor = made["pixel_values"]
        return pixels.to(images.device)


def read_processor(transformers: Any, place: Place) -> Prepared:
    """Read how a detector's images are prepared.

    Raises:
        WeightsError: the file on it is missing.
    """
    asked = place.asked
    return Prepared(place.had(lambda: transformers.AutoImageProcessor.from_pretrained(place.name, **asked)))
