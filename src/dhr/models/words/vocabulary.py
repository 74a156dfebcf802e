"""The distinct names of all classes, and the maps of classes from those of names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from dhr.models.words.texts import Word, sentences


@dataclass(frozen=True)
class Vocabulary:
    """The distinct names of classes, so that a network is asked for each once."""

    names: tuple[str, ...]
    asked: tuple[tuple[int, ...], ...]
    """For each class, the indices of its names."""
    negatives: tuple[tuple[int, ...], ...]
    """For each class, the indices of the names of things that are taken for it."""

    @staticmethod
    def of(words: Sequence[Word]) -> "Vocabulary":
        """Collect the names of classes.

        >>> Vocabulary.of([Word("a", ("cat", "dog")), Word("b", ("dog",), ("fox",))])
        Vocabulary(names=('cat', 'dog', 'fox'), asked=((0, 1), (1,)), negatives=((), (2,)))
        """
        names = tuple(dict.fromkeys(name for word in words for name in (*word.names, *word.negatives)))
        places = {name: index for index, name in enumerate(names)}
        asked = tuple(tuple(places[name] for name in word.names) for word in words)
        return Vocabulary(names, asked, tuple(tuple(places[name] for name in word.negatives) for word in words))

    def needed(self, classes: Sequence[int]) -> list[int]:
        """Return the indices of all names that the maps of some classes need."""
        return sorted({index for one in classes for index in (*self.asked[one], *self.negatives[one])})

    def joined(
        self, maps: Float[Tensor, "b t u v"], needed: Sequence[int], classes: Sequence[int]
    ) -> Float[Tensor, "b c u v"]:
        """Return the maps of classes: the highest of their names, less what other things have above 0.

        Args:
            maps: those of the names ``needed``.
            needed: see :meth:`needed`.
            classes: the classes.
        """
        places = {index: place for place, index in enumerate(needed)}

        def highest(names: Sequence[int]) -> Tensor:
            found = maps[:, places[names[0]]]
            for index in names[1:]:
                found = torch.maximum(found, maps[:, places[index]])
            return found

        found = []
        for one in classes:
            own = highest(self.asked[one])
            others = self.negatives[one]
            found.append(own - highest(others).relu() if others else own)
        return torch.stack(found, dim=1) if found else maps[:, :0]


def averaged(
    names: Sequence[str], prompts: Sequence[str], embed: Callable[[str], Float[Tensor, "1 d"]]
) -> Float[Tensor, "n d"]:
    """Return the embeddings of names: of unit length in each sentence, averaged over the sentences, of unit length."""
    means = [torch.stack([normalize(embed(text)) for text in sentences(name, prompts)]).mean(dim=0) for name in names]
    return normalize(torch.cat(means))
