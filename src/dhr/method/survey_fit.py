"""Fits a survey: self-training of discriminants on the photographs of a data set."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from dhr.method.cells import SurveyCells, surest
from dhr.method.config import MethodConfig
from dhr.method.survey import Survey, join
from dhr.method.swaps import Swap, compared, doubtful, exchanged
from dhr.ops.discriminant import Moments, covariance, discriminant
from dhr.progress import Progress, Step, silent

_FOLDS = 4  # parts of the photographs; each is compared with discriminants of the others

SHRINKAGE = 80.0
"""This times the mean variance of the features over the number of photographs is added to their covariance, because few
photographs estimate it badly. It was chosen on MSRC v2 (docs/measurements.md)."""

CERTAIN = 3.0
"""Weight of a cell with a person's label, beside that of a sure cell without. It was chosen on the validation split of
MSRC v2 (docs/measurements.md)."""


def fit_survey(
    photographs: Sequence[SurveyCells],
    classes: int,
    config: MethodConfig,
    device: torch.device | None = None,
    progress: Progress = silent,
) -> Survey:
    """Fit discriminants to the confident cells of the photographs, ``config.survey_rounds`` times.

    In every round each cell counts for the class of its highest score, by its lead over the second. Its scores are
    those of Steps 1 to 3, after the first round joined with the discriminants, with the weight of the first ones.
    Certain cells keep their scores, and count :data:`CERTAIN` times.

    If other photographs contradict the labels of two classes (:func:`~dhr.method.swaps.doubtful`), all is fitted again,
    with the scores of these classes exchanged. The exchange stays if the photographs then agree.

    Args:
        photographs: cells of one or more photographs.
        classes: number of classes of the data set.
        config: settings.
        device: where it is computed.
        progress: counts all rounds of a fit together.
    """
    fit = _Fit(photographs, classes, config, device, progress)
    survey, pairs = fit.fitted(())
    if found := doubtful(pairs):
        again, now = fit.fitted(found)
        evidence = {(one.first, one.second): one.evidence for one in now}
        right = tuple(one for one in found if evidence.get((one.first, one.second), 0.0) > 0)
        survey = again if right == found else fit.fitted(right)[0] if right else survey
    return survey


@dataclass(frozen=True)
class _Fit:
    """The arguments of :func:`fit_survey`."""

    photographs: Sequence[SurveyCells]
    classes: int
    config: MethodConfig
    device: torch.device | None
    progress: Progress

    def fitted(self, swaps: tuple[Swap, ...]) -> tuple[Survey, list[Swap]]:
        """Fit a survey, with the scores of some classes exchanged; compare all pairs after it."""
        photographs = [exchanged(seen, swaps) for seen in self.photographs]
        survey, shrinkage = None, SHRINKAGE / len(photographs)
        trust = 0.0
        for turn in range(self.config.survey_rounds):
            folds = self._moments(photographs, survey, turn)
            if survey is None:
                trust = agreement(photographs, folds, shrinkage, self.device)
            survey = Survey(discriminant(_whole(folds), shrinkage), trust, swaps)
            survey = survey if self.device is None else survey.to(self.device)
        assert survey is not None  # one round or more
        return survey, compared(self._labelled(photographs, survey), covariance(_whole(folds), shrinkage))

    def _moments(self, photographs: Sequence[SurveyCells], survey: Survey | None, turn: int) -> list[Moments]:
        """Label the cells of all photographs; return the moments of every :data:`_FOLDS`-th of them."""
        folds = [Moments.nothing(self.classes, len(photographs[0].features)) for _ in range(_FOLDS)]
        total = self.config.survey_rounds * len(photographs)
        for index, seen in enumerate(self._labelled(photographs, survey)):
            best, lead = surest(seen.scores)
            folds[index % _FOLDS].add(seen.features, seen.ids[best], lead * (CERTAIN if seen.certain else 1))
            self.progress(Step("discriminants", turn * len(photographs) + index + 1, total, "steps"))
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


def agreement(
    photographs: Sequence[SurveyCells], folds: Sequence[Moments], shrinkage: float, device: torch.device | None = None
) -> float:
    r"""Return the agreement of discriminants with photographs to which they were not fitted; 0 is chance, 1 full.

    .. math:: \frac{1}{C} \sum_c \frac{\sum_{n: y_n = c} l_n a_n}{\sum_{n: y_n = c} l_n}, \quad
              a_n = \frac{[\hat y_n = c] - 1/K_n}{1 - 1/K_n}

    with :math:`y_n` the class of a cell's highest score, :math:`l_n` its lead over the second, :math:`\hat y_n` the
    class by the discriminants of the other folds, :math:`K_n` the classes of its photograph: the chance-corrected
    agreement of each class, and their mean. Photographs with one class, or with a class that the other folds lack, are
    ignored; without any others the agreement is 0.

    Args:
        photographs: cells of each.
        folds: moments of every ``len(folds)``-th photograph, from the first, second, ... on.
        shrinkage: of the discriminants.
        device: where it is computed.
    """
    classes = len(folds[0].mass)
    agreed, whole = torch.zeros(2, classes, dtype=torch.float64)
    for start in range(min(len(folds), len(photographs))):
        others = [fold for index, fold in enumerate(folds) if index != start]
        known = discriminant(_whole(others), shrinkage)
        guess = known if device is None else known.to(device)
        for seen in photographs[start :: len(folds)]:
            if len(seen.ids) < 2 or not (known.known[seen.ids.cpu()] > 0).all():
                continue
            features, scores = (one.to(device, torch.float32) for one in (seen.features, seen.scores))
            best, lead = surest(scores)
            same = (guess(features, seen.ids.to(features.device)).max(dim=0).indices == best).to(lead.dtype)
            chance = 1 / len(seen.ids)
            where = seen.ids.cpu()[best.cpu()]
            agreed.index_add_(0, where, (lead * (same - chance) / (1 - chance)).double().cpu())
            whole.index_add_(0, where, lead.double().cpu())
    found = whole > 0
    return max(0.0, float((agreed[found] / whole[found]).mean())) if bool(found.any()) else 0.0
