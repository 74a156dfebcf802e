"""Adds up masks beside ground truth, photograph by photograph: scores, contradictions, and masks that do not fit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from dhr.corrections.beside import made_by_people
from dhr.corrections.decisions import states
from dhr.data.agreement import Agreement, Check
from dhr.data.ground_truth import ListsGroundTruth, stray_notes
from dhr.data.problems import group_problems, problem_lines
from dhr.data.samples import VOID, ClassTable, DataSet, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.evaluate.compare import Comparison, difference
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.counts import Counts, count
from dhr.evaluate.folders import Predictions, tags_of
from dhr.evaluate.ground_truth_folder import GroundTruthFolder
from dhr.evaluate.measures import Measures
from dhr.evaluate.scores import Scores
from dhr.evaluate.tally import Tally
from dhr.firsts import Firsts
from dhr.results.origin import mismatch
from dhr.results.protocol import Records
from dhr.words import without

_REASONS = 3  # that a message names
_KEPT = 1000  # photographs of a kind that are kept by name, of a data set of any size


@dataclass(frozen=True)
class Look:
    """One photograph in every folder, by the folder's name."""

    counts: dict[str, Counts]
    wrong_size: dict[str, str]
    refused: dict[str, str]
    unread: str | None = None
    """Why the ground truth cannot be read."""


class Sums:
    """Adds up photographs: scores, agreement of tags with ground truth and masks, and problems."""

    def __init__(
        self, data: DataSet, found: Mapping[str, Predictions], config: EvaluateConfig, most: int | None = None
    ) -> None:
        """Begin with nothing.

        Args:
            data: the data set.
            found: masks by name.
            config: masks that are allowed, and the intervals.
            most: photographs that the scores name, the worst ones; None for all.
        """
        self._data, self._found, self._allow_wrong_size = data, found, config.allow_wrong_size
        self.tallies = {name: Tally(data.classes, config.resamples, config.seed, most) for name in found}
        self._ground_truth = Agreement(data.classes)
        self._masks = {
            name: Agreement(data.classes, f"masks in {one.folder}", complete=False) for name, one in found.items()
        }
        self._wrong_size = {name: Firsts[str](most) for name in found}
        self._refused = {name: Firsts[Problem](_KEPT) for name in found}
        self._unread = Firsts[Problem](_KEPT)

    @property
    def classes(self) -> ClassTable:
        """Those of the data set."""
        return self._data.classes

    def add(self, sample: Sample, look: Look) -> None:
        """Add the next photograph."""
        if look.unread is not None:
            self._unread.append(Problem(sample.name, look.unread))
        refused = dict(look.refused)
        if self._allow_wrong_size:
            for name in look.wrong_size:
                self._wrong_size[name].append(sample.name)
        else:
            refused |= look.wrong_size
        for name, reason in refused.items():
            self._refused[name].append(Problem(sample.name, reason))
        if len(look.counts) < len(self._found):
            return
        tags = tags_of(self._data, sample)
        first = next(iter(look.counts.values()))
        pixels = np.zeros(VOID + 1, np.int64)
        pixels[: len(first.matrix)] = first.matrix.sum(1)
        pixels[VOID] = first.seen.sum() - pixels.sum()
        self._ground_truth.add(sample.name, tags, pixels)
        for name, one in look.counts.items():
            self._masks[name].add(sample.name, tags, one.seen)
            self.tallies[name].add_counts(sample, one)

    def comparison(self, scored: int, truths: int, without_truth: int) -> Comparison:
        """Return all scores, and the differences from the first masks.

        Args:
            scored: photographs with ground truth and all masks.
            truths: photographs with ground truth.
            without_truth: photographs without.

        Raises:
            DataError: masks could not be compared, or all photographs were left out.
        """
        self.refuse(scored)
        resampled = {name: tally.resampled() for name, tally in self.tallies.items()}
        scores = {name: self.scores(name, one, truths, without_truth) for name, one in resampled.items()}
        if not all(one.per_image for one in scores.values()):
            folders = ", ".join(str(one.folder) for one in self._found.values())
            raise DataError(
                f"no photograph has a mask of the right size in every folder ({folders}); make the masks again, or "
                "evaluate the folders one by one"
            )
        start, *others = scores
        differences = (
            difference((start, name), scores[start], scores[name], resampled[start], resampled[name]) for name in others
        )
        return Comparison(scores, tuple(differences))

    def refuse(self, scored: int) -> None:
        """Check that all masks could be compared.

        Raises:
            DataError: some could not, or the ground truth contradicts all tags.
        """
        if self._unread:
            raise DataError(
                f"{len(self._unread)} of {scored} ground-truth masks cannot be read: {_each_reason(self._unread)}"
            )
        for name, reasons in self._refused.items():
            if reasons:
                raise DataError(
                    f"{len(reasons)} of {scored} masks in {self._found[name].folder} cannot be compared with their "
                    f"ground truth: {_each_reason(reasons)}; correct them"
                )
        self._ground_truth.refuse_nothing()

    def scores(self, name: str, resampled: Measures | None, truths: int, without_truth: int) -> Scores:
        """Return the scores of a folder; the numbers are those of :meth:`comparison`."""
        found, wrong, tally = self._found[name], self._wrong_size[name], self.tallies[name]
        missing = len(found.missing) + found.unnamed.get("missing", 0)
        unnamed = {**found.unnamed, "wrong_size": len(wrong) - len(wrong.first)}
        return tally.scores(
            resampled,
            unnamed,
            missing=found.missing,
            extra=found.extra,
            wrong_size=tuple(wrong.first),
            elsewhere=truths - tally.photographs - missing - len(wrong),
            without_truth=without_truth,
            checks=self._checks(found, self._masks[name]),
        )

    def _checks(self, found: Predictions, masks: Agreement) -> tuple[Check, ...]:
        data = self._data
        strays = stray_notes(data.stray_ground_truth) if isinstance(data, ListsGroundTruth) else []
        notes = data.notes if isinstance(data, GroundTruthFolder) else ()
        return (
            *(Check("stray_truth", line) for line in strays),
            *(Check("classes", line) for line in (*notes, *found.numbering.all_notes)),
            *self._ground_truth.checks(),
            *masks.checks(),
            *(Check("parts", line) for line in problem_lines(found.masks.problems, _REASONS)),
            *_people(found),
        )


def _people(found: Predictions) -> list[Check]:
    """Tell of masks that a person made: a score over those is not the machine's."""
    made = made_by_people(found.masks, found.files)
    if not made:
        return []
    are = "is that of a person" if len(made) == 1 else "are those of people"
    text = f"masks in {found.folder}: {len(made)} of {len(found.files)} {are} ({states(made)})"
    return [Check("people", f"{text}; the score is not that of the machine alone")]


def look(data: DataSet, found: Mapping[str, Predictions], records: Mapping[str, Records], sample: Sample) -> Look:
    """Compare the masks of a photograph with its ground truth."""
    look = Look({}, {}, {})
    try:
        truth = data.read_ground_truth(sample)
        _check_ids(truth, data.classes)
    except ItemError as error:
        return Look({}, {}, {}, str(error))
    shared = {*records.values()}  # the stages of a run share their records
    others = {one: mismatch(one.record(sample.name), data, sample) for one in shared}
    for name, predictions in found.items():
        mask = predictions.mask(sample.name)
        try:
            if reason := others[records[name]]:
                raise ItemError(reason)
            pred = predictions.numbering.read(mask)
            if pred.shape != truth.shape:
                look.wrong_size[name] = f"the mask is {_size(pred)} pixels, the ground truth {_size(truth)}"
                continue
            look.counts[name] = count(pred, truth, len(data.classes.names))
        except ItemError as error:
            look.refused[name] = without(mask, error)
    return look


def _check_ids(labels: UInt8[np.ndarray, "h w"], classes: ClassTable) -> None:
    many = len(classes.names)
    unknown = labels[(labels >= many) & (labels != VOID)]
    if unknown.size:
        raise ItemError(f"the ground truth holds class id {unknown[0]}, the class table ends at {many - 1}")


def _each_reason(problems: Firsts[Problem]) -> str:
    """Each reason once, with the photograph that has it first."""
    texts = []
    for group in group_problems(problems.first)[:_REASONS]:
        one, *others = group.problems
        more = f" and {len(others)} more for the same reason" if others else ""
        texts.append(f"{one.source} ({one.reason}){more}")
    return ", ".join(texts)


def _size(labels: UInt8[np.ndarray, "h w"]) -> str:
    return f"{labels.shape[1]}x{labels.shape[0]}"
