"""Builds the networks of a finished run again, as they made its masks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from dhr.data.samples import Sample
from dhr.errors import OutputError, WeightsError
from dhr.job.calibration import read_calibration
from dhr.job.deterministic import make_deterministic
from dhr.job.drafts import Drafts
from dhr.job.folder import OutputFolder
from dhr.job.kept import Keeper
from dhr.job.masks import MaskMaker
from dhr.job.models import Models, build_models
from dhr.job.opened_run import OpenedRun
from dhr.job.scan import Scan
from dhr.job.settings import RunConfig, differences
from dhr.job.survey_file import read_survey
from dhr.method.survey import Survey
from dhr.progress import silent
from dhr.results.protocol import Records
from dhr.sources import Given, MapSource
from dhr.sources.combined import CombinedSource
from dhr.train.student_file import read_student

_FREE = ("device", "precision")  # another machine may have others


def opened_maker(run: OpenedRun) -> MaskMaker:
    """Return the maker of a run's masks, with its networks, calibration and survey.

    Raises:
        DhrError: a file of the run, its weights or its maps are missing, or were changed.
    """
    make_deterministic()
    folder, config, data = run.folder, run.config, run.data
    device = config.find_device()
    _refuse_other_weights(run, device)
    models = _models(run, device)
    keeper = Keeper(folder, data.classes, models.uss.channels)
    samples = tuple(data.samples)
    drafts = Drafts(models, data, Scan(samples, (), "", {}, {}, {}), config, keeper, second=config.recursion)
    return MaskMaker(drafts, _survey(folder, config, models, len(data.classes.names)))


def _refuse_other_weights(run: OpenedRun, device: torch.device) -> None:
    """Refuse files of weights and maps with another content than the run had."""
    before = run.record.identity.settings
    old, new = (
        {key: value for key, value in one.items() if key not in _FREE}
        for one in (before, run.config.identity(device, before))
    )
    if before and (found := differences(old, new)):
        raise WeightsError(
            f"the networks of {run.folder.root} cannot be used again: {found[0]}; restore the files that the run used, "
            "or run it again"
        )


def _models(run: OpenedRun, device: torch.device) -> Models:
    """Build the networks that made the final masks."""
    data, config, folder = run.data, run.config, run.folder
    if config.recursion:
        from dhr.sources.student import StudentSource

        student = read_student(_present(folder.student)).student
        return replace(
            build_models(data, config, folder, device),
            source=StudentSource(Given(config, data.classes, device), student),
        )
    models = build_models(data, config, folder, device)
    source = models.source
    for fitting in source.fittings:
        _present(folder.fitted(fitting.file))
    if isinstance(source, CombinedSource):
        path = _present(folder.calibration)
        try:
            found = read_calibration(path, len(source.parts), len(data.classes.names))
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error
        source.calibration = found.calibration.to(device)
    if source.reads_files:
        _check_files(source, data.samples, run.masks.records)
    return models


def _check_files(source: MapSource, samples: Sequence[Sample], records: Records) -> None:
    """Read the files of maps once, as the run did."""
    items = {sample.name: records.record(sample.name) for sample in samples}
    sizes = {name: (item.height, item.width) for name, item in items.items() if item is not None}
    source.check([sample for sample in samples if sample.name in sizes], sizes, silent)


def _survey(folder: OutputFolder, config: RunConfig, models: Models, classes: int) -> Survey | None:
    if config.method.survey == 0:
        return None
    path = _present(folder.survey)
    try:
        return read_survey(path, classes, models.uss.channels)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _present(path: Path) -> Path:
    """Return the path of a file that the run must have."""
    if not path.is_file():
        raise OutputError(f"{path} is missing, so the masks of this run cannot be made again; run it again")
    return path


def _damaged(path: Path, error: Exception) -> OutputError:
    return OutputError(f"{path} is damaged ({getattr(error, 'strerror', None) or error}); run it again")
