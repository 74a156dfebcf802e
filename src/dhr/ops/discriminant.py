"""Linear discriminants of classes, from sums over the features of a whole data set."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Weighted sums over labelled features, in float64; all that a discriminant is made of."""

    mass: Float[Tensor, " c"]
    """Weight of each class."""
    sums: Float[Tensor, "c d"]
    """Features by weight, each class by itself."""
    products: Float[Tensor, "d d"]
    """Products of the features with themselves by weight, over all classes."""

    @staticmethod
    def nothing(classes: int, dim: int) -> "Moments":
        """Of no features."""
        double = torch.float64
        return Moments(
            torch.zeros(classes, dtype=double),
            torch.zeros(classes, dim, dtype=double),
            torch.zeros(dim, dim, dtype=double),
        )

    @property
    def means(self) -> Float[Tensor, "c d"]:
        """Mean feature of each class; zeros without any."""
        return self.sums / self.mass.clamp_min(1e-12).unsqueeze(1)

    def __add__(self, other: "Moments") -> "Moments":
        """Of all features of both."""
        return Moments(*(one + more for one, more in zip(vars(self).values(), vars(other).values(), strict=True)))

    def add(self, features: Float[Tensor, "d n"], labels: Int[Tensor, " n"], weights: Float[Tensor, " n"]) -> None:
        """Add n features, in place: products are large. Weights are 0 or more."""
        weighted = features * weights
        ids = torch.arange(len(self.mass), device=labels.device).unsqueeze(1)
        chosen = (labels == ids).to(features.dtype)  # (c, n)
        # All three first: if the memory does not suffice, nothing is added.
        added = weighted @ features.T, chosen @ weighted.T, chosen @ weights
        for total, one in zip((self.products, self.sums, self.mass), added, strict=True):
            total.add_(one.double().cpu())


@dataclass(frozen=True)
class Discriminant:
    """Scores of classes that are linear in the features."""

    weights: Float[Tensor, "c d"]
    bias: Float[Tensor, " c"]
    known: Float[Tensor, " c"]
    """1 for a class that had any weight, 0 for others; scores of those are meaningless."""

    def to(self, device: torch.device) -> "Discriminant":
        """Move it to a device."""
        return Discriminant(*(value.to(device) for value in vars(self).values()))

    def __call__(self, features: Float[Tensor, "*b d n"], classes: Int[Tensor, "*b k"]) -> Float[Tensor, "*b k n"]:
        """Compute scores of some classes."""
        return self.weights[classes] @ features + self.bias[classes].unsqueeze(-1)


def discriminant(moments: Moments, shrinkage: float) -> Discriminant:
    r"""Fisher's linear discriminants (LDA), every class as likely as any other.

    .. math:: s_k(f) = \mu_k' W^{-1} f - \frac{1}{2} \mu_k' W^{-1} \mu_k, \quad
              W = W_0 + \text{shrinkage} \cdot \overline{\text{diag } W_0} \cdot I

    with :math:`W_0` the covariance within the classes. Between two classes the difference of the scores is the
    logarithm of their odds, were features Gaussian about the means of their classes.

    >>> moments = Moments.nothing(2, 1)
    >>> features = torch.tensor([[0.0, 2.0, 4.0, 6.0]])
    >>> moments.add(features, torch.tensor([0, 0, 1, 1]), torch.ones(4))
    >>> scores = discriminant(moments, 0.0)(features, torch.tensor([0, 1]))
    >>> (scores[1] - scores[0]).tolist()
    [-12.0, -4.0, 4.0, 12.0]
    """
    means = moments.means
    weights = torch.linalg.solve(covariance(moments, shrinkage), means.T).T
    bias = -(weights * means).sum(dim=1) / 2
    return Discriminant(weights.float(), bias.float(), (moments.mass > 0).float())


def covariance(moments: Moments, shrinkage: float) -> Float[Tensor, "d d"]:
    """Return W of :func:`discriminant`: the covariance within the classes, with a multiple of the identity added."""
    means = moments.means
    total = moments.mass.sum().clamp_min(1e-12)
    within = (moments.products - (means * moments.mass.unsqueeze(1)).T @ means) / total
    level = within.diagonal().mean().clamp_min(1e-8)  # of no or of equal features: any direction is as good
    return within + (shrinkage * level + 1e-9) * torch.eye(len(within), dtype=within.dtype)
