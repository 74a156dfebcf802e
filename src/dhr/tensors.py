"""Read files of tensors from outside (safetensors, PyTorch's), with checks that the libraries lack."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from dhr.files import check_regular, open_regular
from dhr.words import one_line

MAX_HEADER = 20_000_000
"""Largest header of a safetensors file, bytes; one of a thousand tensors has a hundredth of it."""


def read_tensors(
    path: Path, most: int | None = None, device: torch.device | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return tensors by name, mapped into memory or on ``device``, and the metadata of a safetensors file.

    Raises OSError if the file is missing, not a regular file, or larger than ``most`` bytes (``strerror`` gives the
    reason); ValueError if it is damaged or not a safetensors file, in one line.
    """
    size = check_regular(path, most)
    with open_regular(path, most) as file:
        start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length + 8 > size:
        raise ValueError("it is cut off, or not a safetensors file")
    if length > MAX_HEADER:
        raise ValueError(f"its header has {length / 1e6:.0f} MB, over the limit of {MAX_HEADER / 1e6:.0f} MB")
    try:
        with safe_open(path, framework="pt", device=str(device or "cpu")) as tensors:
            return {key: tensors.get_tensor(key) for key in tensors.keys()}, tensors.metadata() or {}  # noqa: SIM118
    except OSError:
        raise
    except Exception as error:  # the library raises any exception
        raise ValueError(one_line(error)) from error


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Check that all numbers are finite; raises ValueError with the first tensor that holds NaN or infinity.

    >>> check_finite({"weights": torch.ones(2)})
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity")


def check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int | None, ...]]) -> None:
    """Check that exactly the tensors of ``wanted`` exist, each of its shape (None: any size); raises ValueError
    otherwise.

    >>> check_shapes({"bias": torch.ones(2)}, {"bias": (None,)})
    """
    if others := sorted(set(tensors) ^ set(wanted)):
        raise ValueError(f"{'expected' if others[0] in wanted else 'did not expect'} a tensor {others[0]!r}")
    for name, shape in wanted.items():
        found = tuple(tensors[name].shape)
        if len(found) != len(shape) or any(side not in (None, real) for side, real in zip(shape, found, strict=True)):
            sides = ", ".join("any" if side is None else str(side) for side in shape)
            raise ValueError(f"{name}: expected the shape ({sides}), got {found}")


def check_kinds(tensors: Mapping[str, Tensor], wanted: Mapping[str, Iterable[torch.dtype]]) -> None:
    """Check that each tensor of ``wanted`` has one of its types; raises ValueError otherwise."""
    for name, kinds in wanted.items():
        if tensors[name].dtype not in tuple(kinds):
            raise ValueError(f"{name}: expected {' or '.join(map(str, kinds))}, got {tensors[name].dtype}")
