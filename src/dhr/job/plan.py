"""The plan of a run: the data set, what is used and why, and what it costs. Nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dhr.data.samples import DataSet, Problem
from dhr.errors import DataError, WeightsError
from dhr.job.advice import advice
from dhr.job.choices import Choice, choices
from dhr.job.dry_run import dry_run
from dhr.job.estimate import Estimate, Limits, estimate, trained_in
from dhr.job.fingerprint import Fingerprint, fingerprint, some_sizes
from dhr.job.fitted import fitted
from dhr.job.folder import OutputFolder
from dhr.job.left import LeftStage, Work, all_stages, work_of
from dhr.job.settings import RunConfig
from dhr.job.weights import run_weights
from dhr.models.remote import require
from dhr.progress import Progress, silent

LIMITS = Limits(4, 20.0)
"""Limits of the measurement."""


@dataclass(frozen=True)
class Plan:
    """The plan of a run."""

    fingerprint: Fingerprint
    choices: tuple[Choice, ...]
    work: tuple[Work, ...]
    """The work that is left, by stage."""
    estimate: Estimate | None
    """None if weights cannot be had, or nothing is left."""
    missing: str | None
    """Why weights cannot be had."""
    advice: tuple[str, ...]
    """Proposals, one sentence each."""
    problems: tuple[Problem, ...]
    """Photographs that cannot be used."""
    rejected: tuple[str, ...] = ()
    """Photographs that were rejected in review, and are left out."""


def plan(data: DataSet, out: Path | None, config: RunConfig, progress: Progress = silent) -> Plan:
    """Plan :func:`~dhr.job.run.run`.

    Args:
        data: photographs with tags.
        out: an output folder; of a run that it holds, the rest is planned.
        config: all settings.
        progress: called while photographs are read.

    Raises:
        DataError: no photograph can be read.
        OutputError: ``out`` holds something else, or a run with other settings.
        ConfigError: a setting cannot work.
    """
    device = config.find_device()
    left, problems, rejected = _left(data, out, config, progress)
    sizes = some_sizes(data)
    if not sizes:
        raise DataError("none of the photographs that were tried can be read; `dhr inspect` names the reasons")
    config = fitted(config, len(data.samples), [*sizes.values()], device.type)
    found, works = fingerprint(data, sizes), work_of(config, left, data, None if out is None else OutputFolder(out))
    missing, cost = None, None
    try:
        if any(one.amount for one in works):
            require(run_weights(config, out))
            cost = estimate(data, sizes, trained_in(out, config), works, LIMITS)
    except WeightsError as error:
        missing = str(error)
    told = tuple(advice(config, device.type, cost, missing is not None))
    return Plan(found, choices(config, device, found), works, cost, missing, told, problems, rejected)


def _left(
    data: DataSet, out: Path | None, config: RunConfig, progress: Progress
) -> tuple[Sequence[LeftStage], tuple[Problem, ...], tuple[str, ...]]:
    """Return the stages with work left, and the photographs that cannot be used, and those that were rejected."""
    if out is not None and (out / "run.json").is_file():
        found = dry_run(data, out, config, progress=progress)
        return found.stages, found.skipped, found.rejected
    return all_stages(config, data), tuple(data.problems), ()
