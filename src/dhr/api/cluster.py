"""Commands on a cluster of machines."""

from pathlib import Path

from dhr.api.data import Data, DataFolder, data_record, folder_of, split_of
from dhr.api.results import RunResult
from dhr.data.manifest import ManifestDataSet
from dhr.data.manifest.read import fits_manifest
from dhr.data.samples import ClassTable
from dhr.engine.config import RunEngine
from dhr.errors import ConfigError
from dhr.job.settings import RunConfig
from dhr.progress import Progress


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
    from dhr.job.folder import OutputFolder
    from dhr.job.run import Origin
    from dhr.records.members import to_json
    from dhr.records.run import read_run

    call = Call(root, out, settings, engine, split_of(data), Origin(preset, data_record(data)))
    made = run(call, progress)
    record = read_run(OutputFolder(out).record)
    photographs = ManifestDataSet(ClassTable(record.classes or (), bool(record.background)), ())
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


def manifest_of(data: Data) -> Path:
    """Return the place of a manifest.

    Raises:
        ConfigError: the data are something else.
    """
    root = folder_of(data)
    if root is None or not fits_manifest(root):
        raise ConfigError(
            "--engine ray needs a manifest as --data; make one of any data set: dhr manifest --data DIR --file "
            "photos.parquet"
        )
    if isinstance(data, DataFolder) and data.ignore_unknown:
        raise ConfigError("--ignore-unknown has no meaning for a manifest; leave it out")
    return root
