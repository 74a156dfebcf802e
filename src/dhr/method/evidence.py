"""Whether a source knows a class: two measurements without ground truth.

Both compare ranks. So they do not depend on the scale of the maps, nor on any rising function of them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

ENOUGH = 2.0
"""Standard errors above chance from which a measurement counts; chance alone reaches them once in 40 times."""

_SPREAD = 0.25
"""Standard deviation of the agreement that is assumed beside that of the photographs, which may be few."""


@dataclass(frozen=True)
class Measured:
    """A measurement by source and class: 0 is chance, 1 full; and how many standard errors it lies above chance."""

    value: Float[Tensor, "s c"]
    errors: Float[Tensor, "s c"]


def follows_tags(tagged: Float[Tensor, "s n"], others: Float[Tensor, "s m"]) -> tuple[Tensor, Tensor]:
    r"""Compare the peaks of a class's maps in photographs with its tag and without it (Mann and Whitney 1947).

    .. math:: 2 P(\text{peak with the tag} > \text{peak without it}) - 1

    Args:
        tagged: peaks in the photographs with the tag.
        others: peaks in photographs without it; NaN where a source has no map.

    Returns:
        The value and its standard errors above chance, by source; 0 and NaN without peaks of other photographs.

    >>> [float(one) for one in follows_tags(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 2.0]]))]
    [1.0, 1.5491933822631836]
    """
    with_tag, without = (one.isfinite().sum(dim=1) for one in (tagged, others))
    pairs = (with_tag * without).clamp_min(1)
    wins = (tagged.unsqueeze(2) - others.unsqueeze(1)).sign().nan_to_num(0).sum(dim=(1, 2)) / pairs
    errors = wins / ((with_tag + without + 1) / (3 * pairs)).sqrt()
    return wins, torch.where(without > 0, errors, torch.nan)


def agreement(maps: Float[Tensor, "s n"], label: Float[Tensor, "*s n"]) -> Float[Tensor, " s"]:
    r"""Compare the values of a map in cells of the class with those in other cells of the same photograph.

    .. math:: 2 P(\text{value in the class} > \text{value elsewhere}) - 1

    Args:
        maps: of one class in one photograph, by source.
        label: share of each cell that belongs to the class by the other evidence, not 0 or 1 everywhere; one for all
            sources, or one for each.

    >>> agreement(torch.tensor([[0.0, 5.0, 9.0, 1.0]]), torch.tensor([0.0, 1.0, 1.0, 0.0]))
    tensor([1.])
    """
    ranked = ranks(maps)
    inside, outside = (one / one.sum(dim=-1, keepdim=True) for one in (label, 1 - label))
    return 2 * (ranked * (inside - outside)).sum(dim=-1)


def ranks(values: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
    """Return the share of the values that lie below each value; of equal ones half counts.

    >>> ranks(torch.tensor([5.0, 1.0, 5.0, 9.0]))
    tensor([0.5000, 0.1250, 0.5000, 0.8750])
    """
    ordered, values = values.sort(dim=-1).values, values.contiguous()
    below, upto = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (below + upto).to(values.dtype) / (2 * values.shape[-1])


def mean_agreement(values: Float[Tensor, "p s"]) -> tuple[Float[Tensor, " s"], Float[Tensor, " s"]]:
    """Return the mean over photographs, and its standard errors above chance; both 0 without photographs.

    >>> mean_agreement(torch.tensor([[0.4], [0.6]]))
    (tensor([0.5000]), tensor([1.9245]))
    """
    count = len(values)
    if not count:
        return torch.zeros(values.shape[1]), torch.zeros(values.shape[1])
    mean = values.mean(dim=0)
    spread = (((values - mean) ** 2).sum(dim=0) + (2 * _SPREAD) ** 2) / count
    return mean, mean / (spread / count).sqrt()
