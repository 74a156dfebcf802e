"""Open a run that was made before: the first step of all commands with ``--run OUT``."""

from pathlib import Path

from dhr.api.data import Data, DataFolder, is_data, opened
from dhr.api.settings import changed, flat
from dhr.api.settings_file import beside
from dhr.data.samples import DataSet
from dhr.errors import ConfigError, DataError, OutputError
from dhr.job.folder import OutputFolder
from dhr.job.opened_run import OpenedRun
from dhr.job.settings import RunConfig
from dhr.progress import Progress
from dhr.records.run import RunRecord
from dhr.results.opened import rows_of_run


def opened_run(run: Path, data: Data | None, progress: Progress) -> OpenedRun:
    """Open the folder of a run, its data set and its settings.

    Args:
        run: the output folder of `dhr run`.
        data: the data set, if it was in memory or has moved; by default the folder that `run.json` names.
        progress: called while opening takes long.

    Raises:
        OutputError: it is not the folder of a run, or its record is damaged.
        DataError: the data set is not there, or is another one.
        ConfigError: its settings are of another version of dhr.
    """
    folder = OutputFolder(run)
    record = folder.read()
    if record is None:
        below = [path.parent for path in sorted(run.glob("*/run.json"))] if run.is_dir() else []
        there = f"such folders below it: {', '.join(map(str, below[:3]))}" if below else "make it first"
        raise OutputError(f"--run {run}: expected the output folder of dhr run, found no run.json; {there}")
    if record.kind != "run":
        raise OutputError(f"--run {run} holds results of `dhr {record.kind}`; name the output folder of dhr run")
    config = _config(record, folder.record)
    return OpenedRun(OutputFolder(run, record.shards), record, _data(record, run, data, progress), config)


def _config(record: RunRecord, place: Path) -> RunConfig:
    """Return the settings of the last call; their relative paths begin in its working directory."""
    values = flat(RunConfig, record.settings, str(place))
    config: RunConfig = changed(
        RunConfig(), values if record.directory is None else beside(values, Path(record.directory))
    )
    return config


def _data(record: RunRecord, run: Path, data: Data | None, progress: Progress) -> DataSet:
    if data is None:
        known = record.data
        if known is None:
            raise ConfigError(
                f"--run {run}: its run.json names no data folder, because the photographs were in memory or dhr was "
                "older; give them again with --data DIR, or data=..."
            )
        if not is_data(Path(known.path)):
            raise DataError(f"--run {run}: its data folder {known.path} is gone; name the folder with --data DIR")
        data = DataFolder(Path(known.path), known.split, known.format, known.ignore_unknown)
    found = opened(data, progress)
    table = (record.classes, record.background)
    if record.classes is not None and table != (found.classes.names, found.classes.background):
        raise DataError(
            f"--run {run}: its classes are {_few(record.classes)}, the data set has {_few(found.classes.names)}; name "
            "its data set with --data DIR, or, if its class table changed, continue the run first"
        )
    names = {sample.name for sample in found.samples}
    rows = rows_of_run(run)
    recorded = OutputFolder(run, record.shards).recorded() if rows is None else rows.names()
    first = next(recorded, None)
    if first is not None and first not in names and names.isdisjoint(recorded):
        raise DataError(
            f"--run {run}: its masks belong to other photographs than the {len(names)} here; give --data DIR"
        )
    return found


def _few(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
