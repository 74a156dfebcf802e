"""The data set that ``--data``, ``--split`` and ``--format`` name."""

from pathlib import Path

from dhr.cli.progress import Bars
from dhr.data.open import open_data
from dhr.data.samples import DataSet
from dhr.errors import OutputError


def opened(data: Path, split: str | None, layout: str, bars: Bars, lenient: bool = False) -> DataSet:
    """Open it, with a bar where that takes long, and print what its reader decided by itself.

    Raises:
        DataError: it cannot be used.
        ConfigError: there is no such layout.
    """
    found = open_data(data, split=split, format=layout, ignore_unknown=lenient, progress=bars)
    for note in found.notes:
        bars.note(note)
    return found


def refuse_among(out: Path, data: Path, photographs: DataSet, setting: str = "--out") -> None:
    """Refuse an output folder in which the next run would take masks for photographs; ``setting`` named it.

    Raises:
        OutputError: it is one.
    """
    target = out.resolve()
    # The source of a photograph that is kept in another file is no path, and its parent nothing to keep out of.
    parents = {Path(sample.source).parent for sample in photographs.samples}
    folders = {folder for folder in parents if folder.is_relative_to(data)} | {data / "images"}
    for folder in sorted(folder.resolve() for folder in folders if folder.is_dir()):
        # The data folder itself may hold photographs, and an output folder below it.
        if target == folder or (folder != data.resolve() and target.is_relative_to(folder)):
            raise OutputError(f"{setting} {out} lies among the photographs, {folder}; choose a folder outside of it")
