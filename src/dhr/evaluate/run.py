"""Scores folders of masks against ground truth, strictly: a mask that cannot be compared is an error, not a zero."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from dhr.corrections.beside import masks_at
from dhr.data.samples import DataSet
from dhr.errors import ConfigError, DataError
from dhr.evaluate.compare import Comparison
from dhr.evaluate.config import EvaluateConfig
from dhr.evaluate.folders import check_folder, find_predictions
from dhr.evaluate.masks import without_truth
from dhr.evaluate.scores import Scores
from dhr.evaluate.sums import Sums, look
from dhr.evaluate.threads import in_order
from dhr.progress import Progress, Step, silent
from dhr.results.places import mask_folder

STAGES = ("cam", "base", "seed", "inter", "intra", "mask")
"""Steps of the method in order; ``mask`` is the final mask."""

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
    sums = Sums(data, found, config)
    looks = in_order(partial(look, data, found, records), scored, config.workers)
    for done, (sample, one) in enumerate(zip(scored, looks, strict=True), start=1):
        sums.add(sample, one)
        progress(Step("evaluate", done, len(scored)))
    return sums.comparison(len(scored), len(samples), len(data.samples) - len(samples))
