"""The calibration: it makes the maps of several sources comparable, and joins them.

The values of a class's map have another scale in every source, and in every class. So a value counts as evidence by
what it has meant over the data set: the logarithm of how much likelier it is in cells of the class than in other cells.
:mod:`dhr.method.calibrate` learns it without ground truth.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

KNOTS = 33
"""Values of a class's maps at which the evidence is learned; between them it is linear."""


@dataclass(frozen=True)
class Calibration:
    """What the values of each class's map mean, by source."""

    knots: Float[Tensor, "s c q"]
    """Values of the maps at equal steps of their distribution over the data set, rising."""
    ratios: Float[Tensor, "s c q"]
    """Logarithm of the likelihood ratio at each knot, rising; 0 everywhere for a class without evidence."""
    weights: Float[Tensor, "s c"]
    """1 if the source counts for the class, else 0."""

    def to(self, device: torch.device) -> "Calibration":
        """Move the calibration to a device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})

    def evidence(self, maps: Float[Tensor, "b s k n"], ids: Int[Tensor, "b k"]) -> Float[Tensor, "b s k n"]:
        """Return the logarithm of the likelihood ratio of each value, by source, times the weight; NaN stays NaN."""
        finite = maps.isfinite()
        maps = torch.where(finite, maps, 0)
        ratios = self.ratios[:, ids].transpose(0, 1)  # (b, s, k, q)
        at = places(maps, self.knots[:, ids].transpose(0, 1))
        low = at.floor().long().clamp_max(ratios.shape[-1] - 2)
        first, second = ratios.gather(-1, low), ratios.gather(-1, low + 1)
        found = (first + (at - low) * (second - first)) * self.weights[:, ids].transpose(0, 1).unsqueeze(-1)
        return torch.where(finite, found, torch.nan)

    def __call__(
        self, maps: Float[Tensor, "b s k n"], ids: Int[Tensor, "b k"], valid: Bool[Tensor, "b k"], background: bool
    ) -> Float[Tensor, "b _ n"]:
        """Join the maps of all sources: see :func:`posterior`."""
        return posterior(self.evidence(maps, ids).sum(dim=1), valid, background)


def posterior(evidence: Float[Tensor, "b k n"], valid: Bool[Tensor, "b k"], background: bool) -> Float[Tensor, "b _ n"]:
    r"""Return the probability of each tag in each cell, if all are as likely before the evidence; 0 for padding.

    .. math:: P_k = \frac{e^{z_k}}{\sum_l e^{z_l}}

    with z the sum of the evidence. A background comes first; its evidence is 0.

    >>> posterior(torch.tensor([[[0.0, 2.0], [0.0, 0.0]]]), torch.ones(1, 2, dtype=torch.bool), False)[0, 0]
    tensor([0.5000, 0.8808])
    """
    masked = evidence.masked_fill(~valid.unsqueeze(-1), -torch.inf)
    if background:
        masked = torch.cat([torch.zeros_like(masked[:, :1]), masked], dim=1)
    return torch.softmax(masked, dim=1)


def places(values: Float[Tensor, "*b n"], knots: Float[Tensor, "*b q"]) -> Float[Tensor, "*b n"]:
    """Return the place of each value among the knots, 0..q-1, with the part of the step to the next one.

    A value that equals several knots gets the middle of their places.

    >>> places(torch.tensor([-1.0, 0.5, 2.0, 9.0]), torch.tensor([0.0, 1.0, 2.0, 2.0])).tolist()
    [0.0, 0.5, 2.5, 3.0]
    """
    last, values, knots = knots.shape[-1] - 1, values.contiguous(), knots.contiguous()
    below, upto = (torch.searchsorted(knots, values, right=right) for right in (False, True))
    first, second = (knots.gather(-1, place.clamp(0, last)) for place in (below - 1, below))
    part = ((values - first) / (second - first).clamp_min(torch.finfo(values.dtype).tiny)).clamp(0, 1)
    between = below - 1 + part
    return torch.where(below < upto, (below + upto - 1).to(values.dtype) / 2, between).clamp(0, last)


def join_features(parts: list[Float[Tensor, "b _ u v"]]) -> Float[Tensor, "b d u v"]:
    """Join WSS features of several sources: the directions of each, so that all sources count the same."""
    return parts[0] if len(parts) == 1 else torch.cat([normalize(one) for one in parts], dim=1)
