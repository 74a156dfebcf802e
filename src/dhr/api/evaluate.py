"""Scores of masks: ``dhr.evaluate``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dhr.api.data import Data, opened
from dhr.api.results import EvaluateResult
from dhr.api.settings import part_settings
from dhr.data.samples import DataSet
from dhr.engine.config import Engine
from dhr.errors import ConfigError
from dhr.evaluate.config import EvaluateConfig
from dhr.files import check_output, write_json_output
from dhr.progress import Progress, silent
from dhr.results.places import mask_folder, masks_meant
from dhr.words import STAGE_NAMES


@dataclass(frozen=True)
class Outputs:
    """Files that are written beside the result."""

    json: Path | None = None
    """a file that gets all scores."""
    csv: Path | None = None
    """a file that gets one line per folder and class."""
    plots: Path | None = None
    """a folder that gets drawings of the scores (needs dhr[plots])."""


def evaluate(
    data: Data | None,
    masks: Path | str | Sequence[Path | str],
    *,
    ground_truth: Path | str | None = None,
    outputs: Outputs | None = None,
    config: EvaluateConfig | str | Path | Mapping[str, Any] | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> EvaluateResult:
    """Score folders of masks against ground truth.

    The ground truth is that of a data set (--data), or a folder of masks (--ground-truth; NAME.png, 255 = void), which
    works without photographs. Several folders are compared with the first of them, on the same photographs:
    differences with their intervals, and the photographs that differ most. If the only folder belongs to a run, the
    masks of all its steps are scored, and its report.html gets ground truth, scores and charts.

    Missing masks, masks without a photograph and masks of another size than the ground truth are errors. If they are
    allowed, they are left out and counted. docs/evaluate.md explains each score.

    Args:
        data: the data set, with ground truth.
        masks: folders of masks, such as OUT/masks or OUT/rows.
        ground_truth: instead of data: folder of masks; classes from classes.txt in or beside it, run.json, or VOC's.
        outputs: files that are written, too.
        config: masks that are allowed, and the intervals.
        engine: with `ray`, many machines score the rows of one run with a manifest (docs/cluster.md).
        progress: called after each photograph.

    Returns:
        All scores.

    Raises:
        DataError: there is no ground truth, or a mask cannot be compared with it.
        ConfigError: the arguments do not fit together.
    """
    folders = [masks] if isinstance(masks, str | Path) else [*masks]
    settings, files = part_settings(EvaluateConfig, config), outputs or Outputs()
    _check(data, ground_truth, files)
    from dhr.evaluate import compare, stage_folders
    from dhr.flow.ahead import cores

    paths, show = [masks_meant(Path(folder)) for folder in folders], progress or silent
    named = dict(zip(labels(paths), paths, strict=True))
    out = paths[0].resolve().parent
    of_run = data is not None and len(paths) == 1 and _is_masks_of_run(paths[0].resolve())
    if engine is not None and engine.engine is not None:
        from dhr.api.cluster import evaluate_on_cluster

        return _with_files(evaluate_on_cluster(data, named, of_run, (settings, engine), show), files)
    photographs = _photographs(data, ground_truth, show)
    found = compare(photographs, stage_folders(out) if of_run else named, settings, show)
    result = EvaluateResult(
        comparison=found,
        stages=of_run,
        left_out=tuple(photographs.problems),
        notes=() if data is None else tuple(photographs.notes),
        threads=settings.workers or cores(),
    )
    result = _with_files(result, files)
    if of_run:
        from dhr.report.build import write_report

        result = replace(result, files=(*result.files, write_report(out, photographs, found.scores)))
    return result


def _is_masks_of_run(folder: Path) -> bool:
    return folder == mask_folder(folder.parent) and (folder.parent / "run.json").is_file()


def _photographs(data: Data | None, ground_truth: Path | str | None, progress: Progress) -> DataSet:
    """Open the data set, or the folder of ground truth; :func:`_check` has seen that one of them is given."""
    from dhr.evaluate import GroundTruthFolder

    if data is not None:
        return opened(data, progress)
    assert ground_truth is not None
    return GroundTruthFolder(Path(ground_truth))


def _check(data: Data | None, ground_truth: Path | str | None, files: Outputs) -> None:
    """Refuse arguments that cannot work, before anything is read."""
    if (data is None) == (ground_truth is None):
        raise ConfigError(
            "give --data DIR, a data set with ground truth, or --ground-truth DIR, a folder of ground-truth masks alone"
        )
    if files.plots is not None:
        from dhr.evaluate.plots import check_matplotlib

        check_matplotlib()
    for file in (files.json, files.csv, None if files.plots is None else files.plots / "plot.png"):
        if file is not None:
            check_output(file)


def _with_files(result: EvaluateResult, files: Outputs) -> EvaluateResult:
    """Write the files."""
    from dhr.evaluate.sheet import write_csv

    found, written = result.comparison, list[Path]()
    shown = {STAGE_NAMES[name]: one for name, one in found.scores.items()} if result.stages else found.scores
    if files.json is not None:
        values = found.to_json() if len(found.scores) > 1 and not result.stages else result.scores.to_json()
        if result.stages:
            values["stages"] = {stage: one.whole_json() for stage, one in found.scores.items()}
        write_json_output(files.json, values)
    if files.csv is not None:
        write_csv(files.csv, shown)
    if files.plots is not None:
        from dhr.evaluate.plots import write_plots

        written += write_plots(files.plots, shown, () if result.stages else found.differences)
    return replace(result, files=(*written, *result.files))


def labels(folders: Sequence[Path]) -> list[str]:
    """Return names of folders for tables: the ends of their paths, long enough to tell them apart.

    >>> labels([Path("a/masks"), Path("b/masks")]), labels([Path("out/fine"), Path("out/coarse")])
    (['a/masks', 'b/masks'], ['fine', 'coarse'])

    Raises:
        ConfigError: a folder is given twice, or the list is empty.
    """
    parts = [folder.resolve().parts for folder in folders]
    if not parts:
        raise ConfigError("expected at least one folder of masks, got none; name one with --masks DIR")
    if len(set(parts)) < len(parts):
        raise ConfigError("--masks names a folder twice; name each once")
    for count in range(1, max(map(len, parts)) + 1):
        short = ["/".join(names[-count:]) for names in parts]
        if len(set(short)) == len(short):
            break
    return short
