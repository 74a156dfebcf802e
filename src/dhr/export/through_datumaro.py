"""Formats that datumaro writes."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dhr.errors import ConfigError, DhrError, OutputError
from dhr.export.config import ExportConfig
from dhr.export.libraries import library
from dhr.export.masks import Masks
from dhr.export.new_folder import new_folder
from dhr.export.parts import parts

DATUMARO_FORMATS = (
    *("arrow", "camvid", "cityscapes", "coco", "coco_instances", "coco_panoptic", "coco_stuff", "cvat", "datumaro"),
    *("datumaro_binary", "kitti", "kitti_segmentation", "label_me", "voc", "voc_instance_segmentation"),
    "voc_segmentation",
)
"""Formats of datumaro that give the masks back pixel by pixel; its others hold boxes, tags or texts only, or fail."""


def write_datumaro(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """The folder that datumaro makes for ``config.datumaro_format``; photographs only with ``config.images`` copy.

    Masks are held in memory, compressed, until all are read: datumaro asks for them several times.

    Raises:
        ConfigError: the format is none of :data:`DATUMARO_FORMATS`, or cannot hold these classes or names; or
            photographs are to be linked.
    """
    if config.images == "link":
        raise ConfigError("datumaro copies photographs or leaves them out; give --images copy or none")
    if config.datumaro_format not in DATUMARO_FORMATS:
        raise ConfigError(
            f"--datumaro_format must be one that holds masks: {', '.join(DATUMARO_FORMATS)}; "
            f"got {config.datumaro_format!r}"
        )
    datumaro = library("datumaro")
    with new_folder(out) as folder:
        items = list(_items(datumaro, masks, config, split or "train"))
        dataset = datumaro.Dataset.from_iterable(
            items, categories=_categories(datumaro, masks), media_type=datumaro.Image
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                logging.getLogger("datumaro").setLevel(logging.ERROR)
                dataset.export(str(folder), config.datumaro_format, save_media=config.images == "copy")
        except OSError as error:
            raise OutputError(f"cannot write {out}: {error}; choose another folder") from error
        except DhrError:
            raise
        except Exception as error:  # each of its formats fails in its own way
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(
                f"datumaro cannot write these masks as {config.datumaro_format}: {reason}; choose another format"
            ) from error
    return out


def _categories(datumaro: Any, masks: Masks) -> dict[Any, Any]:
    """Label ids are class ids."""
    labels = datumaro.LabelCategories()
    supers = masks.classes.supers or ("",) * len(masks.classes.names)
    for name, parent in zip(masks.classes.names, supers, strict=True):
        labels.add(name, parent=parent)
    colours = {label: tuple(masks.palette[label].tolist()) for label in range(len(masks.classes.names))}
    return {
        datumaro.AnnotationType.label: labels,
        datumaro.AnnotationType.mask: datumaro.MaskCategories(colours),
    }


def _items(datumaro: Any, masks: Masks, config: ExportConfig, split: str) -> Iterator[Any]:
    mask_api = library("pycocotools.mask")
    for item in masks:
        annotations = []
        for number, part in enumerate(parts(item.labels, masks.classes, config.instances), start=1):
            whole = np.asfortranarray(part.whole(item.height, item.width), dtype=np.uint8)
            annotations.append(datumaro.RleMask(rle=mask_api.encode(whole), label=part.label, id=number, group=number))
        size = (item.height, item.width)
        media = datumaro.Image.from_file(path=str(item.photograph or item.file), size=size)
        yield datumaro.DatasetItem(id=item.name, subset=split, media=media, annotations=annotations)
