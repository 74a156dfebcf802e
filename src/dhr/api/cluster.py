"""Commands on a cluster of machines."""

from collections.abc import Mapping
from pathlib import Path

from dhr.api.data import Data, DataFolder, data_record, folder_of, split_of
from dhr.api.results import EvaluateResult, PredictResult, RunResult
from dhr.data.manifest import ManifestDataSet
from dhr.data.manifest.read import fits_manifest
from dhr.data.samples import ClassTable
from dhr.engine.config import Engine, RunEngine
from dhr.errors import ConfigError
from dhr.evaluate.config import EvaluateConfig
from dhr.job.predict_config import PredictConfig
from dhr.job.settings import RunConfig
from dhr.progress import Progress
from dhr.results.places import is_rows


def run_on_cluster(
    data: Data, out: Path, settings: RunConfig, preset: str, engine: RunEngine, progress: Progress
) -> RunResult:
    """Make masks on a cluster; see :func:`dhr.run`.

    Raises:
        ConfigError: the data are not a manifest.
        DhrError: as :func:`dhr.run`.
    """
    root = manifest_of(data)
    from dhr.engine.run import Call, run
    from dhr.job.run import Origin
    from dhr.records.members import to_json

    call = Call(root, out, settings, engine, split_of(data), Origin(preset, data_record(data)))
    made = run(call, progress)
    photographs = _without_rows(out)
    return RunResult(
        out=out,
        made=made.masks,
        left_out=made.skipped,
        notes=made.notes,
        classes=photographs.classes,
        new=made.new,
        vanished=made.vanished,
        stages=tuple(map(to_json, made.stages)),
        report=out / "report.html",
        data=photographs,
    )


def predict_on_cluster(
    student: Path, images: Path, out: Path, tags: Path | None, how: tuple[PredictConfig, Engine], progress: Progress
) -> PredictResult:
    """Segment photographs on a cluster; see :func:`dhr.predict`.

    Raises:
        ConfigError: the photographs are not a manifest, or ``tags`` is another file.
        DhrError: as :func:`dhr.predict`.
    """
    root, (settings, engine) = manifest_of(images, "--images"), how
    if tags is not None and tags.resolve() != root.resolve():
        raise ConfigError(
            f"--tags: with --engine ray, tags are those of the manifest: expected --tags {root}, got {tags}; name it, "
            "or leave --tags out"
        )
    from dhr.engine.predict import PredictCall, predict

    made = predict(PredictCall(student, root, out, settings, engine, tags is not None), progress)
    photographs = _without_rows(out)
    return PredictResult(
        out=out,
        made=made.masks,
        left_out=made.skipped,
        notes=made.notes,
        classes=photographs.classes,
        report=out / "report.html",
        data=photographs,
    )


def evaluate_on_cluster(
    data: Data | None,
    folders: Mapping[str, Path],
    of_run: bool,
    how: tuple[EvaluateConfig, Engine],
    progress: Progress,
) -> EvaluateResult:
    """Score rows on a cluster; see :func:`dhr.evaluate`.

    Raises:
        ConfigError: there is no manifest, several folders, or one without rows.
        DhrError: as :func:`dhr.evaluate`.
    """
    if data is None:
        raise ConfigError("--engine ray needs a manifest as --data, with ground truth; leave out --ground-truth")
    (name, rows), *more = folders.items()
    if more or not is_rows(rows):
        raise ConfigError(
            f"--engine ray scores the rows of one run: expected one folder such as OUT/rows, got {rows}"
            f"{' and others' if more else ''}; name one, or leave out --engine"
        )
    root = manifest_of(data)
    from dhr.engine.evaluate import EvaluateCall, evaluate

    called = "mask" if of_run else name
    found = evaluate(EvaluateCall(root, rows, called, *how, split_of(data), of_run), progress)
    return EvaluateResult(
        comparison=found.comparison,
        stages=of_run,
        left_out=found.problems,
        notes=(),
        files=found.pages,
        threads=found.workers,
    )


def _without_rows(out: Path) -> ManifestDataSet:
    """Return a data set with the classes of a job: the driver holds no photographs."""
    from dhr.job.folder import OutputFolder
    from dhr.records.run import read_run

    record = read_run(OutputFolder(out).record)
    return ManifestDataSet(ClassTable(record.classes or (), bool(record.background)), ())


def manifest_of(data: Data, option: str = "--data") -> Path:
    """Return the place of a manifest; ``option`` names it.

    Raises:
        ConfigError: the data are something else.
    """
    root = folder_of(data)
    if root is None or not fits_manifest(root):
        raise ConfigError(
            f"--engine ray needs a manifest as {option}; make one of any data set: dhr manifest --data DIR --file "
            "photos.parquet"
        )
    if isinstance(data, DataFolder) and data.ignore_unknown:
        raise ConfigError("--ignore-unknown has no meaning for a manifest; leave it out")
    return root
