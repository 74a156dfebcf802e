"""Scores a folder of masks against a data set's truth, strictly: what cannot be compared is an error, not a zero."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.images import read_mask
from dhr.data.samples import VOID, ClassTable, DataSet
from dhr.errors import DataError, ItemError
from dhr.evaluate.scores import Scores
from dhr.evaluate.tally import Tally

STAGES = ("cam", "base", "seed", "inter", "intra", "mask")
"""Stages of the method in their order; ``mask`` is the final one."""

Progress = Callable[[int, int], None]
"""Called with (photographs done, photographs in all)."""

_NAMED = 5  # names that a message spells out


def stage_folder(out: Path, stage: str) -> Path:
    """Where a run with the output folder ``out`` keeps the masks of ``stage``, one of :data:`STAGES`."""
    return out / "masks" if stage == "mask" else out / "stages" / stage


def evaluate(
    data: DataSet, predictions: Path, *, allow_missing: bool = False, progress: Progress | None = None
) -> Scores:
    """Compare ``predictions/<name>.png`` with the truth of every photograph that has one.

    One photograph at a time: the memory needed depends on the largest photograph and the number of classes. Photographs
    without a truth, and masks that belong to no photograph, do not count; the scores name them.

    Args:
        data: photographs with truth.
        predictions: folder of masks: class ids of ``data.classes``, 255 for void.
        allow_missing: leave photographs without a mask out of the scores and name them in ``Scores.missing``, instead
            of refusing. A mask of the wrong size or with an unknown class id is refused all the same.
        progress: called after each photograph.

    Raises:
        DataError: there is no truth or no folder, a mask is missing, or a mask cannot be compared with its truth.
    """
    if not predictions.is_dir():
        raise DataError(
            f"expected a folder of masks at {predictions}, there is none; give the folder that holds the PNG files"
        )
    samples = [sample for sample in data.samples if sample.has_truth]
    if not samples:
        raise DataError(
            f"none of the {len(data.samples)} photographs has a truth mask to compare with; add truth masks"
        )
    present = {path.relative_to(predictions).as_posix()[: -len(".png")] for path in predictions.rglob("*.png")}
    missing = [sample.name for sample in samples if sample.name not in present]
    if missing and (not allow_missing or len(missing) == len(samples)):
        raise DataError(
            f"{len(missing)} of {len(samples)} masks are missing in {predictions}: {_first(missing)}; "
            "make them, or leave these photographs out of the scores (--allow_missing)"
        )

    tally, refused = Tally(data.classes), list[str]()
    scored = [sample for sample in samples if sample.name in present]
    for done, sample in enumerate(scored, start=1):
        try:
            truth = data.read_truth(sample)
            tally.add(sample, _prediction(predictions / f"{sample.name}.png", truth, data.classes), truth)
        except ItemError as error:
            refused.append(f"{sample.name} ({error})")
        if progress is not None:
            progress(done, len(scored))
    if refused:
        raise DataError(
            f"{len(refused)} of {len(scored)} masks in {predictions} cannot be compared with their truth: "
            f"{_first(refused)}; make them anew"
        )
    extra = sorted(present.difference(sample.name for sample in data.samples))
    return tally.scores(missing, extra, without_truth=len(data.samples) - len(samples))


def evaluate_stages(
    data: DataSet, out: Path, *, allow_missing: bool = False, progress: Progress | None = None
) -> dict[str, Scores]:
    """Scores of every stage that the run with the output folder ``out`` kept, in the order of :data:`STAGES`.

    Arguments and errors are those of :func:`evaluate`; ``progress`` counts the photographs of all stages together.
    """
    stages = [stage for stage in STAGES if stage == "mask" or stage_folder(out, stage).is_dir()]
    scores = {}
    for index, stage in enumerate(stages):
        scores[stage] = evaluate(
            data,
            stage_folder(out, stage),
            allow_missing=allow_missing,
            progress=None if progress is None else _part(progress, index, len(stages)),
        )
    return scores


def _prediction(path: Path, truth: UInt8[np.ndarray, "h w"], classes: ClassTable) -> UInt8[np.ndarray, "h w"]:
    pred, count = read_mask(path), len(classes.names)
    if pred.shape != truth.shape:
        raise ItemError(f"the mask is {_size(pred)} pixels, the truth {_size(truth)}")
    for kind, labels in (("mask", pred), ("truth", truth)):
        unknown = labels[(labels >= count) & (labels != VOID)]
        if unknown.size:
            raise ItemError(f"the {kind} holds class id {unknown[0]}, the class table ends at {count - 1}")
    return pred


def _size(labels: UInt8[np.ndarray, "h w"]) -> str:
    return f"{labels.shape[1]}x{labels.shape[0]}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _part(progress: Progress, index: int, parts: int) -> Progress:
    return lambda done, total: progress(index * total + done, parts * total)
