"""Masks for other tools: ``dhr.export``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dhr.api.data import Data, folder_of, opened, split_of
from dhr.api.results import ExportResult
from dhr.api.settings import nearest, part_settings
from dhr.errors import ConfigError, OutputError
from dhr.export import FORMATS
from dhr.export import export as write
from dhr.export.config import ExportConfig
from dhr.progress import Progress, silent
from dhr.results.places import masks_meant


def export(
    data: Data,
    masks: Path | str,
    out: Path | str | None = None,
    *,
    to: str,
    file: Path | str | None = None,
    config: ExportConfig | str | Path | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> ExportResult:
    """Write masks as other tools read them.

    --to is one of

    {formats}

    Background and void (255) are not annotated. Masks that are missing, damaged or of another size than their
    photograph are named and left out. The same command continues an interrupted export to png or yolo.
    docs/export.md shows how to import each format.

    Args:
        data: the data folder.
        masks: the folder of masks, such as OUT/masks or OUT/rows of a run.
        out: the folder to write, for formats that are a folder.
        to: the format.
        file: the file to write, for formats that are one file.
        config: settings of the formats.
        progress: called after each mask.

    Returns:
        The file or folder to import, and the masks that were left out.

    Raises:
        ConfigError: there is no such format, or it cannot hold such classes.
        DataError: no mask can be exported.
        OutputError: the place cannot be written, or holds something else.
    """
    settings = part_settings(ExportConfig, config)
    if to not in FORMATS:
        raise ConfigError(f"--to must be one of {', '.join(FORMATS)}; got {to!r}{nearest(to, FORMATS)}")
    one = FORMATS[to].one_file
    wanted, place, other = ("--file FILE", file, out) if one else ("--out DIR", out, file)
    if place is None or other is not None:
        raise ConfigError(f"--to {to} writes {'one file' if one else 'a folder'}; name it with {wanted}")
    place, masks, root = Path(place), masks_meant(Path(masks)), folder_of(data)
    for folder in (masks, *(() if root is None else (root / "images",))):
        if place.resolve().is_relative_to(folder.resolve()):
            raise OutputError(f"{wanted.split()[0]} {place} lies in {folder}, which is read; choose a place outside")
    photographs = opened(data, progress or silent)
    done = write(photographs, masks, to, place, settings, split=split_of(data), progress=progress or silent)
    notes = (*photographs.notes, *done.notes)
    return ExportResult(done.path, to, done.masks, done.kept, done.problems, notes)


_LISTED = "\n    ".join(f"  {name:<12}  {one.help}" for name, one in FORMATS.items())
export.__doc__ = (export.__doc__ or "").replace("{formats}", _LISTED.strip("\n"))
