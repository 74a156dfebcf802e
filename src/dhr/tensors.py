"""Files of tensors from outside, safetensors and PyTorch's: refused before a library meets what it cannot bear."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from dhr.files import check_regular, open_regular

MAX_HEADER = 20_000_000
"""Largest header of a safetensors file, bytes; one of a thousand tensors has a hundredth of it."""


def read_tensors(
    path: Path, most: int | None = None, device: torch.device | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, mapped into memory, and the metadata of a safetensors file.

    Args:
        path: the file.
        most: largest size, bytes.
        device: where the tensors are to be; by default in the file.

    Raises:
        OSError: there is no such file, it is no regular file, or is too large; ``strerror`` says why.
        ValueError: it is no safetensors file, or is damaged; one line says why.
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
    except Exception as error:  # the library raises what its parser happens to raise
        raise ValueError(one_line(error)) from error


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Pass if all numbers are finite.

    Raises:
        ValueError: the first tensor that holds NaN or infinity is named.

    >>> check_finite({"weights": torch.ones(2)})
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity")


def check_shapes(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int | None, ...]]) -> None:
    """Pass if exactly the tensors of ``wanted`` are there, each of its shape; None stands for any size.

    Raises:
        ValueError: the first that differs is named.

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
    """Pass if each tensor of ``wanted`` has one of its types.

    Raises:
        ValueError: the first that has another one is named.
    """
    for name, kinds in wanted.items():
        if tensors[name].dtype not in tuple(kinds):
            raise ValueError(f"{name}: expected {' or '.join(map(str, kinds))}, got {tensors[name].dtype}")


def one_line(error: BaseException, longest: int = 160) -> str:
    """What an exception says, in one line."""
    return " ".join(str(error).split())[:longest] or type(error).__name__
