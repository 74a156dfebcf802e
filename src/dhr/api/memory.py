"""Photographs and tags that a program has in memory, as a data set."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL.Image import Image

from dhr.data.background import is_background
from dhr.data.image_files import digest_image
from dhr.data.images import SUFFIXES, read_rgb
from dhr.data.listing import mask_key, name_of
from dhr.data.samples import UNTAGGED, VOID, ClassTable, Problem, Sample
from dhr.errors import DataError, ItemError
from dhr.words import printable

Photograph = UInt8[np.ndarray, "h w 3"] | Path


class MemoryDataSet:
    """Photographs as arrays or paths, with a list of tags for each.

    Masks are named after a photograph's file, or its number (``0003``) if it is an array.

    Raises:
        DataError: photographs or tags that cannot be used.

    >>> data = MemoryDataSet([np.zeros((4, 4, 3), np.uint8)], [["sky"]])
    >>> data.samples[0].name, data.classes.names
    ('0', ('sky',))
    """

    notes: Sequence[str] = ()

    def __init__(self, images: Iterable[Any], tags: Iterable[Any], classes: Iterable[str] | None = None) -> None:
        images, tags = _listed("photographs", images), _listed("tags", tags)
        if len(images) != len(tags):
            raise DataError(f"expected tags for each photograph, got {len(images)} photographs and {len(tags)} tags")
        if not images:
            raise DataError("expected photographs, got none; give at least one")
        photographs = [_photograph(number, image) for number, image in enumerate(images)]
        listed = [_tags(number, one) for number, one in enumerate(tags)]
        self.classes = _table(listed, classes)
        ids = {name: number for number, name in enumerate(self.classes.names)}
        self._photographs: dict[str, Photograph] = {}
        samples, problems = [], []
        for name, photograph, names in zip(_names(photographs), photographs, listed, strict=True):
            if unknown := [tag for tag in names if tag not in ids]:
                raise DataError(f"photograph {name}: the tag {unknown[0]!r} is not one of classes; add it there")
            source = str(photograph) if isinstance(photograph, Path) else name
            found = tuple(sorted({ids[tag] for tag in names} - ({0} if self.classes.background else set())))
            if not found and not self.classes.background:
                problems.append(Problem(source, UNTAGGED))
            else:
                self._photographs[name] = photograph
                samples.append(Sample(name, source, found, has_ground_truth=False))
        self.samples: Sequence[Sample] = sorted(samples, key=lambda sample: sample.name)
        self.problems: Sequence[Problem] = problems

    def __repr__(self) -> str:
        return f"MemoryDataSet({len(self.samples)} photographs, {len(self.classes.names)} classes)"

    def digest(self, sample: Sample) -> str:
        """Return the SHA-256 of the photograph's content, in hex."""
        photograph = self._photographs[sample.name]
        if isinstance(photograph, Path):
            return digest_image(photograph)
        whole = hashlib.sha256(repr(photograph.shape).encode())
        whole.update(np.ascontiguousarray(photograph).tobytes())
        return whole.hexdigest()

    def read_image(self, sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
        """Return a copy of the photograph."""
        photograph = self._photographs[sample.name]
        return read_rgb(photograph) if isinstance(photograph, Path) else photograph.copy()

    def read_ground_truth(self, sample: Sample) -> UInt8[np.ndarray, "h w"]:
        """Raise ItemError: there is no ground truth in memory."""
        raise ItemError(f"{sample.name}: photographs in memory have no ground truth; put them into a data folder")


def _listed(name: str, values: Any) -> list[Any]:
    """The entries of a sequence, one for each photograph."""
    if isinstance(values, str | bytes | os.PathLike | Mapping) or not isinstance(values, Iterable):
        raise DataError(f"expected a list of {name}, one entry for each photograph, got {type(values).__name__}")
    return list(values)


def _photograph(number: int, image: Any) -> Photograph:
    if isinstance(image, str | os.PathLike):
        return Path(image)
    try:
        array = np.asarray(image.convert("RGB") if isinstance(image, Image) else image)
    except (TypeError, ValueError) as error:
        raise DataError(f"photograph {number}: expected an array or a path, got {type(image).__name__}") from error
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise DataError(
            f"photograph {number}: expected RGB, an array (height, width, 3) of uint8, got {array.shape} of "
            f"{array.dtype}; {_remedy(array)}"
        )
    return array


def _remedy(array: np.ndarray) -> str:
    """Say how an array becomes RGB of uint8."""
    shape = array.shape
    if array.ndim == 2:
        return "repeat its one channel: np.stack([image] * 3, axis=-1)"
    if array.ndim == 3 and shape[2] == 4:
        return "leave out its fourth channel: image[..., :3]"
    if array.ndim == 3 and shape[0] == 3 and shape[2] != 3:
        return "move its channels to the end: image.transpose(1, 2, 0)"
    if array.dtype.kind in "fiu" and array.dtype != np.uint8:
        return "make whole numbers from 0 to 255 of its values, with .astype(np.uint8)"
    return "convert it"


def _tags(number: int, tags: Any) -> list[str]:
    if isinstance(tags, str):
        raise DataError(f"photograph {number}: expected a list of tags, got {str(tags)!r}; write [{str(tags)!r}]")
    if isinstance(tags, bytes | Mapping) or not isinstance(tags, Iterable):
        raise DataError(f"photograph {number}: expected a list of tags, got {tags!r}")
    names = [str(tag).strip() if isinstance(tag, str) else tag for tag in tags]
    if odd := [tag for tag in names if not isinstance(tag, str) or not tag]:
        raise DataError(f"photograph {number}: expected names as tags, got {odd[0]!r}")
    return names


def _table(tags: Sequence[Sequence[str]], classes: Iterable[str] | None) -> ClassTable:
    if isinstance(classes, str):
        raise DataError(f"expected a list of class names, got {classes!r}; write [{classes!r}]")
    names = sorted({tag for one in tags for tag in one}) if classes is None else _class_names(classes)
    if classes is None:  # the background is class 0 wherever it is tagged
        names.sort(key=lambda name: not is_background(name))
    if len(set(names)) < len(names) or any(is_background(name) for name in names[1:]):
        raise DataError("expected each class once, the background first; correct classes")
    background = bool(names) and is_background(names[0])
    if not background < len(names) <= VOID:
        raise DataError(f"expected 1 to {VOID} classes, got {len(names) - background}; give tags")
    return ClassTable(tuple(names), background)


def _class_names(classes: Iterable[Any]) -> list[str]:
    """The names of classes, in order."""
    names = [str(name) if isinstance(name, str) else name for name in classes]
    if odd := [name for name in names if not isinstance(name, str) or not name.strip()]:
        raise DataError(f"expected names of classes, got {odd[0]!r}; correct classes")
    return names


def _names(photographs: Sequence[Photograph]) -> list[str]:
    """Name the masks: by the file, or by the number of an array; equal names get the number before them."""
    width = len(str(len(photographs) - 1))
    numbers = [f"{number:0{width}}" for number in range(len(photographs))]
    names = [
        printable(name_of(one.name, SUFFIXES)) if isinstance(one, Path) else number
        for one, number in zip(photographs, numbers, strict=True)
    ]
    while True:
        often = Counter(map(mask_key, names))
        if len(often) == len(names):
            return names
        pairs = zip(names, numbers, strict=True)  # with its number a name may meet another again
        names = [name if often[mask_key(name)] == 1 else f"{number}-{name}" for name, number in pairs]
