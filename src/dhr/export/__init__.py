"""Masks for other tools: ``dhr export``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from dhr.data.palette import class_palette
from dhr.data.samples import DataSet, Problem
from dhr.errors import ConfigError
from dhr.export.coco import write_coco
from dhr.export.config import ExportConfig
from dhr.export.cvat import write_cvat
from dhr.export.labelstudio import write_labelstudio
from dhr.export.masks import Item, Masks
from dhr.export.png import write_png
from dhr.export.servers import write_ade_server, write_voc_server
from dhr.export.through_datumaro import write_datumaro
from dhr.export.yolo import write_yolo
from dhr.progress import Progress, silent

Write = Callable[[Masks, Path, ExportConfig, str | None], Path]
"""Writes masks to a path, given settings and the name of the split; returns what to import."""

FORMATS: dict[str, Write] = {
    "png": write_png,
    "coco": write_coco,
    "yolo": write_yolo,
    "labelstudio": write_labelstudio,
    "cvat": write_cvat,
    "datumaro": write_datumaro,
    "voc-server": write_voc_server,
    "ade-server": write_ade_server,
}
"""Formats by name."""


@dataclass(frozen=True)
class Exported:
    """What an export did."""

    path: Path
    """What to import into the other tool."""
    masks: int
    """How many masks are in it."""
    kept: int
    """How many of them were there before."""
    problems: tuple[Problem, ...]
    """What of the data set's masks was left out, and why."""
    notes: tuple[str, ...] = ()
    """What a person should know of the masks, a sentence each."""


def export(
    data: DataSet,
    predictions: Path,
    to: str,
    out: Path,
    config: ExportConfig | None = None,
    *,
    split: str | None = None,
    palette: UInt8[np.ndarray, "256 3"] | None = None,
    progress: Progress = silent,
) -> Exported:
    """Write ``predictions/<name>.png`` of all photographs of ``data`` as the format ``to``.

    Args:
        data: photographs and classes; photographs are opened for their sizes only.
        predictions: masks of class ids, 255 for void.
        to: one of :data:`FORMATS`.
        out: the file or folder to write.
        config: what the format leaves open.
        split: the name of the split that ``data`` is, for formats that hold it.
        palette: the colour of each id, by default the data set's own, or distinct ones.
        progress: called after each photograph.

    Raises:
        ConfigError: there is no such format, its library is missing, or it cannot hold such classes.
        DataError: there is no such folder, no mask can be exported, or none shows a class that its photograph is tagged
            with.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    if to not in FORMATS:
        raise ConfigError(f"--to must be one of {', '.join(FORMATS)}; got {to!r}")
    masks = Masks(data, predictions, class_palette(data.classes) if palette is None else palette, progress)
    masks.refuse_untagged()
    path = FORMATS[to](masks, out, config or ExportConfig(), split)
    return Exported(path, len(masks.read_names), masks.kept, tuple(masks.problems), masks.notes)


__all__ = ["FORMATS", "ExportConfig", "Exported", "Item", "Masks", "export"]
