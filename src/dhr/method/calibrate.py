"""Learns a calibration from the photographs of a data set, without ground truth.

Labels and calibration improve each other: labels are made of the joined maps, as a run makes its masks, and the values
of each map are counted inside and outside the class by these labels. Only sources count that follow the tags, or that
agree with labels in which they had no part. So noise does not confirm itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dhr.method.base import shares
from dhr.method.boundary import Guide, corrections
from dhr.method.calibration import KNOTS, Calibration, places, posterior
from dhr.method.cells import SurveyCells
from dhr.method.config import BOUNDARY, PRESETS
from dhr.method.evidence import ENOUGH, Measured, agreement, follows_tags, mean_agreement, ranks
from dhr.method.order import take_classes
from dhr.method.rebalance import draft
from dhr.method.scene import Batch
from dhr.method.survey import Survey, agreed, join
from dhr.method.survey_fit import fit_survey
from dhr.ops.isotonic import isotonic
from dhr.progress import Progress, Step, silent

ROUNDS = 2
"""How often the ratios are learned, each time with better labels."""
PRIOR = 1.0
"""Photographs with ratio 0 that each class is given beside its own, so that a few cannot make it certain."""

METHOD = PRESETS["default"]
"""Settings of the labels. They are always the same, so a calibration does not depend on those of the masks."""

_NOTHING = 1e-6
_EDGE = 0.02  # ranks nearer to 0 or 1 count as this
_PLAIN = replace(BOUNDARY, kind="none", base="none")


@dataclass(frozen=True)
class SourceCells:
    """Some cells of a photograph, as all sources see them."""

    features: Float[Tensor, "d m"]
    """:func:`~dhr.method.survey.survey_features`."""
    maps: Float[Tensor, "s k m"]
    """Maps of its tags, by source."""
    ids: Int[Tensor, " k"]
    """Class ids of its tags."""
    peaks: Float[Tensor, "s k"]
    """The largest value of each map."""
    others: Int[Tensor, " j"]
    """Class ids of some classes that are not tags."""
    other_peaks: Float[Tensor, "s j"]
    """The largest value of their maps."""


@dataclass(frozen=True)
class Calibrated:
    """A calibration, and the measurements behind it."""

    calibration: Calibration
    follows: Measured
    """Whether the maps follow the tags (:func:`~dhr.method.evidence.follows_tags`)."""
    agrees: Measured
    """Whether they agree with the other evidence (:func:`~dhr.method.evidence.agreement`)."""
    photographs: Int[Tensor, " c"]
    """Number of photographs with each tag."""


@dataclass(frozen=True)
class Task:
    """All that a calibration is learned from."""

    photographs: Sequence[SourceCells]
    """Cells of one or more photographs."""
    classes: int
    """Number of classes of the data set."""
    background: bool
    """Whether class 0 is the background."""
    device: torch.device
    progress: Progress = silent

    @property
    def sources(self) -> int:
        """The number of sources."""
        return len(self.photographs[0].maps)

    def named(self, one: SourceCells) -> Int[Tensor, " k"]:
        """Return the ids of the classes of a photograph, the background first where there is one."""
        return torch.cat([torch.zeros(int(self.background), dtype=one.ids.dtype), one.ids]).to(self.device)


def calibrate(task: Task) -> Calibrated:
    """Learn a calibration.

    The first labels are made of ranks: the higher a value among those of its map, the more evidence. Only sources count
    that follow the tags. Those without maps of other classes join when their agreement is measured.
    """
    knots, follows = _knots(task), _follows(task)
    weights = _counted(follows.errors.nan_to_num(0)).to(task.device)
    evidence = [_first(one.maps.to(task.device)) * weights[:, one.ids, None] for one in task.photographs]
    found, agrees = Calibration(knots, torch.zeros_like(knots), weights), follows
    for turn in range(ROUNDS):
        ratios, agrees = _learn(task, knots, evidence, turn)
        weights = _counted(torch.maximum(follows.errors.nan_to_num(0), agrees.errors)).to(task.device)
        found = Calibration(knots, ratios, weights)
        evidence = [found.evidence(*_on(task.device, one.maps, one.ids))[0] for one in task.photographs]
    ids = torch.cat([one.ids for one in task.photographs])
    follows = Measured(follows.value, follows.errors.nan_to_num(0))
    return Calibrated(found, follows, agrees, torch.bincount(ids.cpu(), minlength=task.classes))


def _counted(errors: Float[Tensor, "s c"]) -> Float[Tensor, "s c"]:
    """Return the weights of the sources, by their standard errors above chance.

    Of a class with too few photographs for :data:`ENOUGH`, those count that reach half of the best; if all are at
    chance, all count.
    """
    errors = errors.clamp_min(0)
    best = errors.amax(dim=0)
    return (errors >= torch.where(best >= ENOUGH, ENOUGH, best / 2)).float()


def _first(maps: Float[Tensor, "s k m"]) -> Float[Tensor, "s k m"]:
    return torch.logit(ranks(maps).clamp(_EDGE, 1 - _EDGE))


def _on(device: torch.device, *values: Tensor) -> list[Tensor]:
    return [one.to(device).unsqueeze(0) for one in values]


def _knots(task: Task) -> Float[Tensor, "s c q"]:
    """Return equal steps of the distribution of each class's values; 0 for classes without photographs."""
    values: dict[int, list[Tensor]] = {}
    for one in task.photographs:
        for index, tag in enumerate(one.ids.tolist()):
            values.setdefault(tag, []).append(one.maps[:, index])
    knots = torch.zeros(task.sources, task.classes, KNOTS)
    for tag, parts in values.items():
        ordered = torch.cat(parts, dim=1).sort(dim=1).values
        knots[:, tag] = ordered[:, torch.linspace(0, ordered.shape[1] - 1, KNOTS).round().long()]
    return knots.to(task.device)


def _follows(task: Task) -> Measured:
    """Measure by source and class whether the maps follow the tags."""
    tagged: list[list[Tensor]] = [[] for _ in range(task.classes)]
    others: list[list[Tensor]] = [[] for _ in range(task.classes)]
    for one in task.photographs:
        for place, ids, peaks in ((tagged, one.ids, one.peaks), (others, one.others, one.other_peaks)):
            for index, tag in enumerate(ids.tolist()):
                place[tag].append(peaks[:, index])
    none = torch.zeros(task.sources, 0)
    pairs = (
        tuple(torch.stack(part, dim=1) if part else none for part in both) for both in zip(tagged, others, strict=True)
    )
    values, errors = zip(*(follows_tags(*pair) for pair in pairs), strict=True)
    return Measured(torch.stack(values, dim=1), torch.stack(errors, dim=1))


@dataclass
class _Counts:
    """Cells by place among the knots: of the class, and others."""

    inside: Float[Tensor, "s c q"]
    outside: Float[Tensor, "s c q"]
    agrees: list[list[Tensor]]
    """Agreement of each source with the other evidence, by class and photograph."""


def _learn(
    task: Task, knots: Float[Tensor, "s c q"], evidence: Sequence[Tensor], turn: int
) -> tuple[Float[Tensor, "s c q"], Measured]:
    """Learn the ratios from labels by the ``evidence`` so far, and measure how the sources agree with each other."""
    scores = [_scores(task, one, z.sum(dim=0)) for one, z in zip(task.photographs, evidence, strict=True)]
    cells = zip(task.photographs, scores, strict=True)
    survey = fit_survey(
        [SurveyCells(one.features, score, task.named(one)) for one, score in cells], task.classes, METHOD, task.device
    )
    counts = _Counts(torch.zeros_like(knots), torch.zeros_like(knots), [[] for _ in range(task.classes)])
    total = ROUNDS * len(task.photographs)
    for index, (one, z) in enumerate(zip(task.photographs, evidence, strict=True)):
        if len(task.named(one)) > 1:
            _count(task, one, knots, _labels(task, one, z.sum(dim=0), scores[index], survey), counts)
            _compare(task, one, z, survey, counts)
        task.progress(Step("ratios", turn * len(task.photographs) + index + 1, total, "steps"))
    none = torch.zeros(0, task.sources)
    values, errors = zip(*(mean_agreement(torch.stack(part) if part else none) for part in counts.agrees), strict=True)
    first, second = (one + PRIOR / KNOTS for one in (counts.inside, counts.outside))
    rate = isotonic(first / (first + second), first + second)
    return torch.logit(rate), Measured(torch.stack(values, dim=1), torch.stack(errors, dim=1))


def _scores(task: Task, one: SourceCells, evidence: Float[Tensor, "k m"]) -> Float[Tensor, "_ m"]:
    """Return S_dhr of joined maps: Steps 1 to 3 on the cells, without boundary corrections."""
    maps = _posterior(task, evidence)[:, int(task.background) :]
    uss = one.features.to(task.device, torch.float32)[None, :, :, None]
    batch = Batch(maps[..., None], uss, uss, background=task.background)
    correct, _ = corrections(_PLAIN, Guide(uss, None), None, batch.size)
    made = draft(batch, METHOD, correct)
    return shares(take_classes(made.steps.intra, made.order.argsort(dim=1)))[0]


def _posterior(task: Task, evidence: Float[Tensor, "k m"]) -> Float[Tensor, "1 _ m"]:
    return posterior(evidence[None], torch.ones_like(evidence[None, :, 0], dtype=torch.bool), task.background)


def _labels(
    task: Task, one: SourceCells, evidence: Float[Tensor, "k m"], scores: Float[Tensor, "_ m"], survey: Survey
) -> Float[Tensor, "_ m"]:
    """Return labels as a run makes them: Steps 1 to 3 joined with the survey and the joined maps themselves."""
    ids = task.named(one)[None]
    valid = torch.ones_like(ids, dtype=torch.bool)
    said = survey.shares(one.features.to(task.device, torch.float32)[None], ids, valid)
    return join(scores[None], agreed(said, _posterior(task, evidence)), valid, survey.weighed(METHOD))[0]


def _count(
    task: Task, one: SourceCells, knots: Float[Tensor, "s c q"], labels: Float[Tensor, "_ m"], counts: _Counts
) -> None:
    """Add a photograph to the counts; it has the same weight for each of its classes, however small they are."""
    maps, ids, label = one.maps.to(task.device), one.ids.to(task.device), labels[int(task.background) :]
    at = places(maps, knots[:, ids])
    low = at.floor().long().clamp_max(KNOTS - 2)
    part, fair = at - low, _fair(label)
    for total, mass in ((counts.inside, label), (counts.outside, 1 - label)):
        weight = (mass / mass.sum(dim=1, keepdim=True).clamp_min(_NOTHING) * fair.unsqueeze(1)).expand_as(maps)
        added = torch.zeros_like(knots[:, ids])
        added.scatter_add_(2, low, weight * (1 - part)).scatter_add_(2, low + 1, weight * part)
        total.index_add_(1, ids, added)


def _compare(task: Task, one: SourceCells, evidence: Float[Tensor, "s k m"], survey: Survey, counts: _Counts) -> None:
    """Compare each source with labels in which it had no part, so that no source confirms itself."""
    whole, start = evidence.sum(dim=0), int(task.background)
    labels = []
    for mine in evidence:
        others = whole - mine
        labels.append(_labels(task, one, others, _scores(task, one, others), survey)[start:])
    label = torch.stack(labels)  # (s, k, m)
    fair = _fair(label).all(dim=0).tolist()
    maps = one.maps.to(task.device)
    for index, tag in enumerate(one.ids.tolist()):
        if fair[index]:
            counts.agrees[tag].append(agreement(maps[:, index], label[:, index]).cpu())


def _fair(labels: Float[Tensor, "*s k m"]) -> Bool[Tensor, "*s k"]:
    """Return whether a class has cells, but not all of them."""
    area = labels.sum(dim=-1)
    return (area > _NOTHING) & (labels.shape[-1] - area > _NOTHING)
