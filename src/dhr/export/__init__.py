"""Masks for other tools: ``dhr export``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dhr.data.palette import class_palette
from dhr.data.samples import DataSet, Problem
from dhr.errors import ConfigError
from dhr.export.coco import write_coco
from dhr.export.config import ExportConfig
from dhr.export.cvat import write_cvat
from dhr.export.fiftyone import write_fiftyone
from dhr.export.geojson import write_geojson
from dhr.export.labels import write_labels
from dhr.export.labelstudio import write_labelstudio
from dhr.export.lightly import write_lightly
from dhr.export.masks import Item, Masks
from dhr.export.png import write_png
from dhr.export.servers import write_ade_server, write_voc_server
from dhr.export.through_datumaro import write_datumaro
from dhr.export.yolo import write_yolo
from dhr.progress import Progress, silent


class Format(NamedTuple):
    """A format of exports."""

    write: Callable[[Masks, Path, ExportConfig, str | None], Path]
    """Writes masks to a path, given settings and the name of the split; returns the file or folder to import."""
    help: str
    """Its outputs, for the help of ``dhr export``."""
    one_file: bool = False
    """Whether it is one file (``--file``), not a folder (``--out``)."""


FORMATS: Mapping[str, Format] = {
    "png": Format(write_png, "DIR/NAME.png, indexed, with the classes' colours"),
    "coco": Format(write_coco, "FILE: JSON, masks as run lengths (holes are kept)", True),
    "yolo": Format(write_yolo, "DIR/data.yaml and its files: polygons, for Ultralytics"),
    "labelstudio": Format(
        write_labelstudio, "DIR/config.xml for the labelling interface, DIR/tasks-*.json: predictions to correct"
    ),
    "cvat": Format(write_cvat, "DIR/labels.json for the task, DIR/annotations.xml (CVAT for images 1.1)"),
    "fiftyone": Format(write_fiftyone, "DIR/data, DIR/labels, DIR/mask_targets.json: FiftyOne's image segmentation"),
    "lightly": Format(write_lightly, "FILE: COCO's JSON as LightlyStudio reads it", True),
    "labels": Format(write_labels, "DIR/NAME.tif: label images, for napari, QuPath and Fiji"),
    "geojson": Format(write_geojson, "DIR/NAME.geojson: outlines, for QuPath"),
    "datumaro": Format(write_datumaro, "DIR: any format that datumaro writes, named with --datumaro-format"),
    "voc-server": Format(write_voc_server, "FILE: the .tgz for the test server of PASCAL VOC 2012", True),
    "ade-server": Format(write_ade_server, "FILE: the .zip for the test server of ADE20K", True),
}
"""Formats by name. A new one is a file and a line here."""


@dataclass(frozen=True)
class Exported:
    """The result of an export."""

    path: Path
    """File or folder to import into the other tool."""
    masks: int
    """Number of masks in it."""
    kept: int
    """Number of those from an earlier call."""
    problems: tuple[Problem, ...]
    """Masks that were left out, and why."""
    notes: tuple[str, ...] = ()
    """Remarks on the masks, one sentence each."""


def export(
    data: DataSet,
    predictions: Path,
    to: str,
    out: Path,
    config: ExportConfig | None = None,
    *,
    split: str | None = None,
    progress: Progress = silent,
) -> Exported:
    """Write ``predictions/<name>.png`` of all photographs of ``data`` as the format ``to``.

    Args:
        data: photographs and classes; photographs are opened for their sizes only.
        predictions: masks of class ids, 255 for void.
        to: one of :data:`FORMATS`.
        out: the file or folder to write.
        config: settings of the formats.
        split: the name of the split that ``data`` is, for formats that hold it.
        progress: called after each photograph.

    Raises:
        ConfigError: the format is unknown, its library is missing, or it cannot hold these classes.
        DataError: the folder is missing, no mask can be exported, or no mask shows a class that its photograph is
            tagged with.
        OutputError: ``out`` cannot be written, or holds something else.
    """
    if to not in FORMATS:
        raise ConfigError(f"--to must be one of {', '.join(FORMATS)}; got {to!r}")
    masks = Masks(data, predictions, class_palette(data.classes), progress)
    masks.refuse_untagged()
    path = FORMATS[to].write(masks, out, config or ExportConfig(), split)
    return Exported(path, len(masks.read_names), masks.kept, tuple(masks.problems), masks.notes)


__all__ = ["FORMATS", "ExportConfig", "Exported", "Format", "Item", "Masks", "export"]
