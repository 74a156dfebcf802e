"""Masks for photographs and tags: ``dhr.run``."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dhr.api.data import Data, data_record, opened, refuse_among, refuse_missing
from dhr.api.results import RunResult
from dhr.api.settings import Config, run_settings
from dhr.data.samples import DataSet
from dhr.engine.config import RunEngine
from dhr.errors import ConfigError
from dhr.job.settings import RunConfig, StageName
from dhr.progress import Progress, silent


@dataclass(frozen=True)
class Again:
    """What a finished run makes again."""

    redo: StageName | None = None
    """make this stage and all later ones again; needed if settings changed: classifier, calibration, survey, masks,
    student"""
    keep_classifier: bool = False
    """use the trained networks although photographs or tags changed"""


def run(
    data: Data,
    out: Path | str,
    *,
    config: Config = "default",
    again: Again | None = None,
    dry_run: bool = False,
    engine: RunEngine | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Make masks for photographs and their tags.

    A classifier learns the tags and shows roughly where each class is (CAMs). The CAMs of each photograph are then
    rebalanced between its classes and made into a mask (Steps 1 to 3 of the paper, then the boundary correction).

    The data folder has images/, tags.csv (the header image,tags, then lines like beach.jpg,sea;sand), classes.txt (one
    name per line; `background` first if pixels may belong to no tag) and perhaps splits/NAME.txt. `dhr inspect` checks
    it; docs/data.md has the other data formats.

    The output folder gets masks/ (PNG, class ids), report.html (the most doubtful masks first), run.json, stages/,
    cams/ and classifier.safetensors. The same command continues an interrupted run, and ends with the same masks.
    After a change of photographs or tags, it makes again only the files that depend on the change.

    Args:
        data: the data folder.
        out: the output folder: new, empty, or of the same run.
        config: settings; a recipe or preset, a YAML file, or single ones.
        again: what a finished run makes again.
        dry_run: tell what would be done, and do nothing.
        engine: with `ray`, many machines make the masks of a manifest, as rows (docs/cluster.md).
        progress: called as the work goes on.

    Returns:
        The masks, and where everything is.

    Raises:
        DataError: no photograph can be used.
        ConfigError: a setting cannot work.
        WeightsError: the weights of a network cannot be had.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    settings, preset = run_settings(config)
    call: dict[str, Any] = asdict(again or Again())
    out, show = Path(out), progress or silent
    refuse_missing(data)
    if engine is not None and engine.engine is not None:
        if any(call.values()) or dry_run:
            raise ConfigError("--engine ray works without --redo, --keep-classifier and --dry-run; leave them out")
        from dhr.api.cluster import run_on_cluster

        return run_on_cluster(data, out, settings, preset, engine, show)
    from dhr.api.weights import require_first
    from dhr.job.run import Origin
    from dhr.job.weights import run_weights

    if not dry_run:
        require_first(run_weights(settings, out), data, out)
    photographs = opened(data, show)
    refuse_among(out, data, photographs)
    if dry_run:
        return dry(photographs, out, settings, call, show)
    call["origin"] = Origin(preset, data_record(data))
    return made(photographs, out, settings, call, show)


def made(photographs: DataSet, out: Path, settings: RunConfig, call: dict[str, Any], progress: Progress) -> RunResult:
    """Run, and write the report.

    Args:
        photographs: the data set.
        out: the output folder.
        settings: all settings.
        call: further arguments of :func:`dhr.job.run.run`.
        progress: called as the work goes on.
    """
    from dhr.job.run import run as run_job
    from dhr.records.members import to_json
    from dhr.report.build import write_report

    outcome = run_job(photographs, out, settings, progress=progress, **call)
    report = out / "report.html"
    # A run that was already finished keeps its report, with the scores that were added to it.
    if not report.is_file() or report.stat().st_mtime_ns < (out / "run.json").stat().st_mtime_ns:
        write_report(out, photographs)
    return RunResult(
        out=out,
        made=outcome.masks,
        left_out=outcome.skipped,
        notes=(*photographs.notes, *outcome.notes),
        classes=photographs.classes,
        new=outcome.new,
        vanished=outcome.vanished,
        stages=tuple(map(to_json, outcome.stages)),
        report=report,
        data=photographs,
    )


def dry(photographs: DataSet, out: Path, settings: RunConfig, call: dict[str, Any], progress: Progress) -> RunResult:
    """Return the result of a dry run: the work that is left, and the finished masks."""
    from dhr.job.dry_run import dry_run

    work = dry_run(photographs, out, settings, progress=progress, **call)
    result = RunResult(out, 0, work.skipped, tuple(photographs.notes), photographs.classes, out / "report.html",
                       photographs, new=0, vanished=0, stages=(), dry_run=work)  # fmt: skip
    return replace(result, made=len(result.masks))
