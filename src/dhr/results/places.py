"""Where the masks of a job are: in a folder of files, or in a folder of rows."""

import os
from pathlib import Path

from dhr.results.names import covered

ROWS = "rows"
"""The folder of the Parquet files in the output folder of a run."""
SUFFIX = ".parquet"


def parts_in(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder, sorted by name; hidden ones are those of a call that was killed.

    Files that were joined to another one, and are still there, are left out.
    """
    names = part_names(folder)
    hidden = covered(names)
    return [folder / name for name in names if name not in hidden]


def part_names(folder: Path) -> list[str]:
    """Return the names of the Parquet files of a folder, sorted; also of those that :func:`parts_in` leaves out."""
    try:
        with os.scandir(folder) as entries:
            return sorted(one.name for one in entries if one.name.endswith(SUFFIX) and one.name[0] not in "._")
    except OSError:
        return []


def has_rows(out: Path) -> bool:
    """Return whether the masks of a run are rows."""
    return (out / ROWS).is_dir()


def mask_folder(out: Path) -> Path:
    """Return the folder of the masks in the output folder of a run: ``masks``, or ``rows``."""
    return out / (ROWS if has_rows(out) else "masks")


def masks_meant(folder: Path) -> Path:
    """Return the folder of masks that a user means, who may also name the output folder of a run with rows."""
    return folder / ROWS if (folder / "run.json").is_file() and has_rows(folder) else folder


def is_rows(folder: Path) -> bool:
    """Return whether a folder of masks holds rows."""
    return bool(parts_in(folder)) or (folder.name == ROWS and (folder.parent / "run.json").is_file())
