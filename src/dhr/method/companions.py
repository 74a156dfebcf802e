"""Classes that are nearly always tagged together, and the photographs that show one without the other.

A classifier of tags cannot tell such classes apart, and the rounds of a survey may drift: one class takes all that both
have, and the other one takes what is left. Only the few photographs without its companion show what a class looks like.
So they count more in the first rounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dhr.method.swaps import FEWEST, JOINT

# Chosen on the validation splits of MSRC v2 and overhead, and on half of COCO's photographs (docs/method.md).
_POWER, _MOST = 1.5, 40.0
ROUNDS = 2
"""First rounds of a survey in which these weights count. Later all photographs count alike."""


@dataclass(frozen=True)
class Companions:
    """How much the photographs of a data set count for their classes."""

    weights: Float[Tensor, "c c"]
    """Weight of a class (row) in a photograph without a companion (column); 0 where too few photographs
    show it."""

    @staticmethod
    def of(tags: Iterable[Int[Tensor, " _"]], classes: int) -> "Companions":
        r"""Count the photographs in which classes are together and apart.

        .. math:: w_{cd} = \min(40, (n_{cd} / (n_c - n_{cd}))^{3/2})

        with :math:`n_c` the photographs with class c, and :math:`n_{cd}` those with both. If fewer than
        :data:`~dhr.method.swaps.JOINT` have both, or fewer than :data:`~dhr.method.swaps.FEWEST` have c without d, the
        weight is 0.

        Args:
            tags: ids of the classes of each photograph.
            classes: number of classes of the data set.
        """
        together = torch.zeros(classes, classes)
        for ids in tags:
            together[ids[:, None], ids] += 1
        apart = together.diagonal().unsqueeze(1) - together
        ratio = (together / apart.clamp_min(1)) ** _POWER
        shown = (together >= JOINT) & (apart >= FEWEST)
        return Companions(torch.where(shown, ratio.clamp_max(_MOST), 0))

    def __call__(self, ids: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Return the weight of each class of a photograph: that of its most frequent companion that is missing, at
        least 1.

        >>> tags = [torch.tensor([0, 1])] * 12 + [torch.tensor([1])] * 3
        >>> weights = Companions.of(tags, 2)
        >>> weights(torch.tensor([0, 1])).tolist(), weights(torch.tensor([1])).tolist()
        ([1.0, 1.0], [8.0])
        """
        ids = ids.to(self.weights.device)
        return self.weights[ids].index_fill(1, ids, 0).amax(dim=1).clamp_min(1)
