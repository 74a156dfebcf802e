"""Archives for the test servers of PASCAL VOC 2012 and of ADE20K (SceneParse150)."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dhr.data.images import PNG_CODING
from dhr.data.palette import palette as voc_palette
from dhr.data.samples import VOID
from dhr.errors import ConfigError
from dhr.export.config import ExportConfig
from dhr.export.masks import Masks
from dhr.export.new_output import write_file

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time of zip files


def write_voc_server(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """``results/VOC2012/Segmentation/comp6_test_cls/NAME.png`` in a tar file, compressed.

    Indexed PNGs of 0..20 in VOC's palette. The server does not accept void, so void becomes background.

    Raises:
        ConfigError: the classes are not 20 and a background.
    """
    classes = masks.classes
    if not classes.background or len(classes.names) != 21:
        raise ConfigError(
            f"the server of VOC expects 20 classes and the background, the data set has {len(classes.foreground)} "
            f"and {'a' if classes.background else 'no'} background; give VOC's own classes.txt"
        )

    def write(file: IO[bytes]) -> None:
        with (
            gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, labels in _flat(masks):
                content = _png(np.where(labels == VOID, np.uint8(0), labels), voc_palette())
                member = tarfile.TarInfo(f"results/VOC2012/Segmentation/{config.competition}_test_cls/{name}.png")
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))

    write_file(out, b"\x1f\x8b", write)
    return out


def write_ade_server(masks: Masks, out: Path, config: ExportConfig, split: str | None) -> Path:
    """``NAME.png`` in a zip file: greyscale PNGs of 1..150; void (and background, if the data set has one) is 0.

    Raises:
        ConfigError: the classes are not 150, with or without a background.
    """
    classes = masks.classes
    if len(classes.foreground) != 150:
        raise ConfigError(
            f"the server of ADE20K expects 150 classes, the data set has {len(classes.foreground)}; give ADE20K's own"
        )
    ids = np.arange(256, dtype=np.uint8) + np.uint8(not classes.background)  # 255 + 1 is 0

    def write(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
            for name, labels in _flat(masks):
                member = zipfile.ZipInfo(f"{name}.png", _EPOCH)
                member.external_attr = 0o644 << 16
                archive.writestr(member, _png(np.where(labels == VOID, np.uint8(0), ids[labels]), None))

    write_file(out, b"PK", write)
    return out


def _flat(masks: Masks) -> Iterator[tuple[str, UInt8[np.ndarray, "h w"]]]:
    for item in masks:
        if "/" in item.name:
            masks.refuse(item, "it lies in a sub-folder, which the server's archive cannot have; move the photograph")
        else:
            yield item.name, item.labels


def _png(labels: UInt8[np.ndarray, "h w"], palette: UInt8[np.ndarray, "256 3"] | None) -> bytes:
    image = Image.fromarray(labels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    content = io.BytesIO()
    image.save(content, format="PNG", **PNG_CODING)
    return content.getvalue()
