"""Read numpy's `.npy` and `.npz` from outside; their unpacked size is checked before anything is unpacked."""

import io
import math
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from dhr.data.plain_pickle import Refused, read_plain_pickle
from dhr.files import open_regular, read_regular
from dhr.words import one_line

_MEMBERS = 10_000
_VERSIONS: dict[Any, Any] = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path, most: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return arrays by name, of ``names`` only if they are given, without executing anything.

    Raises OSError if the file cannot be read, is not a regular file, or is larger than ``most`` bytes; Refused if it is
    damaged, holds objects, or would unpack to more than ``most`` bytes.
    """
    with open_regular(path, most) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                if len(members) > _MEMBERS:
                    raise Refused(f"it holds over {_MEMBERS} arrays")
                if sum(member.file_size for member in members) > most:
                    raise Refused(f"it would unpack to more than {most >> 20} MB")
                found: dict[str, np.ndarray] = {}
                for member in members:
                    name = member.filename.removesuffix(".npy")
                    if names is None or name in names:
                        with archive.open(member) as packed:
                            found[name] = _read(packed, member.file_size)
                return found
        except (OSError, Refused, MemoryError):
            raise
        except Exception as error:  # a damaged archive: zipfile, zlib and numpy fail with nearly any exception
            raise Refused(f"it is damaged ({one_line(error, 120)})") from error


def read_npy(path: Path, most: int) -> Any:
    """Return an array, or the plain data of a pickle in it; see :func:`~dhr.data.plain_pickle.read_plain_pickle`.

    Raises OSError as :func:`read_npz`; Refused if the file is damaged, or holds something else.
    """
    content = read_regular(path, most)
    file = io.BytesIO(content)
    try:
        dtype = _header(file)[1]
        if dtype.hasobject:
            return read_plain_pickle(content[file.tell() :])
        file.seek(0)
        return _read(file, len(content))
    except (Refused, MemoryError):
        raise
    except Exception as error:  # of a damaged header, numpy raises nearly any exception
        raise Refused(f"it is damaged ({one_line(error, 120)})") from error


def _header(file: Any) -> tuple[tuple[int, ...], "np.dtype[Any]", bool]:
    """Return shape, type, and whether columns come first."""
    version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
    if version not in _VERSIONS:
        raise Refused(f"it is .npy of version {version}")
    shape, fortran, dtype = _VERSIONS[version](file)
    return shape, dtype, fortran


def _read(file: Any, size: int) -> np.ndarray:
    """Read the array of ``size`` bytes, including its header."""
    shape, dtype, fortran = _header(file)
    if dtype.hasobject:
        raise Refused("it holds objects, not numbers")
    if math.prod(shape) * dtype.itemsize != size - file.tell() or min(shape, default=0) < 0:
        raise Refused(f"its array of {shape} does not fit its {size} bytes")
    content = file.read(size)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise Refused("it is cut off")
    values: np.ndarray = np.frombuffer(content, dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")
