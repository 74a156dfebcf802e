"""Masks of rows as files: ``dhr.unpack``."""

from pathlib import Path

from dhr.api.result import TableResult
from dhr.progress import Progress, silent
from dhr.words import counted


def unpack(run: Path | str, out: Path | str, *, progress: Progress | None = None) -> TableResult:
    """Write the masks and records of a run with rows as files.

    The folder is as `dhr run` without an engine writes it: masks/, items/ and run.json, with the corrections. Commands
    read rows as they are, so this is for other programs. The same command continues an interrupted call.

    Args:
        run: the output folder of `dhr run --engine ray`.
        out: a new or empty folder.
        progress: called after each mask.

    Returns:
        The folder, and the number of its masks.

    Raises:
        ConfigError: the masks of the run are files already.
        DataError: no row can be used.
        OutputError: there is no run, or the folder cannot be written, or holds another run.
    """
    from dhr.job.unpack import unpack as write

    done = write(Path(run), Path(out), progress or silent)
    text = f"{counted(done.masks, 'mask')} in {Path(out) / 'masks'}"
    return TableResult([{"out": str(out), "masks": done.masks}], text, done.problems, files=(Path(out),))
