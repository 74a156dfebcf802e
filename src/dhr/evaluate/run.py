"""Scores folders of masks against a data set's truth, strictly: what cannot be compared is an error, not a zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.agreement import Agreement, Check
from dhr.data.ground_truth import ListsGroundTruth, stray_notes
from dhr.data.mask_origin import Origins
from dhr.data.problems import group_problems
from dhr.data.samples import VOID, ClassTable, DataSet, Problem, Sample
from dhr.errors import ConfigError, DataError, ItemError
from dhr.evaluate.compare import Comparison, difference
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.counts import Counts, count
from dhr.evaluate.folders import Predictions, check_folder, find_predictions, tags_of
from dhr.evaluate.masks import without_truth
from dhr.evaluate.scores import Scores
from dhr.evaluate.tally import Tally
from dhr.evaluate.threads import in_order
from dhr.evaluate.truth_folder import TruthFolder
from dhr.progress import Progress, Step, silent

STAGES = ("cam", "base", "seed", "inter", "intra", "mask")
"""Stages of the method in their order; ``mask`` is the final one."""


_REASONS = 3  # that a message spells out

STRICT = EvaluateConfig()
"""Whatever does not fit is an error; no intervals."""


def stage_folder(out: Path, stage: str) -> Path:
    """Where a run with the output folder ``out`` keeps the masks of ``stage``, one of :data:`STAGES`."""
    return out / "masks" if stage == "mask" else out / "stages" / stage


def stage_folders(out: Path) -> dict[str, Path]:
    """The folders of all stages that were kept there, in the order of :data:`STAGES`; ``mask`` always."""
    stages = [stage for stage in STAGES if stage == "mask" or stage_folder(out, stage).is_dir()]
    return {stage: stage_folder(out, stage) for stage in stages}


def evaluate(data: DataSet, predictions: Path, config: EvaluateConfig = STRICT, progress: Progress = silent) -> Scores:
    """Compare ``predictions/<name>.png`` with the truth of every photograph that has one.

    The memory needed depends on the largest photographs, as many as there are threads, and on the number of classes;
    of a photograph its name and one number stay. Photographs without a truth do not count; the scores say how many.

    Args:
        data: photographs with truth.
        predictions: folder of masks: class ids of ``data.classes``, 255 for void.
        config: what is allowed; a damaged mask, and one with an unknown class id, never is.
        progress: called after each photograph.

    Raises:
        DataError: there is no truth or no folder, a mask is missing, or a mask cannot be compared with its truth.
    """
    return compare(data, {"masks": predictions}, config, progress).scores["masks"]


def evaluate_stages(
    data: DataSet, out: Path, config: EvaluateConfig = STRICT, progress: Progress = silent
) -> dict[str, Scores]:
    """Scores of every stage that the run with the output folder ``out`` kept, in the order of :data:`STAGES`.

    Arguments and errors are those of :func:`compare`.
    """
    return compare(data, stage_folders(out), config, progress).scores


def compare(
    data: DataSet, folders: Mapping[str, Path], config: EvaluateConfig = STRICT, progress: Progress = silent
) -> Comparison:
    """Scores of several folders of masks, each truth read once, and the differences of all from the first.

    All are scored on the same photographs: what is allowed to be missing, or of the wrong size, in one of the folders
    is left out of the scores of all. Arguments and errors are those of :func:`evaluate`.
    """
    if not folders:
        raise ConfigError("expected at least one folder of masks, got none; name one")
    for folder in folders.values():
        check_folder(folder)
    samples = [sample for sample in data.samples if sample.has_ground_truth]
    if not samples:
        raise DataError(without_truth(data, "add ground-truth masks, NAME.png for each photograph"))
    found = {name: find_predictions(data, samples, folder, config) for name, folder in folders.items()}
    scored = [sample for sample in samples if all(sample.name in one.paths for one in found.values())]
    tallies = {name: Tally(data.classes, config.resamples, config.seed) for name in folders}
    agreement = _Agreements(data, found)
    wrong: dict[str, list[str]] = {name: [] for name in folders}
    refused: dict[str, list[Problem]] = {name: [] for name in folders}
    unread: list[Problem] = []
    origins = {name: Origins.beside(folder) for name, folder in folders.items()}
    looks = in_order(partial(_look, data, found, origins), scored, config.workers)
    for done, (sample, look) in enumerate(zip(scored, looks, strict=True), start=1):
        if look.unread is not None:
            unread.append(Problem(sample.name, look.unread))
        for name, reason in look.refused.items():
            refused[name].append(Problem(sample.name, reason))
        for name, reason in look.wrong_size.items():
            if config.allow_wrong_size:
                wrong[name].append(sample.name)
            else:
                refused[name].append(Problem(sample.name, reason))
        if len(look.counts) == len(folders):
            agreement.add(sample, look.counts)
            for name, counts in look.counts.items():
                tallies[name].add_counts(sample, counts)
        progress(Step("evaluate", done, len(scored)))
    _refuse(found, refused, unread, len(scored))
    agreement.truth.refuse_nothing()

    resampled = {name: tally.resampled() for name, tally in tallies.items()}
    scores = {
        name: tally.scores(
            resampled[name],
            missing=found[name].missing,
            extra=found[name].extra,
            wrong_size=tuple(wrong[name]),
            without_truth=len(data.samples) - len(samples),
            checks=agreement.checks(name),
        )
        for name, tally in tallies.items()
    }
    scores = {name: replace(one, elsewhere=_elsewhere(one, len(samples))) for name, one in scores.items()}
    if not all(one.per_image for one in scores.values()):
        raise DataError(
            f"no photograph has a mask of the right size in every folder ({', '.join(map(str, folders.values()))}); "
            "make the masks again, or evaluate the folders one by one"
        )
    start, *others = scores
    return Comparison(
        scores,
        tuple(
            difference((start, name), scores[start], scores[name], resampled[start], resampled[name]) for name in others
        ),
    )


@dataclass(frozen=True)
class _Look:
    """One photograph in every folder, by the folder's name."""

    counts: dict[str, Counts]
    wrong_size: dict[str, str]
    refused: dict[str, str]
    unread: str | None = None
    """Why the ground truth cannot be read."""


class _Agreements:
    """Tags against ground truth, and against each folder of masks."""

    def __init__(self, data: DataSet, found: Mapping[str, Predictions]) -> None:
        self._data, self._found = data, found
        self.truth = Agreement(data.classes)
        self._masks = {
            name: Agreement(data.classes, f"masks in {one.folder}", complete=False) for name, one in found.items()
        }

    def add(self, sample: Sample, counts: Mapping[str, Counts]) -> None:
        tags = tags_of(self._data, sample)
        first = next(iter(counts.values()))
        pixels = np.zeros(VOID + 1, np.int64)
        pixels[: len(first.matrix)] = first.matrix.sum(1)
        pixels[VOID] = first.seen.sum() - pixels.sum()
        self.truth.add(sample.name, tags, pixels)
        for name, one in counts.items():
            self._masks[name].add(sample.name, tags, one.seen)

    def checks(self, name: str) -> tuple[Check, ...]:
        strays = stray_notes(self._data.stray_ground_truth) if isinstance(self._data, ListsGroundTruth) else []
        return (
            *(Check("stray_truth", line) for line in strays),
            *(Check("classes", line) for line in self._data.notes if isinstance(self._data, TruthFolder)),
            *(Check("classes", line) for line in self._found[name].numbering.all_notes),
            *self.truth.checks(),
            *self._masks[name].checks(),
        )


def _look(data: DataSet, found: Mapping[str, Predictions], origins: Mapping[str, Origins], sample: Sample) -> _Look:
    look = _Look({}, {}, {})
    try:
        truth = data.read_ground_truth(sample)
        _check_ids(truth, data.classes)
    except ItemError as error:
        return _Look({}, {}, {}, str(error))
    others = {one: one.other(data, sample) for one in {*origins.values()}}  # the stages of a run share their records
    for name, predictions in found.items():
        try:
            if reason := others[origins[name]]:
                raise ItemError(reason)
            pred = predictions.numbering.read(predictions.paths[sample.name])
            if pred.shape != truth.shape:
                look.wrong_size[name] = f"the mask is {_size(pred)} pixels, the ground truth {_size(truth)}"
                continue
            look.counts[name] = count(pred, truth, len(data.classes.names))
        except ItemError as error:
            look.refused[name] = str(error).removeprefix(f"{predictions.paths[sample.name]}: ")
    return look


def _check_ids(labels: UInt8[np.ndarray, "h w"], classes: ClassTable) -> None:
    many = len(classes.names)
    unknown = labels[(labels >= many) & (labels != VOID)]
    if unknown.size:
        raise ItemError(f"the ground truth holds class id {unknown[0]}, the class table ends at {many - 1}")


def _refuse(
    found: Mapping[str, Predictions], refused: Mapping[str, Sequence[Problem]], unread: Sequence[Problem], scored: int
) -> None:
    if unread:
        raise DataError(f"{len(unread)} of {scored} ground-truth masks cannot be read: {_each_reason(unread)}")
    for name, reasons in refused.items():
        if reasons:
            raise DataError(
                f"{len(reasons)} of {scored} masks in {found[name].folder} cannot be compared with their truth: "
                f"{_each_reason(reasons)}; correct them"
            )


def _each_reason(problems: Sequence[Problem]) -> str:
    """Each reason once, with the photograph that has it first."""
    texts = []
    for group in group_problems(problems)[:_REASONS]:
        one, *others = group.problems
        more = f" and {len(others)} more for the same reason" if others else ""
        texts.append(f"{one.source} ({one.reason}){more}")
    return ", ".join(texts)


def _elsewhere(scores: Scores, photographs: int) -> int:
    return photographs - len(scores.per_image) - len(scores.missing) - len(scores.wrong_size)


def _size(labels: UInt8[np.ndarray, "h w"]) -> str:
    return f"{labels.shape[1]}x{labels.shape[0]}"
