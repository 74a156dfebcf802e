"""Fits a survey: self-training of discriminants on the photographs of a data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from dhr.method.cells import SurveyCells, surest
from dhr.method.companions import ROUNDS, Companions
from dhr.method.config import MethodConfig
from dhr.method.survey import Survey, join
from dhr.method.swaps import CLEAR, GAIN, Swap, compared, contradicted, exchanged
from dhr.ops.discriminant import Discriminant, Moments, covariance, discriminant
from dhr.progress import Progress, Step, silent

_FOLDS = 4  # parts of the photographs; each is compared with discriminants of the others
_LEAST = 0.01  # weight of a cell whose class was changed
_MANY = 8  # certain photographs of a class from which they count fully
_KNOWN = 0.85  # trust from which a survey can tell good maps
_ADDED = 2  # photographs of mean agreement that are added to those of each class

SHRINKAGE = 80.0
"""This times the mean variance of the features over the number of photographs is added to their covariance, because few
photographs estimate it badly. It was chosen on MSRC v2 (docs/measurements.md)."""

CERTAIN = 3.0
"""Largest weight of a cell with a person's label, beside that of a sure cell without. It was chosen on the validation
split of MSRC v2 (docs/measurements.md)."""


def fit_survey(
    photographs: Sequence[SurveyCells],
    classes: int,
    config: MethodConfig,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> Survey:
    """Fit discriminants to the confident cells of the photographs, ``config.survey_rounds`` times.

    In every round each cell counts for the class of its highest score, by its lead over the second. Its scores are
    those of Steps 1 to 3, after the first round joined with the discriminants, with the weight of the first ones. Then
    cells with another class than by Steps 1 to 3 alone count less (:func:`differing`). Certain cells keep their scores,
    and count up to :data:`CERTAIN` times. In the first rounds, photographs of a class without its usual companions
    count more (:mod:`dhr.method.companions`).

    If other photographs contradict the labels of two classes (:func:`~dhr.method.swaps.contradicted`), before the
    rounds or after them, all is fitted again, with the scores of these classes exchanged. The exchange stays if the
    photographs then agree, and by :data:`~dhr.method.swaps.GAIN` more than without it: rounds may have put a part of
    the labels right. But masks are made from the maps, too. So if the maps alone are clearly exchanged, it stays unless
    the photographs agree less, by that much.

    Args:
        photographs: cells of one or more photographs.
        classes: number of classes of the data set.
        config: settings.
        device: where it is computed.
        progress: counts all rounds of a fit together.
    """
    fit = _Fit(photographs, classes, config, device, progress)
    found = fit.fitted(())
    if swaps := contradicted(found.before, found.after):
        again = fit.fitted(swaps)
        right = tuple(one for one in swaps if again.evidence(one) > max(0.0, found.evidence(one) + found.needed(one)))
        found = again if right == swaps else fit.fitted(right) if right else found
    return found.survey


@dataclass(frozen=True)
class _Fitted:
    """A survey, and comparisons of classes by the labels before its rounds and after them."""

    survey: Survey
    before: list[Swap]
    after: list[Swap]

    def evidence(self, pair: Swap) -> float:
        """Return the evidence of a pair after the rounds; 0 if no photograph decides."""
        return _evidence(self.after, pair)

    def needed(self, pair: Swap) -> float:
        """Return how much evidence an exchange of the pair must gain."""
        return -GAIN if _evidence(self.before, pair) < CLEAR else GAIN


def _evidence(compared: Sequence[Swap], pair: Swap) -> float:
    found = {(one.first, one.second): one.evidence for one in compared}
    return found.get((pair.first, pair.second), 0.0)


@dataclass(frozen=True)
class _Fit:
    """The arguments of :func:`fit_survey`."""

    photographs: Sequence[SurveyCells]
    classes: int
    config: MethodConfig
    device: torch.device | None
    progress: Progress

    def fitted(self, swaps: tuple[Swap, ...]) -> _Fitted:
        """Fit a survey, with the scores of some classes exchanged."""
        photographs = [exchanged(seen, swaps) for seen in self.photographs]
        survey, shrinkage = None, SHRINKAGE / len(photographs)
        rounds = self.config.survey_rounds
        early = min(ROUNDS, rounds - 1) if self.companions.any else 0
        extra = int(early > 0)  # a pass without weights, for trust and agreement
        first = self._moments(photographs, None, (0, rounds + extra))
        agreed = agreement(photographs, first, shrinkage, self.device)
        trust = contrast(photographs, first, shrinkage, self.device)
        before = self._compared(photographs, None, first)
        for turn in range(rounds):
            folds = first
            if turn + extra > 0:
                folds = self._moments(photographs, survey, (turn + extra, rounds + extra), weighted=turn < early)
            survey = Survey(discriminant(_whole(folds), shrinkage), trust, agreed, swaps)
            survey = survey if self.device is None else survey.to(self.device)
        assert survey is not None  # one round or more
        return _Fitted(survey, before, self._compared(photographs, survey, folds))

    def _compared(
        self, photographs: Sequence[SurveyCells], survey: Survey | None, folds: Sequence[Moments]
    ) -> list[Swap]:
        """Compare all pairs of classes by the labels of the cells."""
        return compared(self._labelled(photographs, survey), covariance(_whole(folds), SHRINKAGE / len(photographs)))

    @cached_property
    def companions(self) -> Companions:
        """How much photographs count in the first rounds."""
        return Companions.of(self.photographs, self.classes)

    @cached_property
    def certain(self) -> Float[Tensor, " c"]:
        r"""Weight of a certain cell, by its class: it grows with the number :math:`m_c` of certain photographs of it.

        .. math:: 1 + (3 - 1) \min(1, m_c / 8)^2

        A few photographs do not show all that a class looks like.
        """
        counts = torch.zeros(self.classes)
        for seen in self.photographs:
            if seen.certain:
                counts[seen.ids.cpu().long()] += 1
        weights: Float[Tensor, " c"] = 1 + (CERTAIN - 1) * (counts / _MANY).clamp_max(1) ** 2
        return weights

    def _moments(
        self,
        photographs: Sequence[SurveyCells],
        survey: Survey | None,
        place: tuple[int, int],
        weighted: bool = False,
    ) -> list[Moments]:
        """Label the cells of all photographs; return the moments of every :data:`_FOLDS`-th of them.

        Args:
            photographs: cells of each.
            survey: the one that labels them, or None for Steps 1 to 3 alone.
            place: number of passes over the photographs that are done, and of all passes.
            weighted: whether photographs of a class without its usual companion count more.
        """
        done, passes = place
        changed = 1.0 if survey is None else differing(survey)
        folds = [Moments.nothing(self.classes, len(photographs[0].features)) for _ in range(_FOLDS)]
        total = passes * len(photographs)
        for index, (given, seen) in enumerate(zip(photographs, self._labelled(photographs, survey), strict=True)):
            best, lead = surest(seen.scores)
            weights = torch.ones_like(lead)
            if weighted:
                weights = self.companions(seen.ids).to(lead)[best]
            if changed < 1:
                same = surest(given.scores.to(seen.scores))[0] == best
                weights = torch.where(same, weights, changed * weights)
            if seen.certain:
                weights = torch.maximum(weights, self.certain.to(lead)[seen.ids][best])
            folds[index % _FOLDS].add(seen.features, seen.ids[best], lead * weights)
            self.progress(Step("discriminants", done * len(photographs) + index + 1, total, "steps"))
        return folds

    def _labelled(self, photographs: Sequence[SurveyCells], survey: Survey | None) -> Iterator[SurveyCells]:
        """Yield photographs on the device, their scores joined with a survey unless they are certain."""
        for seen in photographs:
            features, scores = (one.to(self.device, torch.float32) for one in (seen.features, seen.scores))
            ids = seen.ids.to(features.device)
            if survey is not None and not seen.certain:
                valid = torch.ones_like(ids, dtype=torch.bool).unsqueeze(0)
                said = survey.shares(features[None], ids[None], valid)
                scores = join(scores[None], said, valid, survey.weighed(self.config))[0]
            yield replace(seen, features=features, scores=scores, ids=ids)


def _whole(folds: Sequence[Moments]) -> Moments:
    return sum(folds[1:], folds[0])


def differing(survey: Survey) -> float:
    r"""Return the weight of a cell whose class the survey has changed, where cells that keep theirs have 1.

    .. math:: \min(1, \max(0.01, 4 (1 - m)^2)), \quad
              m = \min(1, t / 0.85) \frac{1}{C} \sum_c \min(1, a_c / t)

    with trust t and agreement a. Where the maps are good, a survey that learns from its own changes makes them larger
    in each round; where they are bad, changes are what it has to learn from. A survey with little trust cannot tell
    good maps. The weight is not 0, so that no class is lost.
    """
    good = survey.maps * min(1.0, survey.trust / _KNOWN)
    return min(1.0, max(_LEAST, (2 * (1 - good)) ** 2))


def agreement(
    photographs: Sequence[SurveyCells], folds: Sequence[Moments], shrinkage: float, device: torch.device | None = None
) -> Float64[Tensor, " c"]:
    r"""Return for each class how its labels agree with discriminants of other photographs; 0 is chance, 1 full.

    .. math:: a_c = \frac{\sum_{n: y_n = c} l_n a_n + 2 m \bar a}{\sum_{n: y_n = c} l_n + 2 m}, \quad
              a_n = \frac{[\hat y_n = c] - 1/K_n}{1 - 1/K_n}

    with :math:`y_n` the class of a cell's highest score, :math:`l_n` its lead over the second, :math:`\hat y_n` the
    class by the discriminants of the other folds, :math:`K_n` the classes of its photograph: the chance-corrected
    agreement of each class, at least 0. Two photographs of mean agreement :math:`\bar a` and of mean :math:`m`, the sum
    of the leads of a class in a photograph, are added, because few photographs prove little. Photographs with one
    class, or with a class that the other folds lack, are ignored; without any others all classes have 0.

    Args:
        photographs: cells of each.
        folds: moments of every ``len(folds)``-th photograph, from the first, second, ... on.
        shrinkage: of the discriminants.
        device: where it is computed.
    """
    classes = len(folds[0].mass)
    agreed, whole = torch.zeros(2, classes, dtype=torch.float64)
    pairs = 0
    for seen, known, features in _held_out(photographs, folds, shrinkage, device):
        if len(seen.ids) < 2:
            continue
        ids = seen.ids.to(features.device)
        best, lead = surest(seen.scores.to(features))
        same = (known(features, ids).max(dim=0).indices == best).to(lead.dtype)
        chance = 1 / len(ids)
        where = seen.ids.cpu()[best.cpu()]
        agreed.index_add_(0, where, (lead * (same - chance) / (1 - chance)).double().cpu())
        whole.index_add_(0, where, lead.double().cpu())
        pairs += len(ids)
    known = whole > 0
    if not bool(known.any()):
        return torch.zeros(classes, dtype=torch.float64)
    mean = (agreed[known] / whole[known]).clamp_min(0).mean()
    added = _ADDED * whole.sum() / pairs
    found: Float64[Tensor, " c"] = ((agreed + added * mean) / (whole + added)).clamp(0, 1)
    return found


def contrast(
    photographs: Sequence[SurveyCells], folds: Sequence[Moments], shrinkage: float, device: torch.device | None = None
) -> float:
    r"""Return whether discriminants find the classes in photographs that have them, and in no others; 0 is chance.

    .. math:: \frac{1}{C} \sum_c \max(0, \frac{p_c - q_c}{p_c + q_c})

    with :math:`p_c` the share of the cells where class c is the most likely of the photograph's K tags, times K, the
    mean over the photographs with this tag; and :math:`q_c` the share of the cells where c is more likely than all
    tags, times K + 1, the mean over the others. Chance gives 1 in both cases. The discriminants are those of other
    folds. Labels of the photograph have no part in it, so bad CAMs alone do not lower it: it only asks whether the
    discriminants follow the tags.

    Classes without photographs of both kinds are ignored, such as a background. If all are, it is the mean
    :func:`agreement`. See there for the arguments.
    """
    classes = len(folds[0].mass)
    shares, counts = torch.zeros(2, 2, classes, dtype=torch.float64)  # lines: with the tag, without
    for seen, known, features in _held_out(photographs, folds, shrinkage, device):
        ids, there = seen.ids.cpu(), (known.known > 0).cpu()
        logits = known(features, torch.arange(classes, device=features.device))
        best = logits[ids.to(logits.device)].max(dim=0)
        others = there.index_fill(0, ids, False)
        won = torch.bincount(best.indices.cpu(), minlength=len(ids)).double() / logits.shape[1]
        if len(ids) > 1:
            shares[0].index_add_(0, ids, len(ids) * won)
            counts[0].index_add_(0, ids, torch.ones_like(won))
        foreign = (logits > best.values).double().mean(dim=1).cpu()
        shares[1] += torch.where(others, (len(ids) + 1) * foreign, 0)
        counts[1] += others
    means = shares / counts.clamp_min(1)
    found = (counts > 0).all(dim=0)
    if not bool(found.any()):
        return float(agreement(photographs, folds, shrinkage, device).mean())
    lead = (means[0] - means[1]) / means.sum(dim=0).clamp_min(1e-12)
    return float(lead[found].clamp_min(0).mean())


def _held_out(
    photographs: Sequence[SurveyCells], folds: Sequence[Moments], shrinkage: float, device: torch.device | None
) -> Iterator[tuple[SurveyCells, Discriminant, Float[Tensor, "d m"]]]:
    """Yield photographs, discriminants of the other folds, which know all of their classes, and their features."""
    for start in range(min(len(folds), len(photographs))):
        known = discriminant(_whole([fold for index, fold in enumerate(folds) if index != start]), shrinkage)
        guess = known if device is None else known.to(device)
        for seen in photographs[start :: len(folds)]:
            if bool((known.known[seen.ids.cpu()] > 0).all()):
                yield seen, guess, seen.features.to(device, torch.float32)
