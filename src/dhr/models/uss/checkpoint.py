"""Checkpoints of other people's programs, read without executing anything in them.

PyTorch's files are pickles. They are read with ``weights_only=True``, which makes tensors and plain containers only.
Lightning's hold settings beside the weights, as objects of omegaconf and of Lightning itself: these names, and no
others, are read as empty stand-ins of ours, so that neither their code nor anything else of the file runs.
"""

import contextlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dhr.errors import WeightsError
from dhr.files import open_regular
from dhr.tensors import read_tensors

_SETTINGS = ("omegaconf.", "pytorch_lightning.", "lightning.", "lightning_fabric.", "typing.", "pathlib.", "builtins.")
"""Beginnings of names that only settings have."""
_BUILTINS = frozenset({"builtins." + name for name in ("dict", "list", "int", "float", "str", "bool", "tuple", "set")})
_CONVERT = "torch.save(torch.load(FILE, map_location='cpu', weights_only=False)['state_dict'], 'plain.pth')"


class _StandIn:
    """Takes the place of an object of settings; does nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> "_StandIn":
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise pickle.PicklingError("a stand-in for settings is not written again")


def read_checkpoint(path: Path, setting: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What a file of safetensors or of PyTorch holds at its top, and the metadata of the first.

    Raises:
        WeightsError: no such file, it is damaged, or it would need code to be run.
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
        raise WeightsError(f"--{setting}: {path} cannot be read ({_line(error)}); fetch it again") from error
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Weights only" in str(error):
            raise WeightsError(
                f"--{setting}: {path} holds objects that only running its code could make, which is never done; where "
                f"you trust it, keep its tensors alone: {_CONVERT}"
            ) from error
        raise WeightsError(f"--{setting}: {path} is damaged ({_line(error)}); fetch it again") from error
    except Exception as error:  # a damaged file raises whatever its parser happens to raise
        raise WeightsError(f"--{setting}: {path} is damaged ({_line(error)}); fetch it again") from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"--{setting}: {path} holds no parameters by name, but a {type(content).__name__}")
    return {str(key): value for key, value in content.items()}, {}


@contextlib.contextmanager
def _stand_ins(path: Path) -> Iterator[None]:
    """While it lasts, names of settings in ``path`` are read as stand-ins."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    except Exception:  # of the old format, or damaged: torch.load tells
        names = []
    known = [name for name in names if name.startswith(_SETTINGS)]
    safe = [name for name in known if not name.startswith("builtins.") or name in _BUILTINS]
    with torch.serialization.safe_globals([(type("StandIn", (_StandIn,), {}), name) for name in safe]):
        yield


def tensors_in(content: Mapping[str, Any], *places: str) -> dict[str, Tensor]:
    """The parameters under the first of ``places`` that is there, else those at the top."""
    for place in places:
        if isinstance(inner := content.get(place), Mapping):
            content = inner
            break
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Parameters whose names begin with ``prefix``, without it.

    >>> below({"net.a": torch.zeros(1), "b": torch.ones(1)}, "net.")
    {'a': tensor([0.])}
    """
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def fit_state(network: nn.Module, state: Mapping[str, Tensor], source: str, what: str, *, spare: bool = False) -> None:
    """Load ``state`` into ``network``.

    Args:
        source: where it is from, for the message: ``--setting: file``.
        what: what the network is, for the message.
        spare: whether ``state`` may hold more than the network.

    Raises:
        WeightsError: names or shapes differ; the first that do are named.
    """
    wanted = network.state_dict()
    differ = [
        f"{key} {tuple(value.shape)} ("
        + (f"file: {tuple(state[key].shape)}" if key in state else "not in the file")
        + ")"
        for key, value in wanted.items()
        if key not in state or state[key].shape != value.shape
    ]
    if not spare:
        differ += [f"{key} (only in the file)" for key in state if key not in wanted]
    if differ:
        raise WeightsError(
            f"{source} is of another network than {what}: {len(differ)} of {len(wanted)} parameters differ, "
            f"first {'; '.join(differ[:3])}"
        )
    network.load_state_dict({key: state[key].to(value.dtype) for key, value in wanted.items()})


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:160]
