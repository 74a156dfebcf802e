"""Read dictionaries of arrays from pickles without executing anything.

``np.save`` of a dictionary is a pickle, and most programs for tags keep their maps so. A pickle is a program that can
run anything. Here each name that it may call stands for a function of this module that only records bytes and numbers;
all other names are refused before anything is called. numpy's and torch's own unpickling are not used, except for
``torch.load(weights_only=True)`` for the bytes of a tensor.
"""

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from dhr.words import one_line

_KINDS = "biuf"
"""Booleans, integers and floats, as numpy calls them."""


class Refused(ValueError):  # noqa: N818  the file was refused; the program did not fail
    """The pickle holds something other than plain data."""


def read_plain_pickle(content: bytes) -> Any:
    """Return the content of a pickle: dictionaries, lists, tuples, text, numbers, and arrays of numbers.

    Tensors of torch become arrays. An array of objects (``np.save`` of a dictionary) must have one object, which is
    returned. Raises Refused if the pickle names anything else, or is damaged.

    >>> read_plain_pickle(pickle.dumps({"keys": np.arange(2), "name": "a"}))
    {'keys': array([0, 1]), 'name': 'a'}
    """
    try:
        _check_program(content)
        return _finished(_Plain(io.BytesIO(content)).load(), [_MOST_PARTS])
    except Refused:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle raises any exception
        raise Refused(f"it is damaged ({one_line(error, 120)})") from error


class _Dtype:
    """A type of numbers as numpy writes it: `f4`, and the order of its bytes."""

    def __init__(self, name: Any, *options: Any) -> None:
        self.name, self.order = str(name), "="

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1])

    def real(self) -> "np.dtype[Any]":
        """Return numpy's type."""
        name = self.name.lstrip("<>=|")
        if name[:1] not in _KINDS or not name[1:].isdigit():
            raise Refused(f"its values are {self.name[:20]!r}, no numbers")
        return np.dtype(self.order.replace("|", "=") + name)


class _Array:
    """An array that is being described."""

    def __init__(self) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self.state = tuple(state)

    def real(self, left: list[int], depth: int) -> Any:
        """Return the array; or, of an array of one object, the object."""
        if len(self.state) != 5:
            raise Refused("an array is not finished")
        _, shape, dtype, fortran, data = self.state
        if isinstance(data, list):
            if len(data) != 1:
                raise Refused(f"it holds an array of {len(data)} objects")
            return _finished(data[0], left, depth)
        return _numbers(data, dtype, shape, "F" if fortran else "C")


class _Name:
    """A class that is named, and never made."""


_NDARRAY = _Name()


def _numbers(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if isinstance(data, str):
        data = data.encode("latin-1")  # as Python 2 wrote bytes
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
        raise Refused("an array has no bytes or no type")
    values: np.ndarray = np.frombuffer(bytes(data), dtype=dtype.real())
    return values.reshape(tuple(int(side) for side in shape), order="F" if order == "F" else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _NDARRAY:
        raise Refused("it holds an array of an unknown class")
    return _Array()


def _scalar(dtype: Any, data: Any) -> Any:
    return _numbers(data, dtype, (), "C").item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if str(encoding).replace("-", "") != "latin1":
        raise Refused(f"it holds text in {str(encoding)[:20]!r}")
    return str(text).encode("latin-1")


def _storage(content: Any) -> Any:
    import torch  # only here: many commands read no tensors

    found = torch.load(io.BytesIO(bytes(content)), map_location="cpu", weights_only=True)
    if not isinstance(found, torch.storage.TypedStorage):
        raise Refused("a tensor has no numbers")
    storage: Any = found
    empty: Any = torch.tensor([], dtype=storage.dtype)
    return empty.set_(storage._untyped_storage, 0, (storage._size(),))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *others: Any) -> np.ndarray:
    import torch

    numbers = [int(offset), *map(int, size), *map(int, stride)]
    size, stride = [int(side) for side in size], [int(step) for step in stride]
    last = int(offset) + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if not isinstance(storage, torch.Tensor) or min(numbers) < 0 or (math.prod(size) and last >= len(storage)):
        raise Refused("a tensor does not fit its bytes")
    whole: np.ndarray = torch.as_strided(storage, size, stride, int(offset)).clone().float().numpy()
    return whole


def _names() -> Mapping[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {
        ("_codecs", "encode"): _encode,
        ("__builtin__", "bytes"): lambda: b"",  # as old protocols write b""
        ("collections", "OrderedDict"): OrderedDict,
        ("numpy", "ndarray"): _NDARRAY,
        ("numpy", "dtype"): _Dtype,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch.storage", "_load_from_bytes"): _storage,
    }
    for core in ("numpy.core", "numpy._core"):
        found[core + ".multiarray", "_reconstruct"] = _reconstruct
        found[core + ".multiarray", "scalar"] = _scalar
        found[core + ".numeric", "_frombuffer"] = _numbers
    return found


_NAMES = _names()
"""The names that a pickle may use, and their substitutes."""


class _Plain(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        """Return the substitute for a name; raise Refused if data do not need it."""
        try:
            return _NAMES[module, name]
        except KeyError:
            raise Refused(f"it would run {module}.{name}"[:120]) from None

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse references to things outside of the pickle."""
        raise Refused("it refers to something outside of it")


_DEEPEST = 8
_MOST_STEPS = 1_000_000  # of a pickle; a dictionary of 1000 arrays has 20,000
_MOST_PARTS = 1_000_000  # of what it makes: parts that are named again and again can be more than its steps


def _check_program(content: bytes) -> None:
    """Refuse long programs and distant memory places before they are followed: they would take memory without end."""
    for number, (step, argument, _) in enumerate(pickletools.genops(content)):
        if number >= _MOST_STEPS:
            raise Refused(f"it has over {_MOST_STEPS} steps")
        if "PUT" in step.name and isinstance(argument, int) and argument > _MOST_STEPS:
            raise Refused("it keeps things in places that do not exist")


def _finished(value: Any, left: list[int], depth: int = 0) -> Any:
    """Replace descriptions by arrays and scalars; ``left`` holds the number of parts that may still come."""
    left[0] -= 1
    if left[0] < 0:
        raise Refused(f"it has over {_MOST_PARTS} parts")
    if depth > _DEEPEST:
        raise Refused("it is nested too deep")
    if isinstance(value, _Array):
        return value.real(left, depth + 1)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, int | str):
                raise Refused(f"a dictionary has a key of type {type(key).__name__.strip('_')}")
        return {key: _finished(entry, left, depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finished(entry, left, depth + 1) for entry in value]
    if value is None or isinstance(value, bool | int | float | str | np.ndarray):
        return value
    raise Refused(f"it holds a {type(value).__name__.strip('_')}")
