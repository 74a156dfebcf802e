"""Writes generated scenes as a data folder, so that all commands can open them again."""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dhr.data.images import write_mask
from dhr.data.palette import class_palette
from dhr.data.scenes import SceneDataSet
from dhr.errors import OutputError
from dhr.files import inside, write_bytes

_LARGEST = 10_000_000  # bytes of a file that is compared


def write_scenes(scenes: SceneDataSet, root: Path) -> None:
    """Write photographs, tags, classes, super-classes and ground truth into a folder.

    ``tags.csv`` is written last, so a folder that has it is whole. It is then left as it is.

    Raises:
        OutputError: the folder holds other scenes or was changed, or it cannot be written.
    """
    classes = scenes.classes
    names = [f"{sample.name}.png" for sample in scenes.samples]
    lines = [
        f"{name},{';'.join(classes.names[tag] for tag in sample.tags)}"
        for name, sample in zip(names, scenes.samples, strict=True)
    ]
    tags, first = _lines("image,tags", *lines), _png(scenes.read_image(scenes.samples[0]))
    if (root / "tags.csv").is_file():
        if _content(root, "tags.csv") != tags or _content(root, f"images/{names[0]}") != first:
            raise OutputError(
                f"{root}: expected {len(names)} generated scenes of this seed, got others, or files that were changed; "
                "choose another --out, or use them with `dhr run`"
            )
        return
    palette = class_palette(classes)
    for number, (name, sample) in enumerate(zip(names, scenes.samples, strict=True)):
        content = _png(scenes.read_image(sample)) if number else first
        write_bytes(inside(root, f"images/{name}"), content, durable=False)
        write_mask(inside(root, f"truth/{name}"), scenes.read_ground_truth(sample), palette)
    supers = [f"{name},{one}" for name, one in zip(classes.names, classes.supers or classes.names, strict=True)]
    write_bytes(inside(root, "supercategories.csv"), _lines("class,supercategory", *supers))
    write_bytes(inside(root, "classes.txt"), _lines(*classes.names))
    write_bytes(inside(root, "tags.csv"), tags)


def _png(pixels: UInt8[np.ndarray, "h w 3"]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def _lines(*texts: str) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def _content(root: Path, relative: str) -> bytes | None:
    path = inside(root, relative)
    return path.read_bytes() if path.is_file() and path.stat().st_size <= _LARGEST else None
