"""Classes whose labels are exchanged.

Two classes that are nearly always tagged together, such as a face and a body, look the same to a classifier of tags.
So its two maps may be exchanged. The rounds of the survey do not notice it, or mend only a part. The photographs with
only one of the two can tell. Its cells look like those of the same class in the others, or like those of the other
class.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from dhr.method.cells import SurveyCells, surest

LEAST = -0.05
"""Evidence below which labels may be exchanged."""

CLEAR = -0.2
"""Evidence below which maps are clearly exchanged. Exchanged ones of MSRC v2 `train` had -0.36 to -0.65."""

GAIN = 0.1
"""Least gain in evidence of an exchange, if the maps are not clearly exchanged; else its largest loss."""

FEWEST = 3
"""Fewest photographs that decide. MSRC v2 `val` has two: their evidence is about 0, and an exchange costs mIoU."""

JOINT = 12
"""Fewest photographs with both classes. In fewer, labels by lot are often consistent."""

CONSISTENT = 0.1
"""Least consistency of two classes. Labels by lot have 0, with a standard deviation of 0.05 in a dozen photographs."""


@dataclass(frozen=True)
class Swap:
    """Two classes, and whether their labels are exchanged in the photographs with both."""

    first: int
    second: int
    evidence: float
    """How much the classes look in other photographs as they do where both are; negative if as the other class does."""
    consistency: float
    """The same between halves of the photographs with both: about 0 if the classes are confused there at random."""
    joint: int
    """Photographs with both."""
    deciding: int
    """Photographs that show it: with one of the two, or with certain labels."""


def compared(photographs: Iterable[SurveyCells], covariance: Float64[Tensor, "d d"]) -> list[Swap]:
    r"""Compare the labels of all pairs of classes with the photographs that decide.

    .. math:: e_{ab} = \frac{1}{1 + |D|} \sum_{i \in D} \pm\frac{(\mu_a - \mu_b)' W^{-1} (f_i - (\mu_a + \mu_b) / 2)}
              {(\mu_a - \mu_b)' W^{-1} (\mu_a - \mu_b)}

    with :math:`\mu_a, \mu_b` the mean features of the cells of two classes in the photographs with both, :math:`W` the
    covariance within the classes, and :math:`f_i` the mean feature of a class in a photograph that decides: one with
    :math:`a` alone (plus) or :math:`b` alone (minus), or a certain one, which counts for each of them. Each term is
    limited to -1..1. It is 1/2 if the class looks there as it does in the others, and -1/2 if the other class does. The
    1 in the denominator stands for a photograph that says nothing. Consistency is the smaller e of the two halves of
    the photographs with both, each compared with the other.

    Args:
        photographs: cells of each, with the scores that label them.
        covariance: W.

    Returns:
        Each pair that is somewhere together, and about which some photograph decides.
    """
    seen = _Means.of(photographs, len(covariance))
    factor = torch.linalg.cholesky(covariance)
    pairs = combinations(range(len(seen.lines)), 2)
    return [one for pair in pairs if (one := seen.compare(*pair, factor)) is not None]


def contradicted(*comparisons: Sequence[Swap]) -> tuple[Swap, ...]:
    """Choose the pairs whose labels may be exchanged: consistent, with evidence below :data:`LEAST`, from enough
    photographs, in one of several comparisons.

    A class is in one pair at most: that of the lowest evidence.
    """
    taken: set[int] = set()
    chosen: list[Swap] = []
    pairs = [one for pairs in comparisons for one in pairs]
    enough = [one for one in pairs if one.deciding >= FEWEST and one.joint >= JOINT]
    clear = [one for one in enough if one.consistency > CONSISTENT]
    found = [one for one in clear if one.evidence < LEAST]
    for one in sorted(found, key=lambda swap: (swap.evidence, swap.first, swap.second)):
        if not taken & {one.first, one.second}:
            taken |= {one.first, one.second}
            chosen.append(one)
    return tuple(sorted(chosen, key=lambda swap: swap.first))


def exchanged(seen: SurveyCells, swaps: Sequence[Swap]) -> SurveyCells:
    """Exchange the scores of the classes of each pair that a photograph has; a certain one stays as it is."""
    if seen.certain or not swaps:
        return seen
    places = exchange(seen.ids[None], torch.ones_like(seen.ids, dtype=torch.bool)[None], swaps)[0]
    own = torch.arange(len(places), device=places.device)
    return seen if torch.equal(places, own) else replace(seen, scores=seen.scores[places])


def exchange(ids: Int[Tensor, "b k"], valid: Bool[Tensor, "b k"], swaps: Sequence[Swap]) -> Int64[Tensor, "b k"]:
    """Return the place of the class whose maps each class takes: its own, or that of its partner in images with both.

    >>> swap = Swap(first=4, second=7, evidence=-0.3, consistency=0.4, joint=9, deciding=3)
    >>> exchange(torch.tensor([[4, 5, 7], [4, 5, 0]]), torch.ones(2, 3, dtype=torch.bool), [swap]).tolist()
    [[2, 1, 0], [0, 1, 2]]

    Args:
        ids: class ids of the data set, of each image's classes.
        valid: False for padding.
        swaps: pairs of classes; a class is in one pair at most.
    """
    found = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
    for swap in swaps:
        first, second = ((ids == one) & valid for one in (swap.first, swap.second))
        both = (first.any(dim=1) & second.any(dim=1)).unsqueeze(1)
        for mine, other in ((first, second), (second, first)):
            found = torch.where(mine & both, other.long().argmax(dim=1, keepdim=True), found)
    return found


_Lines = tuple[Int64[Tensor, " _"], Int64[Tensor, " _"]]


@dataclass(frozen=True)
class _Means:
    """Mean features of the cells of each class in each photograph: one line per photograph and class."""

    means: Float[Tensor, "e d"]
    """In half precision, as the cells are kept: there may be as many lines as photographs and classes."""
    masses: Float64[Tensor, " e"]
    photograph: Int64[Tensor, " e"]
    lines: tuple[Int64[Tensor, " _"], ...]
    """Lines of each class."""
    tagged: Bool[Tensor, "n c"]
    """Whether a photograph has a class."""
    certain: Bool[Tensor, " n"]

    @staticmethod
    def of(photographs: Iterable[SurveyCells], channels: int) -> "_Means":
        """Label the cells of all photographs, and average them."""
        means, masses = [torch.zeros(0, channels, dtype=torch.float16)], [torch.zeros(0, dtype=torch.float64)]
        ids, where = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0, dtype=torch.int64)]
        certain = []
        for index, seen in enumerate(photographs):
            best, lead = surest(seen.scores)
            places = torch.arange(len(seen.scores), device=lead.device).unsqueeze(1)
            weights = lead * (best == places)  # (k, m)
            mass = weights.sum(dim=1)
            means.append((weights @ seen.features.T / mass.clamp_min(1e-12).unsqueeze(1)).half().cpu())
            masses.append(mass.double().cpu())
            ids.append(seen.ids.cpu())
            where.append(torch.full_like(ids[-1], index))
            certain.append(seen.certain)
        mass, label, photograph = torch.cat(masses), torch.cat(ids), torch.cat(where)
        classes = int(label.max()) + 1 if len(label) else 0
        lines = tuple(((label == one) & (mass > 0)).nonzero()[:, 0] for one in range(classes))
        tagged = torch.zeros(len(certain), classes, dtype=torch.bool)
        tagged[photograph, label] = True
        return _Means(torch.cat(means), mass, photograph, lines, tagged, torch.tensor(certain, dtype=torch.bool))

    def compare(self, first: int, second: int, factor: Float64[Tensor, "d d"]) -> Swap | None:
        """Compare two classes; return None if they are never together, or no photograph decides.

        Args:
            first: a class.
            second: another one.
            factor: Cholesky factor of the covariance.
        """
        together, alone = zip(*(self._parted(*pair) for pair in ((first, second), (second, first))), strict=True)
        deciding = len(torch.unique(self.photograph[torch.cat(alone)]))
        if not deciding or not all(map(len, together)):
            return None
        both = torch.unique(self.photograph[torch.cat(together)])
        places = [torch.searchsorted(both, self.photograph[lines]) for lines in together]
        pairs = [*zip(together, places, strict=True)]
        halves = [tuple(lines[place % 2 == half] for lines, place in pairs) for half in (0, 1)]
        return Swap(
            first,
            second,
            evidence=self._likeness(together, alone, factor),
            consistency=min(self._likeness(halves[one], halves[1 - one], factor) for one in (0, 1)),
            joint=max(map(len, together)),
            deciding=deciding,
        )

    def _parted(self, one: int, other: int) -> _Lines:
        """Return the lines of a class in photographs that also have the other one, and those in all others."""
        lines = self.lines[one]
        photographs = self.photograph[lines]
        both = self.tagged[photographs, other] & ~self.certain[photographs]
        return lines[both], lines[~both]

    def _likeness(self, known: _Lines, asked: _Lines, factor: Float64[Tensor, "d d"]) -> float:
        """Return e of :func:`compared`: whether lines of two classes look as other lines of them; 0 without any.

        Args:
            known: lines of each of the two classes, from which their means are taken.
            asked: lines of each.
            factor: Cholesky factor of the covariance.
        """
        if not all(map(len, known)):
            return 0.0
        masses = [self.masses[lines].unsqueeze(1) for lines in known]
        means = [(self.means[lines].double() * m).sum(dim=0) / m.sum() for lines, m in zip(known, masses, strict=True)]
        difference = means[0] - means[1]
        direction = torch.cholesky_solve(difference.unsqueeze(1), factor)[:, 0]
        offset = direction @ (means[0] + means[1]) / 2
        sides = [self.means[lines].double() @ direction - offset for lines in asked]
        terms = torch.cat([sides[0], -sides[1]]) / (direction @ difference).clamp_min(1e-12)
        return float(terms.clamp(-1, 1).sum() / (1 + len(terms)))
