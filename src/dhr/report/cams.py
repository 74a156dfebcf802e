"""The CAMs that a run with `stages` keeps."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dhr.data.array_files import read_npz
from dhr.data.samples import ClassTable
from dhr.shards import find

_MOST = 500_000_000  # bytes, packed and unpacked; 254 CAMs on a grid of 500 by 500 cells have a quarter


def stored_cams(folder: Path, name: str, table: ClassTable) -> Mapping[int, Float[np.ndarray, "u v"]]:
    """Return the CAMs of a photograph by class id; empty if there is no file, or a damaged one."""
    try:
        stored = read_npz(find(folder, name, ".npz"), _MOST, ("cams", "classes"))
        cams, classes = stored["cams"], stored["classes"]
    except (OSError, ValueError, KeyError, MemoryError):
        return {}
    if classes.ndim != 1 or classes.dtype.kind not in "iu" or cams.dtype.kind != "f" or cams.ndim != 3:
        return {}
    if len(cams) != len(classes) or 0 in cams.shape or not np.isfinite(cams).all():
        return {}
    return {int(index): cam for index, cam in zip(classes, cams, strict=True) if 0 <= index < len(table.names)}
