"""Checkpoints of other people's programs, read without executing anything in them.

PyTorch's files are pickles. They are read with ``weights_only=True``, which makes only tensors and plain containers.
Lightning's files also hold settings, as objects of omegaconf and of Lightning. Only these names are allowed, and each
is read as an empty stand-in, so no code of the file runs.
"""

import contextlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dhr.errors import WeightsError
from dhr.files import open_regular
from dhr.tensors import read_tensors
from dhr.words import one_line

_SETTINGS = ("omegaconf.", "pytorch_lightning.", "lightning.", "lightning_fabric.", "typing.", "pathlib.", "builtins.")
"""Prefixes of the names of settings."""
_BUILTINS = frozenset({"builtins." + name for name in ("dict", "list", "int", "float", "str", "bool", "tuple", "set")})
_CONVERT = "torch.save(torch.load(FILE, map_location='cpu', weights_only=False)['state_dict'], 'plain.pth')"


class _StandIn:
    """Stands for an object of settings; does nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> "_StandIn":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise pickle.PicklingError("a stand-in for settings is not written again")


def read_checkpoint(path: Path, setting: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the top level of a file of safetensors or PyTorch, and the metadata of safetensors.

    Raises:
        WeightsError: the file is missing, damaged, or holds objects that need code.
    """
    if not path.is_file():
        raise WeightsError(f"--{setting}: no file {path}; expected safetensors or a PyTorch checkpoint")
    try:
        with open_regular(path) as file:
            start = file.read(9)
        if start[8:9] == b"{":
            tensors, metadata = read_tensors(path)
            return dict(tensors), metadata
        with _stand_ins(path):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"--{setting}: {path} cannot be read ({one_line(error)}); fetch it again") from error
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Weights only" in str(error):
            raise WeightsError(
                f"--{setting}: {path} holds objects that only running its code could make, which is never done; where "
                f"you trust it, keep its tensors alone: {_CONVERT}"
            ) from error
        raise WeightsError(f"--{setting}: {path} is damaged ({one_line(error)}); fetch it again") from error
    except Exception as error:  # parsers of damaged files raise any exception
        raise WeightsError(f"--{setting}: {path} is damaged ({one_line(error)}); fetch it again") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"--{setting}: {path} holds no parameters by name, but a {type(content).__name__}")
    return {str(key): value for key, value in content.items()}, {}


@contextlib.contextmanager
def _stand_ins(path: Path) -> Iterator[None]:
    """Read names of settings in ``path`` as stand-ins within the block."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # an old format, or damaged: torch.load reports it
        names = []
    known = [name for name in names if name.startswith(_SETTINGS)]
    safe = [name for name in known if not name.startswith("builtins.") or name in _BUILTINS]
    with torch.serialization.safe_globals([(type("StandIn", (_StandIn,), {}), name) for name in safe]):
        yield


def tensors_in(content: Mapping[str, Any], *places: str) -> dict[str, Tensor]:
    """Return the parameters under the first of ``places`` that exists, else those at the top."""
    for place in places:
        if isinstance(inner := content.get(place), Mapping):
            content = inner
            break
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the parameters whose names begin with ``prefix``, without the prefix.

    >>> below({"net.a": torch.zeros(1), "b": torch.ones(1)}, "net.")
    {'a': tensor([0.])}
    """
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
