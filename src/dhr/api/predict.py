"""Masks for photographs without tags: ``dhr.predict``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dhr.api.results import PredictResult
from dhr.api.settings import part_settings
from dhr.engine.config import Engine
from dhr.job.predict_config import PredictConfig
from dhr.progress import Progress, silent


def predict(
    student: Path | str,
    images: Path | str,
    out: Path | str,
    *,
    tags: Path | str | None = None,
    engine: Engine | None = None,
    config: PredictConfig | str | Path | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> PredictResult:
    """Segment every photograph of a folder with a student, without tags.

    The output folder gets masks/NAME.png, report.html (the least certain masks first) and run.json. The same command
    continues an interrupted call. Called again, it segments new and changed photographs. Masks of photographs that are
    gone stay, and are named.

    Args:
        student: student.safetensors of `dhr train` or `dhr run`.
        images: the folder of photographs; with an engine, a manifest.
        out: the output folder: new, empty, or of the same call.
        tags: a tags.csv, or the manifest; each photograph gets only its tagged classes and the background.
        engine: with `ray`, many machines segment the photographs of a manifest, as rows (docs/cluster.md).
        config: settings.
        progress: called after each photograph.

    Returns:
        The masks, and where they are.

    Raises:
        DataError: there is no photograph, or ``tags`` cannot be read.
        WeightsError: ``student`` is not the file of a student.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    settings = part_settings(PredictConfig, config)
    if engine is not None and engine.engine is not None:
        from dhr.api.cluster import predict_on_cluster

        named = None if tags is None else Path(tags)
        return predict_on_cluster(Path(student), Path(images), Path(out), named, (settings, engine), progress or silent)
    from dhr.data.samples import ClassTable
    from dhr.job.folder import OutputFolder
    from dhr.job.predict import predict as segment
    from dhr.records.run import read_run
    from dhr.report.build import write_report

    out = Path(out)
    made = segment(
        Path(student), Path(images), out, settings,
        tags=None if tags is None else Path(tags), progress=progress or silent,
    )  # fmt: skip
    record = read_run(OutputFolder(out).record)
    return PredictResult(
        out=out,
        made=made.masks,
        left_out=made.skipped,
        notes=made.notes,
        classes=ClassTable(record.classes or (), bool(record.background)),
        report=write_report(out, made.photographs),
        data=made.photographs,
        strange=made.strange,
    )
