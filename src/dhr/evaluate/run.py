"""Scores folders of masks against ground truth, strictly: a mask that cannot be compared is an error, not a zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.corrections.beside import made_by_people, masks_at
from dhr.corrections.decisions import states
from dhr.data.agreement import Agreement, Check
from dhr.data.ground_truth import ListsGroundTruth, stray_notes
from dhr.data.problems import group_problems, problem_lines
from dhr.data.samples import VOID, ClassTable, DataSet, Problem, Sample
from dhr.errors import ConfigError, DataError, ItemError
from dhr.evaluate.compare import Comparison, difference
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.counts import Counts, count
from dhr.evaluate.folders import Predictions, check_folder, find_predictions, tags_of
from dhr.evaluate.ground_truth_folder import GroundTruthFolder
from dhr.evaluate.masks import without_truth
from dhr.evaluate.measures import Measures
from dhr.evaluate.scores import Scores
from dhr.evaluate.tally import Tally
from dhr.evaluate.threads import in_order
from dhr.progress import Progress, Step, silent
from dhr.results.origin import mismatch
from dhr.results.places import mask_folder
from dhr.results.protocol import Records

STAGES = ("cam", "base", "seed", "inter", "intra", "mask")
"""Steps of the method in order; ``mask`` is the final mask."""

_REASONS = 3  # that a message names

STRICT = EvaluateConfig()
"""Masks that do not fit are an error; intervals are not computed."""


def stage_folder(out: Path, stage: str) -> Path:
    """Return the folder of the masks of ``stage``, one of :data:`STAGES`, in the output folder ``out`` of a run."""
    return mask_folder(out) if stage == "mask" else out / "stages" / stage


def stage_folders(out: Path) -> dict[str, Path]:
    """Return the folders of all stages that were kept there, in the order of :data:`STAGES`; ``mask`` always."""
    stages = [stage for stage in STAGES if stage == "mask" or stage_folder(out, stage).is_dir()]
    return {stage: stage_folder(out, stage) for stage in stages}


def evaluate(data: DataSet, predictions: Path, config: EvaluateConfig = STRICT, progress: Progress = silent) -> Scores:
    """Compare ``predictions/<name>.png`` with the ground truth of every photograph that has one.

    Memory depends on the number of threads, the largest photographs and the number of classes; of a photograph only its
    name and one number are kept. Photographs without ground truth do not count, but their number is kept.

    Args:
        data: photographs with ground truth.
        predictions: folder of masks: class ids of ``data.classes``, 255 for void.
        config: masks that are allowed; a damaged mask, and one with an unknown class id, never are.
        progress: called after each photograph.

    Raises:
        DataError: ground truth, the folder or a mask is missing, or a mask cannot be compared with its ground truth.
    """
    return compare(data, {"masks": predictions}, config, progress).scores["masks"]


def evaluate_stages(
    data: DataSet, out: Path, config: EvaluateConfig = STRICT, progress: Progress = silent
) -> dict[str, Scores]:
    """Score every step that the run with the output folder ``out`` kept, in the order of :data:`STAGES`.

    Arguments and errors are those of :func:`compare`.
    """
    return compare(data, stage_folders(out), config, progress).scores


def compare(
    data: DataSet, folders: Mapping[str, Path], config: EvaluateConfig = STRICT, progress: Progress = silent
) -> Comparison:
    """Score several folders of masks, and their differences from the first; each ground truth is read once.

    All are scored on the same photographs: if a mask may be missing or of the wrong size, its photograph is left out of
    the scores of all folders. Arguments and errors are those of :func:`evaluate`.
    """
    if not folders:
        raise ConfigError("expected at least one folder of masks, got none; name one")
    for folder in folders.values():
        check_folder(folder)
    samples = [sample for sample in data.samples if sample.has_ground_truth]
    if not samples:
        raise DataError(without_truth(data, "add ground-truth masks, NAME.png for each photograph"))
    masks = {name: masks_at(folder) for name, folder in folders.items()}
    found = {name: find_predictions(data, samples, one, config) for name, one in masks.items()}
    scored = [sample for sample in samples if all(sample.name in one.files for one in found.values())]
    records = {name: one.records for name, one in masks.items()}
    sums = _Sums(data, found, config)
    looks = in_order(partial(_look, data, found, records), scored, config.workers)
    for done, (sample, look) in enumerate(zip(scored, looks, strict=True), start=1):
        sums.add(sample, look)
        progress(Step("evaluate", done, len(scored)))
    sums.refuse(len(scored))
    resampled = {name: tally.resampled() for name, tally in sums.tallies.items()}
    scores = {name: sums.scores(name, one, samples) for name, one in resampled.items()}
    if not all(one.per_image for one in scores.values()):
        raise DataError(
            f"no photograph has a mask of the right size in every folder ({', '.join(map(str, folders.values()))}); "
            "make the masks again, or evaluate the folders one by one"
        )
    start, *others = scores
    differences = (
        difference((start, name), scores[start], scores[name], resampled[start], resampled[name]) for name in others
    )
    return Comparison(scores, tuple(differences))


@dataclass(frozen=True)
class _Look:
    """One photograph in every folder, by the folder's name."""

    counts: dict[str, Counts]
    wrong_size: dict[str, str]
    refused: dict[str, str]
    unread: str | None = None
    """Why the ground truth cannot be read."""


class _Sums:
    """Adds up photographs: scores, agreement of tags with ground truth and masks, and problems."""

    def __init__(self, data: DataSet, found: Mapping[str, Predictions], config: EvaluateConfig) -> None:
        self._data, self._found, self._allow_wrong_size = data, found, config.allow_wrong_size
        self.tallies = {name: Tally(data.classes, config.resamples, config.seed) for name in found}
        self._ground_truth = Agreement(data.classes)
        self._masks = {
            name: Agreement(data.classes, f"masks in {one.folder}", complete=False) for name, one in found.items()
        }
        self._wrong_size: dict[str, list[str]] = {name: [] for name in found}
        self._refused: dict[str, list[Problem]] = {name: [] for name in found}
        self._unread: list[Problem] = []

    def add(self, sample: Sample, look: _Look) -> None:
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

    def scores(self, name: str, resampled: Measures | None, samples: Sequence[Sample]) -> Scores:
        """Return the scores of a folder; ``samples`` are all photographs with ground truth."""
        found, wrong = self._found[name], tuple(self._wrong_size[name])
        tally = self.tallies[name]
        return tally.scores(
            resampled,
            missing=found.missing,
            extra=found.extra,
            wrong_size=wrong,
            elsewhere=len(samples) - tally.photographs - len(found.missing) - len(wrong),
            without_truth=len(self._data.samples) - len(samples),
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


def _look(data: DataSet, found: Mapping[str, Predictions], records: Mapping[str, Records], sample: Sample) -> _Look:
    look = _Look({}, {}, {})
    try:
        truth = data.read_ground_truth(sample)
        _check_ids(truth, data.classes)
    except ItemError as error:
        return _Look({}, {}, {}, str(error))
    shared = {*records.values()}  # the stages of a run share their records
    others = {one: mismatch(one.record(sample.name), data, sample) for one in shared}
    for name, predictions in found.items():
        where = ""
        try:
            if reason := others[records[name]]:
                raise ItemError(reason)
            mask = predictions.mask(sample.name)
            where = f"{mask}: "
            pred = predictions.numbering.read(mask)
            if pred.shape != truth.shape:
                look.wrong_size[name] = f"the mask is {_size(pred)} pixels, the ground truth {_size(truth)}"
                continue
            look.counts[name] = count(pred, truth, len(data.classes.names))
        except ItemError as error:
            look.refused[name] = str(error).removeprefix(where)
    return look


def _check_ids(labels: UInt8[np.ndarray, "h w"], classes: ClassTable) -> None:
    many = len(classes.names)
    unknown = labels[(labels >= many) & (labels != VOID)]
    if unknown.size:
        raise ItemError(f"the ground truth holds class id {unknown[0]}, the class table ends at {many - 1}")


def _each_reason(problems: Sequence[Problem]) -> str:
    """Each reason once, with the photograph that has it first."""
    texts = []
    for group in group_problems(problems)[:_REASONS]:
        one, *others = group.problems
        more = f" and {len(others)} more for the same reason" if others else ""
        texts.append(f"{one.source} ({one.reason}){more}")
    return ", ".join(texts)


def _size(labels: UInt8[np.ndarray, "h w"]) -> str:
    return f"{labels.shape[1]}x{labels.shape[0]}"
