"""Scores folders of masks against a data set's truth, strictly: what cannot be compared is an error, not a zero."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.images import read_mask
from dhr.data.made_of import Origins
from dhr.data.samples import VOID, ClassTable, DataSet, Sample
from dhr.errors import ConfigError, DataError, ItemError
from dhr.evaluate.compare import Comparison, difference
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.counts import Counts, count
from dhr.evaluate.folders import Predictions, check_folder, find_predictions, first
from dhr.evaluate.scores import Scores
from dhr.evaluate.tally import Tally
from dhr.evaluate.threads import in_order

STAGES = ("cam", "base", "seed", "inter", "intra", "mask")
"""Stages of the method in their order; ``mask`` is the final one."""

Progress = Callable[[int, int], None]
"""Called with (photographs done, photographs in all)."""

STRICT = EvaluateConfig()
"""Whatever does not fit is an error; no intervals."""


def stage_folder(out: Path, stage: str) -> Path:
    """Where a run with the output folder ``out`` keeps the masks of ``stage``, one of :data:`STAGES`."""
    return out / "masks" if stage == "mask" else out / "stages" / stage


def stage_folders(out: Path) -> dict[str, Path]:
    """The folders of all stages that were kept there, in the order of :data:`STAGES`; ``mask`` always."""
    stages = [stage for stage in STAGES if stage == "mask" or stage_folder(out, stage).is_dir()]
    return {stage: stage_folder(out, stage) for stage in stages}


def evaluate(
    data: DataSet, predictions: Path, config: EvaluateConfig = STRICT, progress: Progress | None = None
) -> Scores:
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
    data: DataSet, out: Path, config: EvaluateConfig = STRICT, progress: Progress | None = None
) -> dict[str, Scores]:
    """Scores of every stage that the run with the output folder ``out`` kept, in the order of :data:`STAGES`.

    Arguments and errors are those of :func:`compare`.
    """
    return compare(data, stage_folders(out), config, progress).scores


def compare(
    data: DataSet, folders: Mapping[str, Path], config: EvaluateConfig = STRICT, progress: Progress | None = None
) -> Comparison:
    """Scores of several folders of masks, each truth read once, and the differences of all from the first.

    All are scored on the same photographs: what is allowed to be missing, or of the wrong size, in one of the folders
    is left out of the scores of all. Arguments and errors are those of :func:`evaluate`.
    """
    if not folders:
        raise ConfigError("expected at least one folder of masks, got none; name one")
    for folder in folders.values():
        check_folder(folder)
    samples = [sample for sample in data.samples if sample.has_truth]
    if not samples:
        raise DataError(
            f"none of the {len(data.samples)} photographs has a truth mask to compare with; add truth masks"
        )
    found = {name: find_predictions(data, samples, folder, config) for name, folder in folders.items()}
    scored = [sample for sample in samples if all(sample.name in one.paths for one in found.values())]
    tallies = {name: Tally(data.classes, config.resamples, config.seed) for name in folders}
    wrong: dict[str, list[str]] = {name: [] for name in folders}
    refused: dict[str, list[str]] = {name: [] for name in folders}
    origins = {name: Origins.beside(folder) for name, folder in folders.items()}
    looks = in_order(partial(_look, data, found, origins), scored, config.workers)
    for done, (sample, look) in enumerate(zip(scored, looks, strict=True), start=1):
        for name, reason in look.refused.items():
            refused[name].append(f"{sample.name} ({reason})")
        for name, reason in look.wrong_size.items():
            if config.allow_wrong_size:
                wrong[name].append(sample.name)
            else:
                refused[name].append(f"{sample.name} ({reason})")
        if len(look.counts) == len(folders):
            for name, counts in look.counts.items():
                tallies[name].add_counts(sample, counts)
        if progress is not None:
            progress(done, len(scored))
    _refuse(found, refused, len(scored))

    resampled = {name: tally.resampled() for name, tally in tallies.items()}
    scores = {
        name: tally.scores(
            resampled[name],
            missing=found[name].missing,
            extra=found[name].extra,
            wrong_size=tuple(wrong[name]),
            without_truth=len(data.samples) - len(samples),
        )
        for name, tally in tallies.items()
    }
    scores = {name: replace(one, elsewhere=_elsewhere(one, len(samples))) for name, one in scores.items()}
    if not all(one.per_image for one in scores.values()):
        raise DataError(
            f"no photograph has a mask of the right size in every folder ({', '.join(map(str, folders.values()))}); "
            "make the masks anew, or evaluate the folders one by one"
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


def _look(data: DataSet, found: Mapping[str, Predictions], origins: Mapping[str, Origins], sample: Sample) -> _Look:
    look = _Look({}, {}, {})
    try:
        truth = data.read_truth(sample)
        _check_ids("truth", truth, data.classes)
    except ItemError as error:
        return _Look({}, {}, dict.fromkeys(found, str(error)))
    others = {one: one.other(data, sample) for one in {*origins.values()}}  # the stages of a run share their records
    for name, predictions in found.items():
        try:
            if reason := others[origins[name]]:
                raise ItemError(reason)
            pred = read_mask(predictions.paths[sample.name])
            if pred.shape != truth.shape:
                look.wrong_size[name] = f"the mask is {_size(pred)} pixels, the truth {_size(truth)}"
                continue
            _check_ids("mask", pred, data.classes)
            look.counts[name] = count(pred, truth, len(data.classes.names))
        except ItemError as error:
            look.refused[name] = str(error)
    return look


def _check_ids(kind: str, labels: UInt8[np.ndarray, "h w"], classes: ClassTable) -> None:
    many = len(classes.names)
    unknown = labels[(labels >= many) & (labels != VOID)]
    if unknown.size:
        raise ItemError(f"the {kind} holds class id {unknown[0]}, the class table ends at {many - 1}")


def _refuse(found: Mapping[str, Predictions], refused: Mapping[str, Sequence[str]], scored: int) -> None:
    for name, reasons in refused.items():
        if reasons:
            raise DataError(
                f"{len(reasons)} of {scored} masks in {found[name].folder} cannot be compared with their truth: "
                f"{first(reasons)}; make them anew"
            )


def _elsewhere(scores: Scores, photographs: int) -> int:
    return photographs - len(scores.per_image) - len(scores.missing) - len(scores.wrong_size)


def _size(labels: UInt8[np.ndarray, "h w"]) -> str:
    return f"{labels.shape[1]}x{labels.shape[0]}"
