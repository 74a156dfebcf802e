"""One file with the features of one photograph: safetensors, with a checksum of everything in it.

safetensors can be mapped into memory, holds no code, and is read by other programs.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from xxhash import xxh3_64

from dhr.errors import ItemError
from dhr.features.pack import Packed
from dhr.files import open_regular
from dhr.parsing import Fields, parse_json
from dhr.tensors import check_kinds, check_shapes, read_tensors

MAX_BYTES = 4_000_000_000
"""Largest entry in bytes: twice that of 1024 channels in half precision on a grid of 1000 by 1000 cells."""

_ABOUT = "dhr"  # a single entry of metadata, because safetensors writes several in any order
Shape = tuple[int, int, int]
"""Channels, rows and columns."""


def entry_bytes(packed: Packed, source: str, image: str) -> bytes:
    """Return the content of the file; the same features give the same bytes.

    Args:
        source: key of the source of the features.
        image: digest of the photograph.
    """
    packed, about = packed.to(torch.device("cpu")), {"source": source, "image": image}
    text = json.dumps({**about, "checksum": _checksum(packed, about)})
    return save({"scale": packed.scale, "values": packed.values}, {_ABOUT: text})


def read_entry(
    path: Path, source: str | None = None, image: str | None = None, shape: Shape | None = None
) -> Packed | None:
    """Read a file of features, mapped into memory; None if the file is missing.

    Args:
        source: key of the required source.
        image: digest of the required photograph.
        shape: required channels and grid.

    Raises:
        ItemError: the file is damaged, or holds other features.
    """
    try:
        with held(path):
            tensors, metadata = read_tensors(path, MAX_BYTES)
            about = Fields(parse_json(metadata.get(_ABOUT, "{}")))
            _check(tensors, shape)
            packed = Packed(tensors["values"], tensors["scale"])
            known = {name: about.text(name) for name in about.names() if name != "checksum"}
            if about.text("checksum") != _checksum(packed, known):
                raise ValueError("its checksum is wrong")
            for name, wanted in (("source", source), ("image", image)):
                if wanted is not None and about.text(name) != wanted:
                    raise ValueError(f"it is of another {name}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ItemError(f"kept features {path} are damaged ({reason})") from error
    return packed


def _check(tensors: Mapping[str, Tensor], shape: Shape | None) -> None:
    """Refuse tensors that :func:`~dhr.features.pack.pack` cannot make."""
    check_shapes(tensors, {"values": shape or (None, None, None), "scale": (None, 1, 1)})
    check_kinds(tensors, {"values": (torch.float16, torch.int8), "scale": (torch.float32,)})
    values, scale = tensors["values"], tensors["scale"]
    if values.numel() == 0 or len(scale) not in (1, len(values)):
        raise ValueError(f"scale {tuple(scale.shape)} does not fit values {tuple(values.shape)}")
    largest = values.float().abs().amax() * scale.amax()
    if not bool((scale > 0).all()) or not bool(largest.isfinite()):  # NaN is neither
        raise ValueError("expected finite numbers with scales above 0, got others")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Protect a file from deletion by :mod:`dhr.features.limit` while it is read."""
    with open_regular(path) as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_SH)
        except (ImportError, OSError):  # Windows deletes no open files; elsewhere they stay readable
            pass
        yield


def _checksum(packed: Packed, about: Mapping[str, str]) -> str:
    shape = [str(packed.values.dtype), *packed.values.shape, *packed.scale.shape]
    whole = xxh3_64(json.dumps([dict(about), shape], sort_keys=True).encode())
    for tensor in (packed.scale, packed.values):
        whole.update(tensor.flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()
