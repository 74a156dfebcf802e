"""Classes that are nearly always tagged together, and the photographs that show one without the other.

A classifier of tags cannot tell such classes apart, and the rounds of a survey may drift: one class takes all that both
have, and the other one takes what is left. A photograph with one of them shows what that class looks like. So such
photographs count more in the first rounds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dhr.method.cells import SurveyCells

# MSRC v2 train with three classifiers needs the power and the limit; MSRC v2 val, overhead val and half of COCO's
# photographs chose the number of rounds (docs/method.md).
_POWER, _MOST = 1.5, 40.0
_JOINT, _FEWEST = 12, 3  # photographs with both classes, and with one of them: fewer show too little

ROUNDS = 2
"""First rounds of a survey in which these weights count, at most. In the last round all photographs count alike."""


@dataclass(frozen=True)
class Companions:
    """How much the photographs of a data set count for their classes."""

    weights: Float[Tensor, "c c"]
    """Weight of a class (row) in a photograph without a companion (column); 0 for pairs that do not count. Values below
    1 count as 1."""

    @staticmethod
    def of(photographs: Iterable[SurveyCells], classes: int) -> "Companions":
        r"""Count the photographs in which classes are together and apart.

        .. math:: w_{cd} = \min(40, (\frac{n_{cd}}{n_c - n_{cd}} / \max(1, \frac{n_d}{n - n_d}))^{3/2})

        with n photographs, :math:`n_c` of them with class c, and :math:`n_{cd}` with both c and d. So a class that most
        photographs have is no companion of all others. A certain photograph shows its classes apart, although it has
        both. Pairs with fewer than 12 photographs together, or fewer than 3 with c apart from d, do not count.

        Args:
            photographs: cells of each.
            classes: number of classes of the data set.
        """
        together, counts, total = torch.zeros(classes, classes), torch.zeros(classes), 0
        for seen in photographs:
            ids, total = seen.ids.cpu().long(), total + 1
            counts[ids] += 1
            if not seen.certain:
                together[ids[:, None], ids] += 1
        together.fill_diagonal_(0)
        apart = counts.unsqueeze(1) - together
        usual = (counts / (total - counts).clamp_min(1)).clamp_min(1)
        ratio = (together / apart.clamp_min(1) / usual) ** _POWER
        return Companions(torch.where((together >= _JOINT) & (apart >= _FEWEST), ratio.clamp_max(_MOST), 0))

    @property
    def any(self) -> bool:
        """Whether any weight is above 1."""
        return bool((self.weights > 1).any())

    def __call__(self, ids: Int64[Tensor, " k"]) -> Float[Tensor, " k"]:
        """Return the weight of each class of a photograph, by the missing companion with the largest weight; at least
        1. In a photograph with a single class all have 1: its cells count most as they are.

        >>> weights = Companions(torch.tensor([[0.0, 8.0, 0.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
        >>> [weights(torch.tensor(ids)).tolist() for ids in ([0, 1], [0, 2], [0])]
        [[1.0, 1.0], [8.0, 1.0], [1.0]]
        """
        ids = ids.to(self.weights.device)
        if len(ids) < 2:
            return torch.ones(len(ids), device=ids.device)
        return self.weights[ids].index_fill(1, ids, 0).amax(dim=1).clamp_min(1)
