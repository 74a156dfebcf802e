"""Isotonic regression: the nearest rising sequence."""

import torch
from jaxtyping import Float
from torch import Tensor


def isotonic(values: Float[Tensor, "*b n"], weights: Float[Tensor, "*b n"]) -> Float[Tensor, "*b n"]:
    r"""Find the rising sequence with the least weighted squared distance to ``values``.

    .. math:: x_k = \max_{i \le k} \min_{j \ge k} \frac{\sum_{l=i}^j w_l v_l}{\sum_{l=i}^j w_l}

    (the minimax formula of Robertson, Wright and Dykstra 1988.) It takes n x n numbers, so n is small.

    Args:
        values: v.
        weights: w, above 0.

    >>> isotonic(torch.tensor([1.0, 3.0, 2.0, 4.0]), torch.ones(4)).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    count = values.shape[-1]
    mass, sums = (one.double().cumsum(dim=-1) for one in (weights, weights * values))
    before_mass, before_sums = mass - weights.double(), sums - (weights * values).double()
    means = (sums.unsqueeze(-2) - before_sums.unsqueeze(-1)) / (mass.unsqueeze(-2) - before_mass.unsqueeze(-1))
    later = torch.ones(count, count, dtype=torch.bool, device=values.device).triu()  # [i, j]: j >= i
    means = torch.where(later, means, torch.inf)
    least = means.flip(-1).cummin(dim=-1).values.flip(-1)  # [i, k]: over j >= k
    return torch.where(later, least, -torch.inf).amax(dim=-2).to(values.dtype)
