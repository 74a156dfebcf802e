"""Corrections go back into a run: ``dhr.update``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhr.api.data import Data, data_record
from dhr.api.results import RunResult
from dhr.progress import Progress, silent

if TYPE_CHECKING:
    from dhr.job.opened_run import OpenedRun

_NOTHING = "The setting method.survey is 0, so other masks learn nothing from the corrections."
_WITHOUT = "This run has no accepted or mended masks, so there was nothing to learn from. Review some first"
_KNOWN = "The run has learned from all corrections before; nothing new was learned."


def update(
    run: Path | str, *, data: Data | None = None, dry_run: bool = False, progress: Progress | None = None
) -> RunResult:
    """Let a run learn from corrections, and make all masks again that nobody touched.

    Corrections are masks that a person accepted or mended, in `dhr review`, in another program, or directly in
    OUT/masks. They are certain. The survey learns from them: it is fitted again, with their labels. Then all other
    masks are made again. Corrected masks stay as they are, and corrected tags replace those of the data set.

    Networks are not trained again, so an update takes a fraction of the time of the run. After many corrected tags,
    `dhr run --redo classifier` trains the classifier again.

    The same command continues an interrupted update, and ends with the same masks. Without new corrections it
    changes nothing.

    Args:
        run: the output folder of `dhr run`.
        data: the data folder, if it moved since the run.
        dry_run: tell what would be done, and do nothing.
        progress: called as the work goes on.

    Returns:
        The masks, and where everything is.

    Raises:
        DataError: no photograph can be used.
        OutputError: ``run`` holds no run, or one of other versions.
        WeightsError: the weights of a network cannot be had.
    """
    from dhr.api.opened_run import opened_run
    from dhr.api.run import dry, made
    from dhr.job.run import Origin

    out, show = Path(run), progress or silent
    found = opened_run(out, data, show)
    call: dict[str, Any] = {"redo": None, "keep_classifier": True}
    if dry_run:
        return dry(found.data, out, found.config, call, show)
    known = found.record.data if data is None else data_record(data)
    call["origin"] = Origin(found.record.preset or "default", known)
    result = made(found.data, out, found.config, call, show)
    return replace(result, notes=(*result.notes, *_learned_nothing(found, out)))


def _learned_nothing(before: "OpenedRun", out: Path) -> list[str]:
    """Tell why an update has learned nothing new."""
    if before.config.method.survey == 0:
        return [_NOTHING]
    record = before.folder.read()
    if record is None or record.taught is None:
        return [f"{_WITHOUT}: `dhr review --run {out}`."]
    return [_KNOWN] if record.taught == before.record.taught else []
