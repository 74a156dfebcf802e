"""Formats that datumaro writes."""

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dhr.data.class_record import RECORD_FILE, class_record
from dhr.data.datumaro import DATUMARO_FORMATS, FORMAT_KEY
from dhr.errors import ConfigError, DhrError, OutputError
from dhr.export.config import ExportConfig
from dhr.export.libraries import library
from dhr.export.masks import Masks
from dhr.export.new_output import new_folder
from dhr.export.parts import parts
from dhr.files import write_json
from dhr.words import one_line

_NAMES = {
    **dict.fromkeys(("camvid", "cityscapes", "kitti", "kitti_segmentation"), (r"\S+", "without spaces")),
    **dict.fromkeys(("voc", "voc_instance_segmentation", "voc_segmentation"), (r"[^#:][^:]*", "without ':' and '#'")),
}
"""Names of classes that these can hold. They are images of colours; pixels without annotation have that of class 0."""

_PHOTOGRAPHS = {
    "camvid": ('[^"]*', "with quotes"),
    **dict.fromkeys(("voc", "voc_instance_segmentation", "voc_segmentation"), ("[^#].*", "that begin with '#'")),
}
"""Names of photographs that these can hold in their lists."""


def write_datumaro(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """Write the folder of datumaro's format ``config.datumaro_format``; photographs only with ``config.images`` copy.

    ``dhr.json`` holds the format and the classes, which are needed to read the folder again.
    Masks are held in memory, compressed, until all are read: datumaro asks for them several times.

    Raises:
        ConfigError: the format is not in :data:`DATUMARO_FORMATS`, or cannot hold these classes or names; or
            photographs are to be linked.
    """
    if config.images == "link":
        raise ConfigError("datumaro copies photographs or leaves them out; give --images copy or none")
    if config.datumaro_format not in DATUMARO_FORMATS:
        raise ConfigError(
            f"--datumaro-format must be one that holds masks: {', '.join(DATUMARO_FORMATS)}; "
            f"got {config.datumaro_format!r}"
        )
    pattern, wanted = _NAMES.get(config.datumaro_format, (".*", ""))
    for name in masks.classes.names:
        if not re.fullmatch(pattern, name):
            raise ConfigError(f"{config.datumaro_format} holds names {wanted}, got {name!r}; rename it in classes.txt")
    datumaro = library("datumaro")
    shift = int(config.datumaro_format in _NAMES and not masks.classes.background)
    with new_folder(out) as folder:
        items = list(_items(datumaro, masks, config, split or "train", shift))
        dataset = datumaro.Dataset.from_iterable(
            items, categories=_categories(datumaro, masks, shift), media_type=datumaro.Image
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
            reason = one_line(error)
            raise ConfigError(
                f"datumaro cannot write these masks as {config.datumaro_format}: {reason}; choose another format"
            ) from error
        write_json(folder / RECORD_FILE, {FORMAT_KEY: config.datumaro_format, **class_record(masks.classes)})
    return out


def _categories(datumaro: Any, masks: Masks, shift: int) -> dict[Any, Any]:
    """Label ids are class ids, or one more where ``shift`` makes room for a background."""
    names, supers = masks.classes.names, masks.classes.supers or ("",) * len(masks.classes.names)
    labels = datumaro.LabelCategories()
    for name, parent in zip(("background",) * shift + names, ("",) * shift + supers, strict=True):
        labels.add(name, parent=parent)
    colours = {label: tuple(masks.palette[label].tolist()) for label in range(len(names) + shift)}
    return {
        datumaro.AnnotationType.label: labels,
        datumaro.AnnotationType.mask: datumaro.MaskCategories(colours),
    }


def _items(datumaro: Any, masks: Masks, config: ExportConfig, split: str, shift: int) -> Iterator[Any]:
    mask_api = library("pycocotools.mask")
    pattern, wrong = _PHOTOGRAPHS.get(config.datumaro_format, (".*", ""))
    for item in masks:
        if not re.fullmatch(pattern, item.name):
            masks.refuse(item, f"{config.datumaro_format} cannot hold names {wrong}; rename the photograph")
            continue
        annotations = []
        for number, part in enumerate(parts(item.labels, masks.classes, config.instances, config.min_area), start=1):
            whole = np.asfortranarray(part.whole(item.height, item.width), dtype=np.uint8)
            annotations.append(
                datumaro.RleMask(rle=mask_api.encode(whole), label=part.label + shift, id=number, group=number)
            )
        if not annotations and config.datumaro_format in _NAMES:  # or the photograph would be lost with its mask
            whole = np.ones((item.height, item.width), np.uint8, order="F")
            annotations.append(datumaro.RleMask(rle=mask_api.encode(whole), label=0, id=1, group=1))
        size = (item.height, item.width)
        path = item.photograph if config.images == "copy" else None
        path = path or Path(item.file)  # a path that leads elsewhere is refused by its readers
        media = datumaro.Image.from_file(path=str(path), size=size)
        yield datumaro.DatasetItem(id=item.name, subset=split, media=media, annotations=annotations)
