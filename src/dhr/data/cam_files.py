"""Class maps of other programs, from their files: `.npz`, `.npy`, and masks in PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from dhr.data.array_files import read_npy, read_npz
from dhr.data.images import read_mask
from dhr.data.plain_pickle import Refused
from dhr.data.samples import VOID, ClassTable
from dhr.errors import ItemError

SUFFIXES = (".npz", ".npy", ".png")
"""Files of maps; each photograph has one."""
MAX_BYTES = 1 << 31
"""Larger files, or such as would become larger, are refused before they are read."""

_KEYS = ("classes", "keys")
_MAPS = ("attn_highres", "high_res", "IS_CAM", "cam", "cams")
"""Where programs keep their maps; the first of them is read."""


def find_maps(folder: Path, name: str) -> Path:
    """The file of the photograph ``name``: ``folder/name.npz``, ``.npy`` or ``.png``.

    Raises:
        ItemError: there is none, or more than one.
    """
    found = [path for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES) if path.is_file()]
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or "no file"
        raise ItemError(f"expected its maps in {folder / name}.npz, .npy or .png, got {names}")
    return found[0]


def read_maps(
    path: Path, tags: Sequence[int], classes: ClassTable, numbering: str = "tagged"
) -> Float32[np.ndarray, "k u v"]:
    """One map for each of ``tags``, on the file's own grid. Nothing in the file is executed.

    What is read:

    - an array (k, u, v): of the tags in their order, of all classes that can be tagged, or of all classes;
    - `.npz`, or a dictionary in `.npy`, with `keys` or `classes`, and maps (k, u, v) of these; or a dictionary whose
      keys are the classes, its entries maps (u, v). `classes` are ids of the class table, as in OUT/cams; the others
      are numbered as ``numbering`` says: `tagged`, 0 is the first class that can be tagged, as IRN and most programs
      do; `table`, 0 is the first class of the table, the background if there is one;
    - a mask: 1 where a class is, else 0.

    Raises:
        ItemError: the file cannot be read, is none of these, or has no map of one of the tags.
    """
    if path.suffix == ".png":
        return _of_mask(path, tags, classes)
    try:
        content = read_npz(path, MAX_BYTES) if path.suffix == ".npz" else read_npy(path, MAX_BYTES)
        if isinstance(content, np.ndarray):
            return _checked(path, _of_array(content, tags, classes))
        return _checked(path, _of_names(content, tags, classes, numbering))
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200] or type(error).__name__
        raise ItemError(
            f"{path}: cannot be used as maps: {reason}; expected arrays, or a dictionary of arrays (docs/models.md)"
        ) from error


def _of_mask(path: Path, tags: Sequence[int], classes: ClassTable) -> Float32[np.ndarray, "k u v"]:
    mask = read_mask(path)
    beyond = mask[(mask >= len(classes.names)) & (mask != VOID)]
    if beyond.size:
        raise ItemError(f"{path} names class {beyond[0]}; the table ends at {len(classes.names) - 1}, 255 is void")
    return np.stack([(mask == tag).astype(np.float32) for tag in tags])


def _of_array(maps: np.ndarray, tags: Sequence[int], classes: ClassTable) -> np.ndarray:
    if maps.ndim != 3:
        raise Refused(f"expected maps (k, u, v), got an array {maps.shape}")
    if len(maps) == len(tags):
        return maps
    if len(maps) == len(classes.foreground):
        return maps[[tag - classes.foreground.start for tag in tags]]
    if len(maps) == len(classes.names):
        return maps[list(tags)]
    raise Refused(
        f"it has {len(maps)} maps; expected {len(tags)}, one for each tag of the photograph, or "
        f"{len(classes.foreground)}, one for each class"
    )


def _of_names(content: Any, tags: Sequence[int], classes: ClassTable, numbering: str) -> np.ndarray:
    if not isinstance(content, Mapping):
        raise Refused(f"expected an array or a dictionary, got {type(content).__name__}")
    first = 0 if numbering == "table" else classes.foreground.start
    named = next((name for name in _KEYS if name in content), None)
    if named is not None:
        ids = [int(key) for key in np.asarray(content[named]).ravel()]
        maps: dict[int, Any] = dict(zip(ids, _maps(content, len(ids)), strict=True))
        first = 0 if named == "classes" else first
    elif content and all(str(key).isdigit() for key in content):
        maps = {int(key): content[key] for key in content}
    else:
        raise Refused(f"expected keys or classes among its names, got {', '.join(map(str, content))[:80] or 'none'}")
    missing = [classes.names[tag] for tag in tags if tag - first not in maps]
    if missing:
        have = ", ".join(
            classes.names[key + first] if 0 <= key + first < len(classes.names) else str(key) for key in sorted(maps)
        )
        other = "tagged" if numbering == "table" else "table"
        hint = (
            f"; if it counts its classes otherwise, --wss.numbering {other}"
            if named != "classes" and classes.foreground.start
            else ""
        )
        raise Refused(
            f"it has no map of {', '.join(missing)}, which the photograph is tagged with, but of {have}{hint}"
        )
    chosen = [np.asarray(maps[tag - first]) for tag in tags]
    if len({one.shape for one in chosen}) != 1:
        raise Refused("its maps differ in size")
    return np.stack(chosen)


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


def _checked(path: Path, maps: np.ndarray) -> Float32[np.ndarray, "k u v"]:
    if maps.ndim != 3 or 0 in maps.shape or maps.dtype.kind not in "biuf":
        raise Refused(f"expected maps (k, u, v) of numbers, got {maps.shape} of {maps.dtype}")
    real = maps.astype(np.float32)
    if not np.isfinite(real).all():
        raise Refused("its maps hold NaN or infinity")
    return real
