"""Read class maps of other programs: `.npz`, `.npy`, and masks in PNG."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from dhr.data.array_files import read_npy, read_npz
from dhr.data.images import read_mask
from dhr.data.map_numbers import Kind, Stack, key_numbers, stack_numbers
from dhr.data.plain_pickle import Refused
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ItemError
from dhr.shards import find
from dhr.words import one_line

SUFFIXES = (".npz", ".npy", ".png")
"""Files of maps; each photograph has one."""
MAX_BYTES = 1 << 31
"""Larger files, or such as would become larger, are refused before they are read."""

_KEYS = ("classes", "keys")
_MAPS = ("attn_highres", "high_res", "IS_CAM", "cam", "cams")
"""Names of the maps in the files of programs; the first that exists is read."""


def find_maps(folder: Path, name: str) -> Path:
    """Return the file of the photograph ``name``: ``folder/name.npz``, ``.npy`` or ``.png``, in either form of Unicode.

    Raises ItemError if there is none, or more than one.
    """
    names = dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)))
    found: list[Path] = []
    for one in names:
        found = found or [path for suffix in SUFFIXES if (path := find(folder, one, suffix)).is_file()]
    if len(found) != 1:
        what = " and ".join(path.name for path in found) or "no file"
        raise ItemError(f"expected its maps in {folder / name}.npz, .npy or .png, got {what}")
    return found[0]


@dataclass(frozen=True)
class Content:
    """The content of a file of maps, numbered as in the file."""

    kind: Kind
    maps: Mapping[int, np.ndarray]
    """Maps (u, v) by number."""

    @property
    def keys(self) -> frozenset[int]:
        """Return the numbers."""
        return frozenset(self.maps)


def read_content(path: Path, classes: ClassTable, read: Callable[[Path], np.ndarray] = read_mask) -> Content:
    """Read a file of maps without executing anything; see :func:`read_maps`.

    Raises ItemError if it cannot be read, or holds no maps.
    """
    if path.suffix == ".png":
        return _of_mask(path, read(path), classes)
    try:
        raw = read_npz(path, MAX_BYTES) if path.suffix == ".npz" else read_npy(path, MAX_BYTES)
        raw = _alone(raw)
        content = _of_array(path, raw, classes) if isinstance(raw, np.ndarray) else _of_names(raw)
        if len({one.shape for one in content.maps.values()}) > 1:
            raise Refused("its maps differ in size")
        return content
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or one_line(error, 200)
        raise ItemError(
            f"{path}: cannot be used as maps: {reason}; expected arrays, or a dictionary of arrays (docs/models.md)"
        ) from error


def read_maps(
    path: Path,
    tags: Sequence[int],
    classes: ClassTable,
    numbering: str = "tagged",
    stack: Stack | None = None,
    read: Callable[[Path], np.ndarray] = read_mask,
) -> Float32[np.ndarray, "k u v"]:
    """Return one map for each of ``tags``, on the file's own grid, without executing anything.

    The file is one of these:

    - an array (k, u, v) of the tags in order, of all classes that can be tagged, or of all classes; with ``numbering``
      `table` also of the background and the tags. It may be the only array of a dictionary, or a batch of one;
    - an array (u, v) of class ids as whole numbers, which is a mask;
    - `.npz`, or a dictionary in `.npy`, with `keys` or `classes`, and maps (k, u, v) of these; or a dictionary from
      classes to maps (u, v). `classes` are ids of the class table, as in OUT/cams; other numbers follow
      ``numbering``: `tagged`, 0 is the first class that can be tagged, as in IRN and most programs; `table`, 0 is the
      first class of the table, the background if there is one;
    - a mask: 1 where a class is, else 0.

    ``stack`` is the content of arrays that :func:`~dhr.data.map_numbers.find_stack` found in all files; by default this
    file decides. ``read`` reads masks in PNG as ids of ``classes``. Raises ItemError if the file cannot be read, is not
    one of these, or lacks the map of a tag.
    """
    content = read_content(path, classes, read)
    try:
        if content.kind == "array":
            numbers = stack_numbers(len(content.maps), tags, classes, numbering, stack)
        else:
            numbers = key_numbers(content.keys, content.kind, tags, classes, numbering)
        return _checked(np.stack([content.maps[number] for number in numbers]))
    except Refused as error:
        raise ItemError(f"{path}: cannot be used as maps: {error}") from error


def _of_mask(path: Path, mask: np.ndarray, classes: ClassTable) -> Content:
    beyond = mask[((mask < 0) | (mask >= len(classes.names))) & (mask != VOID)]
    if beyond.size:
        raise ItemError(f"{path} names class {beyond[0]}; the table ends at {len(classes.names) - 1}, 255 is void")
    return Content("mask", {index: mask == index for index in range(len(classes.names))})


def _of_array(path: Path, maps: np.ndarray, classes: ClassTable) -> Content:
    if maps.ndim == 4 and len(maps) == 1:  # a batch of one
        maps = maps[0]
    if maps.ndim == 2 and maps.dtype.kind in "iu" and 0 not in maps.shape:
        return _of_mask(path, maps, classes)
    if maps.ndim != 3:
        raise Refused(f"expected maps (k, u, v), got an array {maps.shape}")
    return Content("array", dict(enumerate(_numbers(maps))))


def _alone(content: Any) -> Any:
    """Return the array of a dictionary that holds nothing else but text and numbers; all else as it is."""
    if not isinstance(content, Mapping) or any(str(key) in _KEYS or str(key).isdigit() for key in content):
        return content
    arrays = [one for one in content.values() if isinstance(one, np.ndarray) and one.ndim > 1]
    return arrays[0] if len(arrays) == 1 else content


def _of_names(content: Any) -> Content:
    if not isinstance(content, Mapping):
        raise Refused(f"expected an array or a dictionary, got {type(content).__name__}")
    named = next((name for name in _KEYS if name in content), None)
    if named is not None:
        ids = [int(key) for key in np.asarray(content[named]).ravel()]
        maps: dict[int, Any] = dict(zip(ids, _numbers(_maps(content, len(ids))), strict=True))
        return Content("classes" if named == "classes" else "keys", maps)
    if content and all(str(key).isdigit() for key in content):
        return Content("keys", {int(key): _numbers(np.asarray(value)[None])[0] for key, value in content.items()})
    raise Refused(f"expected keys or classes among its names, got {', '.join(map(str, content))[:80] or 'none'}")


def _maps(content: Mapping[Any, Any], count: int) -> np.ndarray:
    arrays = {
        name: np.asarray(value)
        for name, value in content.items()
        if name not in _KEYS and isinstance(value, np.ndarray) and value.ndim == 3 and len(value) == count
    }
    known = [name for name in _MAPS if name in arrays]
    if not known and len(arrays) != 1:
        raise Refused(f"expected one array ({count}, u, v) beside its keys, got {', '.join(arrays) or 'none'}")
    return arrays[known[0] if known else next(iter(arrays))]


def _numbers(maps: np.ndarray) -> np.ndarray:
    if maps.ndim != 3 or 0 in maps.shape or maps.dtype.kind not in "biuf":
        raise Refused(f"expected maps (k, u, v) of numbers, got {maps.shape} of {maps.dtype}")
    return maps


def _checked(maps: np.ndarray) -> Float32[np.ndarray, "k u v"]:
    real = maps.astype(np.float32)
    if not np.isfinite(real).all():
        raise Refused("its maps hold NaN or infinity")
    return real
