"""One file with the features of one photograph: safetensors, with a checksum of everything in it.

safetensors because it can be mapped into memory, holds nothing that could be executed, and is read by other programs.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from xxhash import xxh3_64

from dhr.errors import ItemError
from dhr.features.pack import Packed

_ABOUT = "dhr"  # one entry of metadata only: safetensors writes several in any order


def entry_bytes(packed: Packed, source: str, image: str) -> bytes:
    """The file's content; the same for the same features.

    Args:
        source: key of what the features come from.
        image: digest of the photograph.
    """
    about = {"source": source, "image": image}
    text = json.dumps({**about, "checksum": _checksum(packed, about)})
    return save({"scale": packed.scale, "values": packed.values}, {_ABOUT: text})


def read_entry(path: Path, source: str | None = None, image: str | None = None) -> Packed | None:
    """The features that a file holds, mapped into memory; None if there is no such file.

    Args:
        source: what they must come from, if that matters.
        image: the photograph that they must be of, if that matters.

    Raises:
        ItemError: the file is damaged, or is of something else.
    """
    try:
        with held(path), safe_open(path, framework="pt") as file:
            about: dict[str, Any] = json.loads(file.metadata()[_ABOUT])
            packed = Packed(file.get_tensor("values"), file.get_tensor("scale"))
            checksum = about.pop("checksum")
            if checksum != _checksum(packed, about):
                raise ValueError("its checksum is wrong")
            for name, wanted in (("source", source), ("image", image)):
                if wanted is not None and about[name] != wanted:
                    raise ValueError(f"it is of another {name}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ItemError(f"kept features {path} are damaged ({reason})") from error
    return packed


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep a file from being removed for want of room (:mod:`dhr.features.room`) while it is read."""
    with path.open("rb") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_SH)
        except (ImportError, OSError):  # Windows removes no open files; elsewhere they stay readable all the same
            pass
        yield


def _checksum(packed: Packed, about: dict[str, Any]) -> str:
    shape = [str(packed.values.dtype), *packed.values.shape, *packed.scale.shape]
    whole = xxh3_64(json.dumps([about, shape], sort_keys=True).encode())
    for tensor in (packed.scale, packed.values):
        whole.update(tensor.flatten().view(torch.uint8).numpy().data)
    return whole.hexdigest()
